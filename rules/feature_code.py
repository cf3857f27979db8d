"""The text of the one Python function that the features of an entity compile to.

Features share what they have in common: where a window begins in a log is looked up once, and the number and the sum
of a window's purchases are taken once, for however many features ask for them. The text holds names and numbers only.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeGuard

from rules.entity import value_hash
from rules.plan import Aggregate, EntityPlan, Feature, Outcome, Period, Trailing, Window
from rules.windows import WindowLog

# Sums beyond this read as this: the largest number that JSON readers take for an integer of 64 bits.
MAX_SUM_MINOR: Final = 2**63 - 1

# The logs of an entity, and the outcomes whose features look at each. A station knows of no outcome and keeps all
# purchases as approved; what was released is counted only where the outcome is not asked for.
_LOGS: Final[dict[str, tuple[Outcome | None, ...]]] = {
    "approved": (None, Outcome.APPROVED),
    "declined": (None, Outcome.DECLINED),
    "released": (None,),
    "fraud": (Outcome.FRAUD,),
}
# The purchase being decided counts beside its log's, unless it is in there or the outcome says otherwise.
_COUNTS_ITSELF: Final = (None, Outcome.APPROVED)
# Before any event time, whatever is taken from one.
_NEVER_MS: Final = -(2**63)
# What is gathered, by kind: where there is nothing, and of the purchase being decided.
_NOTHING: Final = {
    "count": "0",
    "total": "0",
    "lows": "[]",
    "highs": "[]",
    "distinct": "set()",
    "newest": str(_NEVER_MS),
    "oldest": "time_ms",
}
_ITSELF: Final = {
    "count": "1",
    "total": "amount",
    "lows": "[amount]",
    "highs": "[amount]",
    "distinct": "{{value_hash(purchase, {field!r})}}",
}
_INDENT: Final = "    "


def fraud_spans(log: WindowLog, transaction: bytes, first: int, end: int) -> Sequence[tuple[int, int]]:
    """Rows [first, end) of the fraud of an entity, without the purchase itself, whose label may have come before it."""
    own = log.index_of(transaction)
    # A merged row stands for others too.
    if first <= own < end and log.count(own, own + 1) == 1:
        return (first, own), (own + 1, end)
    return ((first, end),)


def half_even(total: int, count: int) -> int:
    """total / count, rounded half to even."""
    quotient, rest = divmod(total, count)
    return quotient + (2 * rest > count or (2 * rest == count and quotient % 2 == 1))


Gathered = dict[tuple[str, Outcome | None, Window | None, str], str]


class FeatureWriter:
    """Writes the function of one plan."""

    def __init__(self, plan: EntityPlan) -> None:
        self._plan = plan
        self._windows: dict[Window, int] = {}
        # What is gathered over the logs, by kind, outcome, window and field: the name of a local.
        self._gathered: Gathered = {}
        self.bound: dict[str, Any] = {
            "bisect_right": bisect_right,
            "fraud_spans": fraud_spans,
            "half_even": half_even,
            "value_hash": value_hash,
        }

    def function(self) -> str:
        """Text of `values(logs, subject, clock)`: the plan's features in their order."""
        results = [self._result(feature) for feature in self._plan.features]
        logs = [line for log in _LOGS for line in self._log(log)]
        lines = [
            "purchase, amount, transaction, known = subject",
            "time_ms = purchase.event_time",
            *[line for window, number in self._windows.items() for line in self._begin(window, number)],
            *self._starts(),
            *logs,
            f"return [{', '.join(results)}]",
        ]
        return "\n".join(["def values(logs, subject, clock):", *[_INDENT + line for line in lines], ""])

    # -- what features read as ----------------------------------------------------------------------

    def _result(self, feature: Feature) -> str:
        """The value of a feature, once everything is gathered."""
        aggregate = feature.aggregate
        if aggregate is Aggregate.COUNT:
            return self._name("count", feature)
        if aggregate is Aggregate.SUM:
            total = self._name("total", feature)
            return f"{total} if {total} < {MAX_SUM_MINOR} else {MAX_SUM_MINOR}"
        if aggregate is Aggregate.AVG:
            count, total = self._name("count", feature), self._name("total", feature)
            return f"half_even({total}, {count}) if {count} else None"
        if aggregate is Aggregate.DISTINCT:
            values = self._name("distinct", feature, feature.field or "")
            return f"len({values}) - (0 in {values})"
        if aggregate is Aggregate.SINCE:
            newest = self._name("newest", feature)
            return f"time_ms - {newest} if {newest} >= time_ms - {self._plan.horizon_ms} else None"
        if aggregate is Aggregate.AGE:
            return f"time_ms - {self._name('oldest', feature)}"
        if aggregate is Aggregate.MIN:
            return f"min({self._name('lows', feature)}, default=None)"
        return f"max({self._name('highs', feature)}, default=None)"

    def _name(self, kind: str, feature: Feature, field: str = "") -> str:
        window = feature.window
        if window is not None:
            self._windows.setdefault(window, len(self._windows))
        key = (kind, feature.outcome, window, field)
        return self._gathered.setdefault(key, f"{kind}{len(self._gathered)}")

    # -- where it begins ----------------------------------------------------------------------------

    def _begin(self, window: Window, number: int) -> Iterator[str]:
        """The time after which a window's purchases lie."""
        if isinstance(window, Trailing):
            yield f"after{number} = time_ms - {window.length_ms}"
        else:
            yield f"after{number} = clock.bounds_ms({self._period(window.period)}, time_ms)[0] - 1"

    def _period(self, period: Period) -> str:
        name = period.name
        self.bound[name] = period
        return name

    def _starts(self) -> Iterator[str]:
        """What the locals are before the first log: the purchase itself, where it counts."""
        for (kind, _, _, _), name in self._gathered.items():
            yield f"{name} = {_NOTHING[kind]}"
        itself = {key: name for key, name in self._gathered.items() if key[1] in _COUNTS_ITSELF and key[0] in _ITSELF}
        if itself:
            yield "if not known:"
        for (kind, _, _, field), name in itself.items():
            yield f"{_INDENT}{name} = {_ITSELF[kind].format(field=field)}"

    # -- what each log adds -------------------------------------------------------------------------

    def _log(self, log: str) -> Iterator[str]:
        """What one log adds to all that looks at it."""
        gathered = {key: name for key, name in self._gathered.items() if key[1] in _LOGS[log]}
        if not gathered:
            return
        yield f"{log} = logs.{log}"
        indent = ""
        if log != "approved":
            yield f"if {log} is not None:"
            indent = _INDENT
        yield f"{indent}times = {log}.times"
        yield f"{indent}if times:"
        for line in self._rows(log, gathered):
            yield indent + _INDENT + line

    def _rows(self, log: str, gathered: Gathered) -> Iterator[str]:
        """What the rows of one log add, of which there are some: those up to the purchase's time."""
        yield "end = len(times)"
        yield "newest_ms = times[-1]"
        for (kind, *_), name in gathered.items():
            if kind == "oldest":
                yield f"if {log}.first_seen_ms < {name}:"
                yield f"{_INDENT}{name} = {log}.first_seen_ms"
        # Most purchases come in order, behind all rows.
        yield "if newest_ms > time_ms:"
        yield f"{_INDENT}end = bisect_right(times, time_ms)"
        yield f"{_INDENT}newest_ms = times[end - 1] if end else {_NEVER_MS}"
        for (kind, *_), name in gathered.items():
            if kind == "newest":
                yield from _newest(log, name)
        yield from self._windowed(log, gathered)

    def _windowed(self, log: str, gathered: Gathered) -> Iterator[str]:
        by_window: dict[Window, list[tuple[str, str, str]]] = {}
        for (kind, _, window, field), name in gathered.items():
            if window is not None:
                by_window.setdefault(window, []).append((kind, field, name))
        if not by_window:
            return
        kinds = {kind for of_window in by_window.values() for kind, _, _ in of_window}
        yield "oldest_ms = times[0]"
        if "count" in kinds:
            yield f"merged = {log}.merged"
        if "total" in kinds:
            yield f"sums = {log}.sums"
        # A shorter window begins no earlier than a longer one.
        longest_first = sorted(filter(_is_trailing, by_window), key=lambda window: -window.length_ms)
        for window in [*longest_first, *[window for window in by_window if not _is_trailing(window)]]:
            number = self._windows[window]
            least = "first" if window in longest_first[1:] else "0"
            yield f"if newest_ms > after{number}:"
            yield f"{_INDENT}first = 0"
            yield f"{_INDENT}if oldest_ms <= after{number}:"
            yield f"{_INDENT}{_INDENT}first = bisect_right(times, after{number}, {least}, end)"
            for line in _span(log, by_window[window]):
                yield _INDENT + line


