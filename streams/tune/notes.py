"""What a reader of a sweep must know beside its figures, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rules.language.compile import CompiledRuleset
from rules.language.params import asked_in
from streams.backtest.maturity import Known
from streams.tune.options import NO_LIMITS, TuneOptions
from streams.tune.survey import Survey


def notes_of(ruleset: CompiledRuleset, survey: Survey, swept: Sequence[str], options: TuneOptions) -> list[str]:
    """A sentence for each."""
    return list(_notes(ruleset, survey, swept, options))


def _notes(ruleset: CompiledRuleset, survey: Survey, swept: Sequence[str], options: TuneOptions) -> Iterator[str]:
    if options.limits == NO_LIMITS:
        yield "Without a budget there is no best candidate: give --max-flag-rate, --max-block-rate or --max-cost."
    if survey.split_ms is None:
        yield "Nothing is held out: the figures are of the purchases that values are chosen by, and flatter them."
    elif not survey.known[1][Known.FRAUD]:
        yield "Of the purchases held out none is known to be fraud: whether the choice holds can't be seen."
    asked = {name for rule in ruleset.document.rules if rule.mode == "live" for name in asked_in(rule.when)}
    for name in swept:
        if name not in asked:
            yield f"No live rule asks for ${name}: its values change nothing."
