"""Whether a recording's labels can tell better values from worse."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from rules.language.compile import CompiledRuleset
from streams.backtest.detection import good_of
from streams.backtest.maturity import Known
from streams.backtest.run import DAY_MS
from streams.tune.errors import TuneError
from streams.tune.options import TuneOptions
from streams.tune.survey import Survey


def require_worth(seen: Survey, recording: str, ruleset: CompiledRuleset, options: TuneOptions) -> None:
    """Raises TuneError where there is no fraud or no good purchase to choose by, with what to do about it."""
    plan = ruleset.plan
    if not any(map(sum, seen.known)):
        raise TuneError(
            f"{recording}: no purchase can be judged: {ruleset.id}, in {plan.currency}, has no rate for their "
            "currencies: add `rates`"
        )
    good = good_of(options.unlabelled_as)
    if not seen.count(Known.FRAUD) or not sum(map(seen.count, good)):
        raise TuneError(f"{recording}: {_lacking(seen, options)}")
    first, _ = seen.known
    if not first[Known.FRAUD] or not sum(first[known] for known in good):
        assert seen.split_ms is not None, "else there is one part alone"
        lacking = "good purchase" if first[Known.FRAUD] else "fraud"
        split = datetime.fromtimestamp(seen.split_ms / 1000, ZoneInfo(plan.time_zone)).strftime("%Y-%m-%d %H:%M")
        raise TuneError(
            f"{recording}: no {lacking} before {split}, where the part held out begins, to choose values by: hold out "
            "less with --holdout, or nothing with --holdout 0"
        )


def _lacking(seen: Survey, options: TuneOptions) -> str:
    if seen.count(Known.FRAUD):
        return "the labels tell of fraud alone: --unlabelled genuine takes all other purchases for good ones"
    young = seen.count(Known.TOO_YOUNG_LABELLED)
    if young:
        return (
            f"no fraud to choose values by; {young:,} labelled purchases are of the last "
            f"{options.maturity_ms / DAY_MS:g} days and don't count: a shorter --maturity counts more of them"
        )
    return "no label says that a purchase was fraud: there is nothing to choose values by"