def _newest(log: str, name: str) -> Iterator[str]:
    yield f"if known and end and {log}.transaction(end - 1) == transaction:"
    yield f"{_INDENT}before_ms = times[end - 2] if end > 1 else {_NEVER_MS}"
    yield "else:"
    yield f"{_INDENT}before_ms = newest_ms"
    yield f"if before_ms > {name}:"
    yield f"{_INDENT}{name} = before_ms"


def _is_trailing(window: Window) -> TypeGuard[Trailing]:
    return isinstance(window, Trailing)


def _span(log: str, of_window: Sequence[tuple[str, str, str]]) -> Iterator[str]:
    """What rows [first, end) of a log add; of fraud, without the purchase itself."""
    if log != "fraud":
        yield from [_added(log, "first", "end", *each) for each in of_window]
        return
    yield "for begin, until in fraud_spans(fraud, transaction, first, end):"
    for each in of_window:
        yield _INDENT + _added(log, "begin", "until", *each)


def _added(log: str, first: str, end: str, kind: str, field: str, name: str) -> str:
    if kind == "count":
        return f"{name} += {end} - {first} if merged is None else merged.counts[{end}] - merged.counts[{first}]"
    if kind == "total":
        return f"{name} += sums[{end}] - sums[{first}]"
    if kind == "distinct":
        return f"if {field!r} in {log}.columns: {name}.update({log}.columns[{field!r}][{first}:{end}])"
    return f"{name} += {log}.{kind}({first}, {end})"


Values = Callable[[Any, Any, Any], list[int | None]]


def compile_features(plan: EntityPlan) -> Values:
    """The function that measures a plan's features: see `FeatureWriter.function`."""
    writer = FeatureWriter(plan)
    text = writer.function()
    scope: dict[str, Any] = dict(writer.bound)
    # The text holds names, numbers and the fields of purchases that the plan counts: nothing that an analyst wrote.
    exec(compile(text, "<features>", "exec"), scope)  # noqa: S102
    return scope["values"]
