"""Calendar windows: where a day, a week or a month began, in the ruleset's time zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from rules.plan import Period


class PeriodClock:
    """Bounds of calendar periods in one time zone; it remembers the last one asked of each kind.

    A period begins at the first instant of its first local day: where clocks skip midnight, that is the
    instant of the change; where they pass midnight twice, the first time, and the hour between belongs to the
    period that has begun.
    """

    def __init__(self, time_zone: str) -> None:
        self.zone = ZoneInfo(time_zone)
        self._last: dict[Period, tuple[int, int]] = {}

    def bounds_ms(self, period: Period, event_time_ms: int) -> tuple[int, int]:
        """Start of the period that holds this time, and start of the next, in epoch milliseconds."""
        last = self._last.get(period)
        if last is not None and last[0] <= event_time_ms < last[1]:
            return last
        today = datetime.fromtimestamp(event_time_ms / 1000, self.zone).date()
        first, following = _days(period, today)
        bounds = (self._start_ms(first), self._start_ms(following))
        if event_time_ms >= bounds[1]:
            # The clock has gone back across midnight: what began stays begun.
            bounds = (bounds[1], self._start_ms(_days(period, following)[1]))
        self._last[period] = bounds
        return bounds

    def hour(self, event_time_ms: int) -> int:
        """Hour of the local day, 0 to 23."""
        return self.local(event_time_ms).hour

    def local(self, event_time_ms: int) -> datetime:
        """The local date and time of an instant."""
        return datetime.fromtimestamp(event_time_ms / 1000, self.zone)

    def _start_ms(self, day: date) -> int:
        midnight = datetime(day.year, day.month, day.day, tzinfo=self.zone)
        return int(midnight.astimezone(UTC).timestamp()) * 1000


def _days(period: Period, today: date) -> tuple[date, date]:
    if period is Period.TODAY:
        return today, today + timedelta(days=1)
    if period is Period.THIS_WEEK:
        monday = today - timedelta(days=today.weekday())
        return monday, monday + timedelta(days=7)
    first = today.replace(day=1)
    return first, (first + timedelta(days=32)).replace(day=1)


@lru_cache(maxsize=64)
def period_clock(time_zone: str) -> PeriodClock:
    """The one clock of a time zone (an IANA name)."""
    return PeriodClock(time_zone)
