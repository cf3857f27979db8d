"""What is asked of a sweep."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from models.money import decimals_of
from streams.backtest.report import Unlabelled
from streams.backtest.run import DAY_MS
from streams.tune.errors import TuneError
from streams.tune.report import Budget


@dataclass(frozen=True)
class Limits:
    """What the best candidate may cost; None where there is no limit.

    At most so great a part of all purchases flagged, and blocked, and good ones stopped of at most this amount, in
    major units of the ruleset's currency.
    """

    max_flag_share: float | None = None
    max_block_share: float | None = None
    max_cost: Decimal | None = None

    def budget(self, currency: str) -> Budget | None:
        """The same in minor units; None without a limit. Raises TuneError for an amount that is none."""
        if self == NO_LIMITS:
            return None
        return Budget(
            max_flag_share=self.max_flag_share,
            max_block_share=self.max_block_share,
            max_cost_minor=None if self.max_cost is None else _minor(self.max_cost, currency),
        )


NO_LIMITS: Final = Limits()


@dataclass(frozen=True)
class RuleText:
    """A rule file: its `text` as it lies there, line ends and all, where it is from, and its name in a patch."""

    text: str
    file: str
    name_in_patch: str


@dataclass(frozen=True)
class TuneOptions:
    """What is asked of a sweep; see `streams.backtest.report.Labels` for the first two.

    `holdout` is the last part of the purchases that count, from 0 (none) up to 1, that candidates are not chosen on.
    """

    maturity_ms: int = 60 * DAY_MS
    unlabelled_as: Unlabelled = "left-out"
    holdout: float = 0.25
    max_candidates: int = 5_000
    limits: Limits = NO_LIMITS


def _minor(amount: Decimal, currency: str) -> int:
    decimals = decimals_of(currency)
    minor = amount.scaleb(decimals)
    if minor != minor.to_integral_value():
        raise TuneError(f"a cost of at most {amount:f} {currency}: {currency} has {decimals} decimals")
    return int(minor)
