"""Replies: who gets which, what comes too late, and what another gateway asked for."""

from __future__ import annotations

import asyncio

import pytest

from rules.reply import DECISION, REPLY_TO_HEADER, UNKNOWN, Reply, reply_to, reply_to_header
from streams.gateway.replies import Replies
from streams.gateway.search import Search


class Heard:
    """Counts of what came in time and what did not."""

    def __init__(self) -> None:
        self.on_time = self.late = 0
        self.ages_s: list[float] = []
        self.replies = Replies(self._on_time, self._late)

    def _on_time(self, age_s: float) -> None:
        self.on_time += 1
        self.ages_s.append(age_s)

    def _late(self) -> None:
        self.late += 1

    @property
    def counts(self) -> tuple[int, int]:
        return self.on_time, self.late


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def test_each_question_gets_its_own_answer() -> None:
    replies = Heard().replies
    ids = [replies.new_id(now_s(), now_s() + 1) for _ in range(3)]
    asked = [asyncio.create_task(replies.ask(reply_id, now_s() + 1)) for reply_id in ids]
    await asyncio.sleep(0)
    for number in (2, 0, 1):
        replies.take(Reply(ids[number], DECISION, b"%d" % number), now_s())
    answers = await asyncio.gather(*asked)
    assert [answer.value if answer else None for answer in answers] == [b"0", b"1", b"2"]
    assert replies.awaited == 0


async def test_an_answer_that_does_not_come_is_none_and_is_late_when_it_comes() -> None:
    heard = Heard()
    started_s = now_s()
    reply_id = heard.replies.new_id(started_s, started_s + 0.02)
    assert await heard.replies.ask(reply_id, started_s + 0.01) is None
    assert heard.replies.awaited == 0
    heard.replies.take(Reply(reply_id, DECISION, b""), started_s + 0.015)
    assert heard.counts == (1, 0)
    assert heard.ages_s == [pytest.approx(0.015, abs=0.0015)]
    heard.replies.take(Reply(reply_id, DECISION, b""), started_s + 0.025)
    assert heard.counts == (1, 1)


async def test_replies_to_another_gateway_are_passed_over() -> None:
    mine, other = Heard(), Heard()
    reply_id = other.replies.new_id(now_s(), now_s() + 1)
    mine.replies.take(Reply(reply_id, DECISION, b"other's"), now_s())
    assert mine.counts == (0, 0)


@pytest.mark.parametrize("rest", ["", "-", "-1", "-1-2", "-x-y-z", "-1-2-3-4"])
async def test_what_no_gateway_asked_under_is_passed_over(rest: str) -> None:
    heard = Heard()
    instance = heard.replies.new_id(0.0, 1.0).partition("-")[0]
    heard.replies.take(Reply(instance + rest, DECISION, b""), now_s())
    assert heard.counts == (0, 0)


def test_an_id_fits_into_the_header_that_asks() -> None:
    replies = Heard().replies
    reply_id = replies.new_id(10_000_000.0, 10_000_060.0)
    name, value = reply_to_header(123_456, reply_id)
    assert name == REPLY_TO_HEADER
    found = reply_to(((name, value),))
    assert found is not None
    assert found == (123_456, reply_id.encode())


async def test_whoever_stops_waiting_is_forgotten() -> None:
    heard = Heard()
    reply_id = heard.replies.new_id(now_s(), now_s() + 1)
    asking = asyncio.create_task(heard.replies.ask(reply_id, now_s() + 1))
    await asyncio.sleep(0)
    asking.cancel()
    heard.replies.take(Reply(reply_id, DECISION, b""), now_s())
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert heard.replies.awaited == 0


async def search_of(replies: Replies, kinds: list[str | None]) -> tuple[bytes | None, bool]:
    """Ask as many desks as there are kinds of answers; None stays silent."""
    search = Search(replies)
    ids = [replies.new_id(now_s(), now_s() + 1) for _ in kinds]
    for reply_id in ids:
        search.expect(reply_id)
    for reply_id, kind in zip(ids, kinds, strict=True):
        if kind is not None:
            # Said twice, as after a crash.
            for _ in range(2):
                replies.take(Reply(reply_id, kind, kind.encode()), now_s())
    return await search.result(now_s() + 0.02)


@pytest.mark.parametrize(
    ("kinds", "result"),
    [
        ([DECISION], (b"decision", True)),
        ([UNKNOWN], (None, True)),
        ([UNKNOWN, DECISION, None], (b"decision", True)),
        ([UNKNOWN, UNKNOWN, UNKNOWN], (None, True)),
        ([UNKNOWN, None, UNKNOWN], (None, False)),
        ([None], (None, False)),
    ],
)
async def test_a_search_ends_with_the_first_decision_or_when_all_know_of_none(
    kinds: list[str | None], result: tuple[bytes | None, bool]
) -> None:
    replies = Heard().replies
    assert await search_of(replies, kinds) == result
    assert replies.awaited == 0
