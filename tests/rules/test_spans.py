"""Spans give out what is to be looked at, span by span, and nothing else."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from rules.spans import NEVER_MS, Spans

BITS = 20
SPAN_MS = 2**BITS
TIMES_MS = st.integers(-2 * SPAN_MS, 9 * SPAN_MS)
# What is entered, or until when what is due is taken.
STEPS = st.lists(st.tuples(st.sampled_from(["enter", "enter two", "take", "keep odd"]), TIMES_MS), max_size=60)


@given(STEPS)
def test_what_was_entered_is_taken_span_by_span_in_the_order_in_which_it_came(steps: list[tuple[str, int]]) -> None:
    spans, there = Spans[int](BITS), defaultdict[int, list[int]](list)
    for thing, (step, at_ms) in enumerate(steps):
        if step == "enter":
            spans.enter(thing, at_ms)
            there[at_ms // SPAN_MS].append(thing)
        elif step == "enter two":
            both, times_ms = (thing, -thing), (at_ms, at_ms // 2)
            spans.enter_all(both, times_ms)
            for each, each_ms in zip(both, times_ms, strict=True):
                there[each_ms // SPAN_MS].append(each)
        elif step == "take":
            taken = [(span, there.pop(span)) for span in sorted(there) if span <= at_ms // SPAN_MS]
            assert [*spans.take_until(spans.span_of(at_ms))] == taken
        else:
            spans.keep_only(lambda _, things: [each for each in things if each % 2])
            odd = {span: [each for each in things if each % 2] for span, things in there.items()}
            there = defaultdict(list, {span: things for span, things in odd.items() if things})
        assert len(spans) == sum(map(len, there.values()))
        first = min(there, default=None)
        assert spans.begins_ms == (NEVER_MS if first is None else first * SPAN_MS)


def test_what_is_entered_while_spans_are_taken_is_taken_with_them_where_it_is_due() -> None:
    spans = Spans[str](BITS)
    spans.enter("first", 0)
    taken: list[str] = []
    for span, things in spans.take_until(2):
        taken += things
        if span == 0:
            spans.enter("due", 2 * SPAN_MS)
            spans.enter("later", 3 * SPAN_MS)
    assert taken == ["first", "due"]
    assert len(spans) == 1
