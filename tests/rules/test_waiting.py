"""The waiting room: what is taken leaves nothing behind, and what waits goes in order of its time."""

from __future__ import annotations

import random
from typing import Any

import pytest

from rules.waiting import WaitingRoom


def _transaction(number: int) -> bytes:
    return number.to_bytes(8, "big")


def test_what_is_taken_leaves_nothing_on_the_agenda() -> None:
    room: Any = WaitingRoom()
    room.add("a-0", _transaction(0), b"stays", 10**9)
    for number in range(1, 1_000):
        room.add(f"a-{number}", _transaction(number), b"goes", number)
        assert len(room.take(f"a-{number}", _transaction(number))) == 1
        assert len(room._agenda) <= 2 * room.count
    assert room.due(10**9 - 1) is None
    assert room.next_ms == 10**9


@pytest.mark.parametrize("seed", range(5))
def test_what_waits_goes_in_order_of_its_time_whatever_was_taken_in_between(seed: int) -> None:
    rng, room = random.Random(seed), WaitingRoom()
    until_of: dict[int, int] = {}
    for number in range(400):
        until_of[number] = rng.randrange(1_000)
        room.add(f"a-{number % 20}", _transaction(number), b"%d" % number, until_of[number])
        if rng.random() < 0.6:
            taken = rng.choice(sorted(until_of))
            (one,) = room.take(f"a-{taken % 20}", _transaction(taken))
            assert (one.text, one.until_ms) == (b"%d" % taken, until_of.pop(taken))
    gone: list[int] = []
    while (one := room.due(999)) is not None:
        gone.append(int(one.text))
    assert sorted(gone) == sorted(until_of)
    assert [until_of[number] for number in gone] == sorted(until_of.values())
    assert room.count == 0
