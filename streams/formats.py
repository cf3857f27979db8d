"""How a report's figures look to people: one text for one figure, in a terminal, in tables and on charts alike."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from models.money import decimals_of, format_minor

# Where there is no figure: nothing to divide by, or nothing known.
NONE: Final = "n/a"


class Formats:
    """Formats for one report: money in `currency`, times in `time_zone` (an IANA name); `none` is a missing figure."""

    def __init__(self, currency: str, time_zone: str, none: str = NONE) -> None:
        self.currency = currency
        self.time_zone = time_zone
        self.none = none
        self._zone = ZoneInfo(time_zone)
        self._decimals = decimals_of(currency)

    def count(self, value: int | None) -> str:
        """A number of things: `12,345`."""
        return self.none if value is None else f"{value:,}"

    def counted(self, value: int, noun: str) -> str:
        """A number of things with their name, a noun with a plural in s: `1 purchase`, `2 purchases`."""
        return f"{value:,} {noun}" if value == 1 else f"{value:,} {noun}s"

    def money(self, amount_minor: int | None) -> str:
        """An amount in major units, the currency said elsewhere: `1,234.56`."""
        return self.none if amount_minor is None else self.money_named(amount_minor).removesuffix(f" {self.currency}")

    def money_named(self, amount_minor: int) -> str:
        """An amount in major units with its currency: `1,234.56 CNY`."""
        return format_minor(amount_minor, self.currency)

    def major(self, amount_minor: int) -> float:
        """An amount in major units, for the axis of a chart."""
        return amount_minor / 10**self._decimals

    def share(self, share: float | None) -> str:
        """A share as per cent: `12.34%`. What is not nothing, or not all, is not rounded to it."""
        if share is None:
            return self.none
        text = f"{share:.2%}"
        if text == "0.00%" and share > 0:
            return "<0.01%"
        if text == "100.00%" and share < 1:
            return ">99.99%"
        return text

    def ratio(self, value: float | None) -> str:
        """A quotient, or a time in seconds: `1,234.56`."""
        return self.none if value is None else f"{value:,.2f}"

    def rate(self, value: float | None) -> str:
        """A rate by the second, in whole numbers: `1,234,567`."""
        return self.none if value is None else f"{value:,.0f}"

    def when(self, time_ms: int | None) -> str:
        """A moment in the report's time zone, to the second: `2026-03-02 14:05:09`."""
        return self.none if time_ms is None else self._moment(time_ms).strftime("%Y-%m-%d %H:%M:%S")

    def minute(self, time_ms: int | None) -> str:
        """A moment in the report's time zone, to the minute: `2026-03-02 14:05`."""
        return self.none if time_ms is None else self._moment(time_ms).strftime("%Y-%m-%d %H:%M")

    def day(self, time_ms: int | None) -> str:
        """The day of a moment in the report's time zone: `2026-03-02`."""
        return self.none if time_ms is None else self._moment(time_ms).strftime("%Y-%m-%d")

    def _moment(self, time_ms: int) -> datetime:
        return datetime.fromtimestamp(time_ms / 1000, self._zone)
