"""The text of the one Python function that the features of an entity compile to.

Features share what they have in common: where a window begins in a log is looked up once, and the number and the sum
of a window's purchases are taken once, for however many features ask for them. The text holds names and numbers only.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

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


class FeatureWriter:
    """Writes the function of one plan."""

    def __init__(self, plan: EntityPlan) -> None:
        self._plan = plan
        self._windows: dict[Window, int] = {}
        # What is gathered over the logs, by kind, outcome, window and field: the name of a local.
        self._gathered: dict[tuple[str, Outcome | None, Window | None, str], str] = {}
        self.bound: dict[str, Any] = {
            "bisect_right": bisect_right,
            "fraud_spans": fraud_spans,
            "half_even": half_even,
            "value_hash": value_hash,
            "MAX_SUM_MINOR": MAX_SUM_MINOR,
            "NEVER_MS": _NEVER_MS,
        }

    def function(self) -> str:
        """Text of `values(logs, subject, clock)`: the plan's features in their order."""
        results = [self._result(feature) for feature in self._plan.features]
        logs = [line for log in _LOGS for line in self._log(log)]
        lines = [
            "approved, declined, fraud, released = logs",
            "purchase, amount, transaction, known = subject",
            "time_ms = purchase.event_time",
            *[line for window, number in self._windows.items() for line in self._begin(window, number)],
            *[self._start(key, name) for key, name in self._gathered.items()],
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
            return f"{total} if {total} < MAX_SUM_MINOR else MAX_SUM_MINOR"
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

    def _start(self, key: tuple[str, Outcome | None, Window | None, str], name: str) -> str:
        """What a local is before the first log: the purchase itself, where it counts."""
        kind, outcome, _, field = key
        itself = outcome in _COUNTS_ITSELF
        starts = {
            "count": ("0 if known else 1", "0"),
            "total": ("0 if known else amount", "0"),
            "lows": ("[] if known else [amount]", "[]"),
            "highs": ("[] if known else [amount]", "[]"),
            "distinct": (f"set() if known else {{value_hash(purchase, {field!r})}}", "set()"),
            "newest": ("NEVER_MS", "NEVER_MS"),
            "oldest": ("time_ms", "time_ms"),
        }[kind]
        return f"{name} = {starts[0 if itself else 1]}"

    # -- what each log adds -------------------------------------------------------------------------

    def _log(self, log: str) -> Iterator[str]:
        """What one log adds to all that looks at it."""
        gathered = {key: name for key, name in self._gathered.items() if key[1] in _LOGS[log]}
        if not gathered:
            return
        indent = ""
        if log != "approved":
            yield f"if {log} is not None:"
            indent = _INDENT
        yield f"{indent}times = {log}.times"
        yield f"{indent}end = len(times)"
        yield f"{indent}if end:"
        indent += _INDENT
        for line in self._ages(log, gathered):
            yield indent + line
        yield f"{indent}if times[-1] > time_ms:"
        yield f"{indent}{_INDENT}end = bisect_right(times, time_ms)"
        inner = [*self._newest(log, gathered), *self._windowed(log, gathered)]
        if inner:
            yield f"{indent}if end:"
            for line in inner:
                yield indent + _INDENT + line

    def _ages(self, log: str, gathered: dict[Any, str]) -> Iterator[str]:
        for (kind, *_), name in gathered.items():
            if kind == "oldest":
                yield f"if {log}.first_seen_ms < {name}:"
                yield f"{_INDENT}{name} = {log}.first_seen_ms"

    def _newest(self, log: str, gathered: dict[Any, str]) -> Iterator[str]:
        for (kind, *_), name in gathered.items():
            if kind == "newest":
                yield "newest = end - 1"
                yield f"if known and {log}.transaction(newest) == transaction:"
                yield f"{_INDENT}newest -= 1"
                yield f"if newest >= 0 and times[newest] > {name}:"
                yield f"{_INDENT}{name} = times[newest]"

    def _windowed(self, log: str, gathered: dict[Any, str]) -> Iterator[str]:
        by_window: dict[Window, list[tuple[str, str, str]]] = {}
        for (kind, _, window, field), name in gathered.items():
            if window is not None:
                by_window.setdefault(window, []).append((kind, field, name))
        if not by_window:
            return
        kinds = {kind for of_window in by_window.values() for kind, _, _ in of_window}
        yield "oldest_ms, newest_ms = times[0], times[end - 1]"
        if "count" in kinds:
            yield f"merged = {log}.merged"
        if "total" in kinds:
            yield f"sums = {log}.sums"
        for window, of_window in by_window.items():
            number = self._windows[window]
            yield f"if newest_ms > after{number}:"
            yield f"{_INDENT}first = 0 if oldest_ms > after{number} else bisect_right(times, after{number}, 0, end)"
            for line in self._span(log, of_window):
                yield _INDENT + line

    def _span(self, log: str, of_window: Sequence[tuple[str, str, str]]) -> Iterator[str]:
        """What rows [first, end) of a log add; of fraud, without the purchase itself."""
        added = [_added(log, *each) for each in of_window]
        if log != "fraud":
            yield from added
            return
        yield "whole = end"
        yield "for first, end in fraud_spans(fraud, transaction, first, end):"
        for line in added:
            yield _INDENT + line
        yield "end = whole"


def _added(log: str, kind: str, field: str, name: str) -> str:
    if kind == "count":
        return f"{name} += end - first if merged is None else merged.counts[end] - merged.counts[first]"
    if kind == "total":
        return f"{name} += sums[end] - sums[first]"
    if kind == "distinct":
        return f"if {field!r} in {log}.columns: {name}.update({log}.columns[{field!r}][first:end])"
    return f"{name} += {log}.{kind}(first, end)"


Values = Callable[[Any, Any, Any], list[int | None]]


def compile_features(plan: EntityPlan) -> Values:
    """The function that measures a plan's features: see `FeatureWriter.function`."""
    writer = FeatureWriter(plan)
    text = writer.function()
    scope: dict[str, Any] = dict(writer.bound)
    # The text holds names, numbers and the fields of purchases that the plan counts: nothing that an analyst wrote.
    exec(compile(text, "<features>", "exec"), scope)  # noqa: S102
    return scope["values"]
