"""Degraded answers: what a gateway says of a purchase when the full decision does not come in time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from models.decision import Action, Decision
from models.money import MAX_MINOR, MoneyError
from models.purchase import Purchase
from rules.decider import decision_of
from rules.language.compile import CompiledRuleset, Verdict
from rules.language.stateless import stateless_part
from rules.step import amount_in

# Tiers: which of the two answered.
STATELESS_RULES: Final = "stateless-rules"
DEFAULT: Final = "default"
TIERS: Final = (STATELESS_RULES, DEFAULT)
# Causes: why the full decision was not waited for any longer, or at all.
DEADLINE: Final = "deadline"
BREAKER_OPEN: Final = "breaker-open"
NO_BROKER: Final = "no-broker"
OVERLOADED: Final = "overloaded"
CAUSES: Final = (DEADLINE, BREAKER_OPEN, NO_BROKER, OVERLOADED)

_BAND: Final = re.compile(r"(?P<action>[a-z]+)\s*(?:<\s*(?P<below>[0-9]{1,19}))?", re.ASCII)
_EXAMPLE: Final = "approve<20000,flag<200000,block"


class AmountBand(NamedTuple):
    """What is answered to amounts below a bound, in minor units of the ruleset's currency; the last has none."""

    below_minor: int | None
    action: Action


def parse_bands(text: str) -> tuple[AmountBand, ...]:
    """Read amount bands, e.g. `approve<20000,flag<200000,block`: bounds ascend, and the last band has none.

    Raises ValueError, whose text says what is wrong and how to mend it.
    """
    bands = [_band(part.strip()) for part in text.split(",")]
    if bands[-1].below_minor is not None:
        raise ValueError(
            f"the last band, {bands[-1].action}<{bands[-1].below_minor}, has a bound: end with an action for all "
            f"larger amounts, like {_EXAMPLE}"
        )
    below = 0
    for band in bands[:-1]:
        if band.below_minor is None:
            raise ValueError(f"{band.action} has no bound and is not the last band: bound it, like {_EXAMPLE}")
        if band.below_minor <= below:
            raise ValueError(
                f"{band.action}<{band.below_minor} holds no amount: begin above 0 and let bounds ascend, "
                f"like {_EXAMPLE}"
            )
        below = band.below_minor
    return tuple(bands)


def _band(part: str) -> AmountBand:
    read = _BAND.fullmatch(part)
    if read is None or read["action"] not in tuple(Action):
        raise ValueError(
            f"{part!r} is no amount band: write approve, flag or block and, but for the last, a bound in minor "
            f"units, like {_EXAMPLE}"
        )
    below = int(read["below"]) if read["below"] else None
    if below is not None and below > MAX_MINOR:
        raise ValueError(f"{part!r} is bounded beyond 10^18 minor units: take a smaller bound, or leave the band out")
    return AmountBand(below, Action(read["action"]))


class DegradedAnswers:
    """Answers without the stream, in two tiers.

    First the rules in force that need no state, judged as the full decision judges: where a live one matches, they
    answer, an allow with approve. Else the amount decides, by its band; shadow rules that matched are told there
    too, and decide nothing. An amount that can't be told in the ruleset's currency, for want of a rate or of a
    ruleset, is in the last band.
    """

    def __init__(self, bands: Sequence[AmountBand]) -> None:
        """`bands` in ascending order, the last without a bound, as from `parse_bands`."""
        self._bands = tuple(bands)
        self._rules: CompiledRuleset | None = None

    def use(self, ruleset: CompiledRuleset | None) -> None:
        """Answer by these rules from now on. What of them needs no state is worked out here, once."""
        self._rules = stateless_part(ruleset) if ruleset is not None else None

    def answer(self, purchase: Purchase, cause: str) -> Decision:
        """The answer to a purchase, `degraded` being its tier and its cause."""
        rules = self._rules
        if rules is None:
            return decision_without_rules(purchase, self._bands[-1].action, (DEFAULT, cause))
        try:
            amount_minor = amount_in(rules.plan, purchase)
        except MoneyError:
            verdict = Verdict(self._bands[-1].action, False, [], [])
            return decision_of(rules, purchase, (), verdict, degraded=(DEFAULT, cause))
        verdict = _judged(rules, purchase, amount_minor)
        tier = STATELESS_RULES
        if not verdict.reasons:
            tier, verdict = DEFAULT, verdict._replace(action=self._default(amount_minor))
        return decision_of(rules, purchase, (), verdict, degraded=(tier, cause))

    def _default(self, amount_minor: int) -> Action:
        for below_minor, action in self._bands:
            if below_minor is None or amount_minor < below_minor:
                return action
        raise AssertionError("the last band has no bound")


def decision_without_rules(purchase: Purchase, action: str, degraded: Sequence[str]) -> Decision:
    """The decision on a purchase that no ruleset was asked about."""
    return Decision(
        transaction_id=purchase.transaction_id,
        account_id=purchase.account_id,
        action=action,
        reasons=[],
        shadow=[],
        anomaly=None,
        contributions=[],
        features={},
        ruleset="",
        ruleset_version="",
        amount=purchase.amount,
        currency=purchase.currency,
        event_time=purchase.event_time,
        late=False,
        degraded=list(degraded),
    )


def _judged(rules: CompiledRuleset, purchase: Purchase, amount_minor: int) -> Verdict:
    # No features, no anomaly, no credit: these rules ask for none.
    return rules.evaluate(purchase, amount_minor, (), (), None, None, None)
