"""Fetch sessions, held against a broker that does by the book what it is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from streams.engine.fetch_session import Asked, FetchSession, Question, Topics

UNKNOWN_SESSION, WRONG_NUMBER = 70, 71

positions = st.dictionaries(
    st.sampled_from(["purchases", "assessments", "labels"]),
    st.dictionaries(st.integers(0, 3), st.integers(0, 2), max_size=4),
)
# What becomes of each request: it is answered, or its answer is lost, or it never arrives, or the broker forgot all.
fates = st.sampled_from(["answered"] * 4 + ["answer lost", "never arrived", "forgotten before"])


@dataclass
class Broker:
    """One broker's sessions: of each the number that comes next, and what it reads."""

    keeps: bool = True
    made: int = 0
    sessions: dict[int, tuple[int, dict[tuple[str, int], Asked]]] = field(
        default_factory=dict[int, tuple[int, dict[tuple[str, int], Asked]]]
    )

    def take(self, question: Question) -> tuple[int, int, dict[tuple[str, int], Asked]]:
        """A session, an error code, and what is read for the one who asks."""
        session_id, number, topics, forgotten = question
        if number == 0:
            self.sessions.pop(session_id, None)
            reads = read(topics)
            if not self.keeps:
                return 0, 0, reads
            self.made += 1
            self.sessions[self.made] = 1, reads
            return self.made, 0, reads
        if session_id not in self.sessions:
            return 0, UNKNOWN_SESSION, {}
        expected, before = self.sessions[session_id]
        if number != expected:
            return session_id, WRONG_NUMBER, {}
        gone = {(topic, part) for topic, parts in forgotten for part in parts}
        assert gone <= before.keys()
        reads = {**{at: asked for at, asked in before.items() if at not in gone}, **read(topics)}
        self.sessions[session_id] = number + 1, reads
        return session_id, 0, reads


def read(topics: Topics) -> dict[tuple[str, int], Asked]:
    return {(topic, asked[0]): asked for topic, parts in topics for asked in parts}


def topics_of(wanted: dict[str, dict[int, int]]) -> Topics:
    return [(topic, [(part, position, 9) for part, position in parts.items()]) for topic, parts in wanted.items()]


@given(st.lists(st.tuples(positions, fates), max_size=25), st.booleans())
def test_a_broker_that_answers_reads_what_is_asked_and_nothing_else(
    story: list[tuple[dict[str, dict[int, int]], str]], keeps: bool
) -> None:
    session, broker = FetchSession(), Broker(keeps)
    failed = 0
    for wanted, fate in story:
        topics = topics_of(wanted)
        question = session.ask(topics)
        if fate == "forgotten before":
            broker.sessions.clear()
        session_id, error_code, reads = broker.take(question) if fate != "never arrived" else (0, 0, {})
        if fate in ("never arrived", "answer lost"):
            session.lost()
            continue
        session.answered(session_id, error_code)
        failed = failed + 1 if error_code else 0
        assert failed <= 1, "what a broker does not know is asked in full next"
        if not failed:
            assert reads == read(topics)


def asked_of(session: FetchSession, wanted: dict[str, dict[int, int]]) -> tuple[Topics, Sequence[object]]:
    question = session.ask(topics_of(wanted))
    session.answered(7, 0)
    return question.topics, question.forgotten


def test_only_what_has_moved_is_asked_again() -> None:
    session = FetchSession()
    first = {"purchases": {0: 5, 1: 6}, "labels": {0: 0}}
    assert asked_of(session, first) == (topics_of(first), ())
    assert asked_of(session, first) == ([], [])
    moved = {"purchases": {0: 5, 1: 9}, "labels": {0: 0}}
    assert asked_of(session, moved) == ([("purchases", [(1, 9, 9)])], [])
    assert asked_of(session, {"purchases": {1: 9}}) == ([], [("purchases", [0]), ("labels", [0])])


def test_a_broker_without_sessions_is_asked_for_all_of_it_each_time() -> None:
    session = FetchSession()
    topics = topics_of({"purchases": {0: 5}})
    for _ in range(3):
        assert session.ask(topics) == Question(0, 0, topics)
        session.answered(0, 0)


def test_after_an_answer_was_lost_the_session_is_replaced() -> None:
    session = FetchSession()
    topics = topics_of({"purchases": {0: 5}})
    session.ask(topics)
    session.answered(7, 0)
    session.ask(topics)
    session.lost()
    assert session.ask(topics) == Question(7, 0, topics)
    session.answered(8, 0)
    assert session.ask(topics) == Question(8, 1, [], [])
