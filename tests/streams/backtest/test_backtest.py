"""A backtest of a small recording: every figure worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest

from rules.language.compile import CompiledRuleset, compile_ruleset
from streams.backtest.contender import Contender
from streams.backtest.report import BacktestReport, RuleReport
from streams.backtest.run import BacktestOptions, run_backtest
from streams.recording.errors import RecordingError
from streams.recording.reader import Recording
from streams.timeline.labels import LabelTable
from tests.streams.backtest.story import DAY_MS, MINUTE_MS, NEW, OLD, START_MS, record_story

OLD_RULESET, NEW_RULESET = compile_ruleset(OLD), compile_ruleset(NEW)
Paths = Literal["rows", "columnar"]


def backtest(
    recording: Recording,
    *,
    old: CompiledRuleset | None = OLD_RULESET,
    new: CompiledRuleset = NEW_RULESET,
    options: BacktestOptions | None = None,
) -> BacktestReport:
    old_contender = Contender(old, None) if old is not None else None
    table = LabelTable.read(recording)
    return run_backtest(
        recording, Contender(new, "new.yaml"), old_contender, table, options or BacktestOptions(), lambda _: None
    )


@pytest.fixture(params=["rows", "columnar"])
def report(request: pytest.FixtureRequest, tmp_path: Path) -> BacktestReport:
    path: Paths = request.param
    return backtest(record_story(tmp_path / "story"), options=BacktestOptions(path=path))


def test_it_tells_what_was_recorded_and_what_of_it_is_left_out(report: BacktestReport) -> None:
    recorded = report.recording
    assert (recorded.purchases, recorded.repeats, recorded.conflicts, recorded.malformed) == (9, 1, 1, 1)
    assert (recorded.first_ms, recorded.last_ms) == (START_MS, START_MS + 80 * DAY_MS + MINUTE_MS)
    # From the week of March 2 to that of May 18.
    assert recorded.weeks == 12
    assert recorded.labels == 6
    assert (report.compared, report.amount_minor) == (8, 60_600)
    assert (report.new.no_rate, report.old.no_rate if report.old else None) == (1, 1)
    assert sum("want of a rate: 1 of the purchases" in note for note in report.notes) == 2


def test_the_matrix_has_every_pair_of_actions(report: BacktestReport) -> None:
    cells = {
        (cell.old, cell.new): (cell.purchases, cell.amount_minor, cell.fraud, cell.genuine) for cell in report.matrix
    }
    assert len(cells) == 9
    assert {pair: cell for pair, cell in cells.items() if cell[0]} == {
        ("approve", "approve"): (2, 2_100, 0, 1),
        ("flag", "flag"): (1, 6_000, 1, 0),
        ("block", "flag"): (1, 500, 0, 0),
        ("flag", "block"): (3, 44_000, 1, 1),
        ("flag", "approve"): (1, 8_000, 1, 0),
    }


def test_each_ruleset_is_told_by_its_shares(report: BacktestReport) -> None:
    assert report.old is not None
    old, new = report.old.actions, report.new.actions
    assert [(a.purchases, a.amount_minor) for a in (old.approve, old.flag, old.block)] == [
        (2, 2_100),
        (5, 58_000),
        (1, 500),
    ]
    assert [(a.purchases, a.amount_minor) for a in (new.approve, new.flag, new.block)] == [
        (3, 10_100),
        (2, 6_500),
        (3, 44_000),
    ]
    assert (new.block.share, new.block.amount_share) == (3 / 8, 44_000 / 60_600)
    assert (report.old.file, report.new.file) == (None, "new.yaml")


def figures(rule: RuleReport) -> tuple[object, ...]:
    return rule.hits, rule.hits_alone, rule.amount_minor, rule.labelled_hits, rule.fraud_hits, rule.precision


def test_each_rule_is_told_by_its_hits(report: BacktestReport) -> None:
    assert report.old is not None
    assert {rule.rule: figures(rule) for rule in report.old.rules} == {
        "large": (5, 5, 58_000, 4, 3, 3 / 4),
        "burst": (1, 1, 500, 0, 0, None),
    }
    assert {rule.rule: figures(rule) for rule in report.new.rules} == {
        "large": (3, 3, 44_000, 2, 1, 1 / 2),
        "burst": (2, 2, 6_500, 1, 1, 1.0),
        # Alone are those that no live rule matched: what it would add.
        "trial": (6, 2, 60_000, 5, 3, 3 / 5),
    }
    assert [rule.shadow for rule in report.new.rules] == [False, False, True]


def test_the_largest_flips_come_first_with_what_explains_them(report: BacktestReport) -> None:
    flips = report.flips
    assert flips is not None
    assert (flips.purchases, flips.amount_minor) == (5, 52_500)
    assert [flip.transaction_id for flip in flips.examples] == ["t-7", "t-4", "t-5", "t-6", "t-3"]
    last = flips.examples[-1].model_dump(mode="json")
    why = {"rule": "burst", "code": "BURST", "feature": "count(account_id, 1h)", "observed": 3}
    assert last == {
        "transaction_id": "t-3",
        "account_id": "a-1",
        "event_time": START_MS + 20 * MINUTE_MS,
        "amount": 500,
        "currency": "CNY",
        "amount_minor": 500,
        "old": "block",
        "new": "flag",
        "old_reasons": [{**why, "action": "block", "threshold": 2}],
        "new_reasons": [{**why, "action": "flag", "threshold": 1}],
        "stamps": [{"feature": "count(account_id, 1h)", "old": 3, "new": 3}],
        "verdict": None,
    }
    assert [flip.verdict for flip in flips.examples[:3]] == ["fraud", "fraud", "genuine"]


def test_no_more_flips_are_shown_than_asked_for(tmp_path: Path) -> None:
    flips = backtest(record_story(tmp_path / "story"), options=BacktestOptions(flips=2)).flips
    assert flips is not None
    assert [flip.transaction_id for flip in flips.examples] == ["t-7", "t-4"]
    assert flips.purchases == 5


CAUGHT = (
    "tp", "fp", "fn", "tn", "precision", "recall", "false_positives_per_fraud",
    "amount_saved_minor", "amount_wrongly_stopped_minor", "amount_missed_minor",
)  # fmt: skip


def caught(of: Any) -> tuple[object, ...]:
    return tuple(getattr(of, name) for name in CAUGHT)


def test_labels_tell_what_is_caught_and_what_is_wrongly_stopped(report: BacktestReport) -> None:
    labels = report.labels
    assert labels is not None
    assert labels.old is not None
    assert caught(labels.new.blocked) == (1, 1, 2, 1, 1 / 2, 1 / 3, 1.0, 12_000, 12_000, 14_000)
    assert caught(labels.new.stopped) == (2, 1, 1, 1, 2 / 3, 2 / 3, 0.5, 18_000, 12_000, 8_000)
    assert caught(labels.old.blocked) == (0, 0, 3, 2, None, 0.0, None, 0, 0, 26_000)
    assert caught(labels.old.stopped) == (3, 1, 0, 1, 3 / 4, 1.0, 1 / 3, 26_000, 12_000, 0)


def test_what_is_too_young_or_without_a_label_is_left_out_and_counted(report: BacktestReport) -> None:
    labels = report.labels
    assert labels is not None
    assert (labels.maturity_d, labels.mature_until_ms) == (60.0, START_MS + 20 * DAY_MS + MINUTE_MS)
    assert (labels.labelled, labels.fraud, labels.genuine, labels.unlabelled) == (5, 3, 2, 1)
    assert (labels.too_young, labels.too_young_labelled) == (2, 1)


def test_what_has_no_label_may_count_as_genuine(tmp_path: Path) -> None:
    labels = backtest(record_story(tmp_path / "story"), options=BacktestOptions(unlabelled_as="genuine")).labels
    assert labels is not None
    assert (labels.labelled, labels.unlabelled, labels.unlabelled_as) == (5, 1, "genuine")
    # Purchase 3 too is wrongly stopped.
    assert (labels.new.stopped.fp, labels.new.stopped.amount_wrongly_stopped_minor) == (2, 12_500)


def test_where_only_fraud_is_labelled_a_note_says_what_that_means(tmp_path: Path) -> None:
    recording = record_story(tmp_path / "story", only_fraud=True)

    def notes(options: BacktestOptions) -> str:
        return " ".join(backtest(recording, options=options).notes)

    assert "precision tells nothing" in notes(BacktestOptions())
    assert "precision tells nothing" not in notes(BacktestOptions(unlabelled_as="genuine"))
    assert "No label counts: all 4" in notes(BacktestOptions(maturity_ms=100 * DAY_MS))


def test_a_shorter_maturity_counts_more_labels(tmp_path: Path) -> None:
    labels = backtest(record_story(tmp_path / "story"), options=BacktestOptions(maturity_ms=0)).labels
    assert labels is not None
    assert (labels.labelled, labels.too_young, labels.unlabelled) == (6, 0, 2)


def test_weeks_begin_on_monday_in_the_time_zone_of_the_new_rules(report: BacktestReport) -> None:
    assert [(week.begins, week.purchases, week.amount_minor) for week in report.weeks] == [
        ("2026-03-02", 3, 8_500),
        ("2026-03-09", 3, 32_000),
        ("2026-05-18", 2, 20_100),
    ]
    first, second, last = report.weeks
    assert first.begins_ms == START_MS - 14 * 60 * MINUTE_MS
    assert (first.new.approve, first.new.flag, first.new.block) == (1, 2, 0)
    assert second.old is not None
    assert second.old.caught is not None
    assert caught(second.old.caught.stopped)[:4] == (2, 1, 0, 0)
    assert last.new.caught is not None
    assert caught(last.new.caught.stopped)[:4] == (0, 0, 0, 0)


def test_a_week_begins_elsewhere_when_it_is_monday_there(tmp_path: Path) -> None:
    new = compile_ruleset(NEW.replace("currency: CNY", "currency: CNY\ntime_zone: Pacific/Honolulu"))
    # 06:00 UTC on Monday is Sunday evening there.
    assert backtest(record_story(tmp_path / "story"), new=new).weeks[0].begins == "2026-02-23"


def test_a_recording_without_labels_says_so_and_tells_the_rest(tmp_path: Path) -> None:
    report = backtest(record_story(tmp_path / "story", labels=False))
    assert report.labels is None
    assert any("no labels" in note for note in report.notes)
    assert report.new.rules[0].hits == 3
    assert report.new.rules[0].precision is None
    assert all(cell.fraud is None for cell in report.matrix)
    assert all(week.new.caught is None for week in report.weeks)


def test_without_old_rules_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    report = backtest(record_story(tmp_path / "story", rulesets=()), old=None)
    assert (report.old, report.matrix, report.flips) == (None, [], None)
    assert any("nothing to compare with" in note for note in report.notes)
    assert report.new.actions.block.purchases == 3
    assert report.labels is not None
    assert report.labels.old is None


def test_outcomes_are_worked_out_anew_under_each_ruleset(tmp_path: Path) -> None:
    counts_declined = "- {id: often, when: 'count(account_id, 1h, declined) > 0', then: flag}"
    old = compile_ruleset(OLD + f"  {counts_declined}")
    new = compile_ruleset(
        "ruleset: checkout\nrules:\n  - {id: first, when: amount >= 20.00, then: block}\n  " + counts_declined
    )
    report = backtest(record_story(tmp_path / "story"), old=old, new=new)
    assert report.old is not None
    # Under the old rules the account's third purchase is its first decline; under the new its first is.
    assert {rule.rule: rule.hits for rule in report.old.rules}["often"] == 0
    assert {rule.rule: rule.hits for rule in report.new.rules}["often"] == 2
    assert (report.new.path, report.old.path) == ("rows", "rows")
    assert report.new.rows_because is not None
    assert "count(account_id, 1h, declined)" in report.new.rows_because


def test_money_is_in_the_currency_of_the_new_rules(tmp_path: Path) -> None:
    new = compile_ruleset(
        "ruleset: usd\ncurrency: USD\nrates: {CNY: 0.14}\nrules: [{id: r, when: amount > 1, then: flag}]"
    )
    report = backtest(record_story(tmp_path / "story"), new=new)
    assert (report.currency, report.amount_minor) == ("USD", 8_484)
    assert report.flips is not None
    assert [(flip.amount, flip.amount_minor) for flip in report.flips.examples] == [(2_000, 280), (500, 70)]


def test_rules_that_can_reckon_with_no_purchase_are_refused(tmp_path: Path) -> None:
    new = compile_ruleset("ruleset: usd\ncurrency: USD\nrules: [{id: r, when: amount > 1, then: flag}]")
    with pytest.raises(RecordingError, match="no purchase can be compared: usd, in USD, has no rate"):
        backtest(record_story(tmp_path / "story"), new=new)


def test_labels_that_rules_could_not_count_are_named(tmp_path: Path) -> None:
    new = compile_ruleset(NEW + "  - {id: bad, when: 'count(merchant_id, 30d, fraud) > 0', then: flag}")
    report = backtest(record_story(tmp_path / "story"), new=new)
    assert report.labels is not None
    assert report.labels.fraud_without_purchase == 4
    assert any("carry no purchase: 4." in note for note in report.notes)
    # Known an hour after purchase 2: from then on the shop is known for fraud.
    assert {rule.rule: rule.hits for rule in report.new.rules}["bad"] == 3
