"""How well fraud was told from good purchases."""

from __future__ import annotations

from models.decision import Action
from rules.columns.evaluate import ACTIONS
from streams.backtest.judged import CODE_OF
from streams.backtest.maturity import Known
from streams.backtest.report import Caught, Detection, Unlabelled
from streams.backtest.tallies import Tally


def good_of(unlabelled_as: Unlabelled) -> tuple[Known, ...]:
    """What counts as a good purchase."""
    return (Known.GENUINE, Known.UNLABELLED) if unlabelled_as == "genuine" else (Known.GENUINE,)


def detection_of(tally: Tally, unlabelled_as: Unlabelled, *, is_new: bool) -> Detection:
    """What the new or the old ruleset caught, by what it blocked and by what it stopped."""
    block, flag = CODE_OF[Action.BLOCK], CODE_OF[Action.FLAG]
    return Detection(
        blocked=_caught(tally, {block}, unlabelled_as, is_new=is_new),
        stopped=_caught(tally, {flag, block}, unlabelled_as, is_new=is_new),
    )


def _caught(tally: Tally, stopping: set[int], unlabelled_as: Unlabelled, *, is_new: bool) -> Caught:
    good, passing = good_of(unlabelled_as), set(range(len(ACTIONS))) - stopping

    def both(actions: set[int], *known: Known) -> tuple[int, int]:
        asked = [(None, action) if is_new else (action, None) for action in actions]
        return (
            sum(tally.count(old, new, *known) for old, new in asked),
            sum(tally.amount(old, new, *known) for old, new in asked),
        )

    tp, saved_minor = both(stopping, Known.FRAUD)
    fp, wrongly_minor = both(stopping, *good)
    fn, missed_minor = both(passing, Known.FRAUD)
    tn, _ = both(passing, *good)
    return Caught(
        tp=tp,
        fp=fp,
        fn=fn,
        tn=tn,
        precision=tp / (tp + fp) if tp + fp else None,
        recall=tp / (tp + fn) if tp + fn else None,
        false_positives_per_fraud=fp / tp if tp else None,
        amount_saved_minor=saved_minor,
        amount_wrongly_stopped_minor=wrongly_minor,
        amount_missed_minor=missed_minor,
    )
