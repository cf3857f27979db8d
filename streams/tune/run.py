"""A sweep: every candidate of a rule file over a recording, and which did best."""

from __future__ import annotations

import time

from rules.columns.evaluate import columnar_obstacle
from rules.language.variants import Variants
from streams.backtest.run import accounts_partition, unknown_labels
from streams.recording.reader import Recording
from streams.timeline.label_file import LabelFileError
from streams.timeline.labels import LabelTable
from streams.timeline.last_event import last_event_ms
from streams.timeline.timeline import BLOCK_ROWS, Timeline
from streams.tune.candidates import candidates_of
from streams.tune.errors import TuneError
from streams.tune.figures import Ran, report_of
from streams.tune.options import RuleText, TuneOptions
from streams.tune.report import TuneReport
from streams.tune.survey import survey
from streams.tune.sweep import BLOCK_ROWS_BY_ROW, Progress, Sweep
from streams.tune.worth import require_worth


def run_tune(
    recording: Recording, rules: RuleText, labels: LabelTable, options: TuneOptions, progress: Progress
) -> TuneReport:
    """Try all that the parameters of a rule file ask to be tried.

    Raises RulesetError where the rules don't compile, TuneError where nothing can be tuned, RecordingError, and
    LabelFileError where a file has labels of transactions that were not recorded.
    """
    begun_s = time.perf_counter()
    variants = Variants(rules.text, rules.file)
    ruleset = variants.as_written
    candidates = candidates_of(ruleset.document.params, rules.file, options.max_candidates)
    budget = options.limits.budget(ruleset.plan.currency)
    if not len(labels):
        raise TuneError(
            f"{recording.name} has no labels: without them nobody knows what was fraud, and which values are better. "
            "Give some with --labels"
        )
    mature_until_ms = (last_event_ms(recording) or 0) - options.maturity_ms
    by_columns = columnar_obstacle(ruleset.plan) is None
    timeline = Timeline(recording, labels, block_rows=BLOCK_ROWS if by_columns else BLOCK_ROWS_BY_ROW)
    with progress("reading", timeline.rows) as note:
        seen = survey(timeline, ruleset.plan, mature_until_ms, options.unlabelled_as, options.holdout, note)
    if timeline.counts.unknown_labels:
        raise LabelFileError(unknown_labels(timeline.counts))
    require_worth(seen, recording.name, ruleset, options)
    sweep = Sweep(variants, accounts_partition(recording), timeline.blocks, timeline.rows)
    outcome = sweep.run(candidates.changes, seen, mature_until_ms, progress)
    return report_of(
        Ran(
            recording=recording.name,
            counts=timeline.counts,
            bad_labels=labels.bad_records,
            rules=rules,
            ruleset=ruleset,
            rows_because=sweep.rows_because,
            candidates=candidates,
            outcome=outcome,
            survey=seen,
            mature_until_ms=mature_until_ms,
            options=options,
            budget=budget,
            elapsed_s=time.perf_counter() - begun_s,
        )
    )
