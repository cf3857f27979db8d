"""An account's credit: its limit, what is used of it, and what is available."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from models.money import MAX_MINOR, MoneyError, convert_minor

# Repayments are remembered by id, so that one delivered twice frees credit once.
_REMEMBERED_REPAYMENTS = 64


class Available(NamedTuple):
    """Credit in minor units of the ruleset's currency; None where the account was never given a limit."""

    available_minor: int | None
    limit_minor: int | None


class Limit(NamedTuple):
    """A credit limit in minor units of its own currency, and since when the account has it, epoch milliseconds."""

    limit_minor: int
    currency: str
    event_time_ms: int


class Credit:
    """Credit of one account. What is used is kept in the currency in which it was last reckoned ("": never)."""

    __slots__ = ("currency", "limit", "repayments", "used_minor")

    def __init__(self) -> None:
        self.limit: Limit | None = None
        self.used_minor = 0
        self.currency = ""
        self.repayments: tuple[str, ...] = ()

    def set_limit(self, limit_minor: int, currency: str, event_time_ms: int) -> None:
        """Take a credit limit; one that is older than what is known is passed over."""
        if self.limit is None or event_time_ms >= self.limit.event_time_ms:
            self.limit = Limit(limit_minor, currency, event_time_ms)

    def use(self, amount_minor: int, currency: str, rates: Mapping[str, Decimal]) -> None:
        """Add to what is used (a negative amount frees it), in the ruleset's currency."""
        if self.currency != currency:
            self._reckon_in(currency, rates)
        used_minor = self.used_minor + amount_minor
        self.used_minor = used_minor if -MAX_MINOR <= used_minor <= MAX_MINOR else _bounded(used_minor)

    def shift(self, amount_minor: int, source: str, currency: str, rates: Mapping[str, Decimal]) -> None:
        """Add an amount of a currency that may be one which the ruleset had before, as what is used may be.

        Raises MoneyError where a rate is missing; then nothing has changed.
        """
        if source == self.currency:
            self.use(amount_minor, source, rates)
        else:
            self.use(convert_minor(amount_minor, source, currency, rates), currency, rates)

    def reckons_in(self, currency: str, rates: Mapping[str, Decimal]) -> bool:
        """Whether there is a rate for what is used; if so it is kept in that currency from now on."""
        if self.currency == currency:
            return True
        try:
            self._reckon_in(currency, rates)
        except MoneyError:
            return False
        return True

    def repay(self, repayment_id: str, amount_minor: int, currency: str, rates: Mapping[str, Decimal]) -> bool:
        """Free credit, once for each repayment; returns whether it was new."""
        if repayment_id in self.repayments:
            return False
        self.use(-amount_minor, currency, rates)
        self.repayments = (*self.repayments, repayment_id)[-_REMEMBERED_REPAYMENTS:]
        return True

    def available(self, currency: str, rates: Mapping[str, Decimal]) -> Available:
        """What is left of the limit. Raises MoneyError where a rate is missing."""
        if self.currency != currency:
            self._reckon_in(currency, rates)
        if self.limit is None:
            return Available(None, None)
        limit_minor = convert_minor(self.limit.limit_minor, self.limit.currency, currency, rates)
        return Available(limit_minor - self.used_minor, limit_minor)

    def _reckon_in(self, currency: str, rates: Mapping[str, Decimal]) -> None:
        if self.currency:
            self.used_minor = convert_minor(self.used_minor, self.currency, currency, rates)
        self.currency = currency


def _bounded(amount_minor: int) -> int:
    return max(-MAX_MINOR, min(MAX_MINOR, amount_minor))
