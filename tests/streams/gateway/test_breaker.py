"""The breaker: when it opens, who probes, what closes it; held against a model that remembers everything."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.gateway.breaker import Breaker, BreakerState

FAILURES, PROBE_S, LONGEST_S, LEAST_S, REPLY_S = 3, 0.25, 1.0, 0.05, 0.09
ADMIT, STUCK, MISS, REPLY = "admit", "stuck", "miss", "reply"
# Of requests that allow too little, and to ones that allowed much.
SHORT_ADMIT, SHORT_MISS, OLD_REPLY = "short-admit", "short-miss", "old-reply"


class Event(NamedTuple):
    kind: str
    at_s: float


class Model:
    """Says of any moment what is so, by looking through all that has happened."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.probes_s: list[float] = []

    def opened_s(self) -> float | None:
        """Since when it is open: the last of enough misses after the last reply."""
        misses: list[float] = []
        for event in self.events:
            is_open = len(misses) >= FAILURES
            if event.kind == REPLY or (event.kind == OLD_REPLY and not is_open):
                misses = []
            elif event.kind in (MISS, STUCK):
                misses.append(event.at_s)
        return misses[FAILURES - 1] if len(misses) >= FAILURES else None

    def expects(self, kind: str, at_s: float) -> bool | None:
        """What a breaker answers to an event, which is not among those that happened yet."""
        if kind == ADMIT:
            return self.admits(at_s)
        if kind == SHORT_ADMIT:
            return self.opened_s() is None
        return False if kind == STUCK else None

    def admits(self, at_s: float) -> bool:
        opened_s = self.opened_s()
        if opened_s is None:
            return True
        if any(at_s - probe_s < PROBE_S for probe_s in [opened_s, *self.probes_s] if probe_s >= opened_s):
            return False
        self.probes_s.append(at_s)
        return True


def breaker() -> Breaker:
    return Breaker(FAILURES, PROBE_S, LONGEST_S, LEAST_S, REPLY_S)


def happens(subject: Breaker, event: Event) -> bool | None:
    match event.kind:
        case "admit":
            return subject.admits(event.at_s, LEAST_S)
        case "short-admit":
            return subject.admits(event.at_s, LEAST_S - 0.001)
        case "stuck":
            return subject.admits(event.at_s, LEAST_S, LONGEST_S + 0.1)
        case "miss":
            return subject.missed(event.at_s, LEAST_S)
        case "short-miss":
            return subject.missed(event.at_s, LEAST_S - 0.001)
        case "old-reply":
            return subject.replied(REPLY_S + 0.001)
        case _:
            return subject.replied(REPLY_S)


# Sums of eighths are exact, so that a quarter of a second is one.
steps = st.tuples(
    st.sampled_from([ADMIT, ADMIT, ADMIT, STUCK, MISS, MISS, REPLY, SHORT_ADMIT, SHORT_MISS, OLD_REPLY]),
    st.sampled_from([0, 0.125, 0.25, 1]),
)


@given(st.lists(steps, max_size=60))
def test_it_admits_what_the_model_admits(drawn: list[tuple[str, float]]) -> None:
    subject, model, now_s = breaker(), Model(), 1_000.0
    for kind, pause_s in drawn:
        now_s += pause_s
        event = Event(kind, now_s)
        expected = model.expects(kind, now_s)
        model.events.append(event)
        assert happens(subject, event) is expected
        assert (subject.state is BreakerState.CLOSED) is (model.opened_s() is None)


@pytest.mark.parametrize(
    ("happened", "state"),
    [
        ("", BreakerState.CLOSED),
        ("miss miss", BreakerState.CLOSED),
        ("miss miss miss", BreakerState.OPEN),
        ("miss miss reply miss miss", BreakerState.CLOSED),
        ("stuck stuck stuck", BreakerState.OPEN),
        ("miss miss miss wait admit", BreakerState.HALF_OPEN),
        ("miss miss miss wait admit miss", BreakerState.OPEN),
        ("miss miss miss wait admit reply", BreakerState.CLOSED),
        ("miss miss miss reply", BreakerState.CLOSED),
        ("miss short-miss miss short-miss short-miss", BreakerState.CLOSED),
        ("miss miss miss wait short-admit", BreakerState.OPEN),
        ("miss miss miss wait admit short-miss", BreakerState.HALF_OPEN),
        ("miss miss miss old-reply", BreakerState.OPEN),
        ("miss miss old-reply miss", BreakerState.CLOSED),
        ("miss miss miss wait admit miss reply", BreakerState.CLOSED),
    ],
)
def test_states_follow_each_other(happened: str, state: BreakerState) -> None:
    subject, now_s = breaker(), 0.0
    for kind in happened.split():
        now_s += 10 * PROBE_S if kind == "wait" else 0
        if kind != "wait":
            happens(subject, Event(kind, now_s))
    assert subject.state is state


def test_while_it_is_open_one_request_each_interval_finds_out() -> None:
    subject = breaker()
    for _ in range(FAILURES):
        subject.missed(0.0, LEAST_S)
    asked_s = [number / 100 for number in range(1, 100)]
    assert [at_s for at_s in asked_s if subject.admits(at_s, LEAST_S)] == [0.25, 0.5, 0.75]


def test_a_request_behind_records_that_cannot_be_written_does_not_wait_while_others_do() -> None:
    subject = breaker()
    assert not subject.admits(1.0, LEAST_S, waiting_s=LONGEST_S + 0.001)
    assert subject.admits(1.0, LEAST_S, waiting_s=LONGEST_S)
    assert subject.state is BreakerState.CLOSED
