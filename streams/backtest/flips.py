"""The purchases that two rulesets decide differently: how many, and the largest with all that explains them."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.decision import Action, Reason
from models.purchase import decode_purchase
from rules.columns.evaluate import ACTIONS
from rules.language.compile import CompiledRuleset
from rules.language.planning import values_of
from rules.language.typed import Measured
from streams.backtest.contender import Party
from streams.backtest.report import Flip, Stamp, Verdict, Why
from streams.timeline.timeline import Block

_VERDICTS: Final[tuple[Verdict | None, ...]] = (None, "genuine", "fraud")


class FlipSample:
    """The largest flips by amount, of equals the earliest."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._flips: list[tuple[int, int, Flip]] = []
        self._seen = 0

    def add(self, block: Block, old: Party, new: Party, rows: NDArray[np.intp]) -> None:
        """Look at a block's flips: `rows` are those whose actions differ, in order."""
        amounts = new.judged.amount_minor[rows]
        for at in np.argsort(-amounts, kind="stable")[: self._limit]:
            amount_minor, row = int(amounts[at]), int(rows[at])
            if len(self._flips) == self._limit and amount_minor <= self._flips[0][0]:
                break
            flip = (amount_minor, -(self._seen + row), _flip(block, old, new, row))
            if len(self._flips) < self._limit:
                heapq.heappush(self._flips, flip)
            else:
                heapq.heapreplace(self._flips, flip)
        self._seen += len(block.values)

    def examples(self) -> list[Flip]:
        """The largest first."""
        return [flip for *_, flip in sorted(self._flips, key=lambda each: each[:2], reverse=True)]


def _flip(block: Block, old: Party, new: Party, row: int) -> Flip:
    purchase = decode_purchase(block.values[row])
    return Flip(
        transaction_id=purchase.transaction_id,
        account_id=purchase.account_id,
        event_time=purchase.event_time,
        amount=purchase.amount,
        currency=purchase.currency,
        amount_minor=int(new.judged.amount_minor[row]),
        old=ACTIONS[int(old.judged.actions[row])],
        new=ACTIONS[int(new.judged.actions[row])],
        old_reasons=[_why(reason) for reason in old.path.reasons(row)],
        new_reasons=[_why(reason) for reason in new.path.reasons(row)],
        stamps=_stamps(old, new, row),
        verdict=_VERDICTS[int(block.verdicts[row])],
    )


def _why(reason: Reason) -> Why:
    return Why(
        rule=reason.rule,
        code=reason.code,
        action=Action(reason.action),
        feature=reason.feature,
        observed=reason.observed,
        threshold=reason.threshold,
    )


def _stamps(old: Party, new: Party, row: int) -> list[Stamp]:
    """The features of the live rules that matched under either ruleset, as both know these rules."""
    matched = {reason.rule for party in (old, new) for reason in party.path.reasons(row)}
    names = dict.fromkeys(name for party in (new, old) for name in _features_of(party.ruleset, matched))
    old_values, new_values = old.path.features(row), new.path.features(row)
    return [Stamp(feature=name, old=old_values.get(name), new=new_values.get(name)) for name in names]


def _features_of(ruleset: CompiledRuleset, rules: set[str]) -> Iterator[str]:
    for rule, condition in zip(ruleset.document.rules, ruleset.conditions, strict=True):
        if rule.id in rules:
            yield from (value.feature.name for value in values_of(condition) if isinstance(value, Measured))
