"""How rules are judged on the Handbook's set: by how many of them match a payment."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.datasets import CardPayment
from bench.handbook import TEST_WEEK
from bench.handbook_recording import record_handbook
from bench.handbook_rules import DETECTION_RULES, VELOCITY_RULES, judge_rules
from rules.columns.evaluate import columnar_obstacle
from rules.columns.table import NEVER_MS
from rules.language.check import check_text
from streams.recording.reader import Recording
from streams.timeline.labels import LabelTable
from streams.timeline.timeline import Timeline

DAY_MS = 86_400_000


def payment(card: str, day: int, *, is_fraud: bool) -> CardPayment:
    return CardPayment((TEST_WEEK + day) * DAY_MS, card, "terminal", 10_00, is_fraud)


# One payment a card: before the test week, on its first day, and after it.
PAYMENTS = [
    payment("before", -1, is_fraud=True),
    payment("stolen", 0, is_fraud=True),
    payment("honest", 0, is_fraud=False),
    payment("after", 7, is_fraud=True),
]


def test_a_fraud_that_more_rules_match_is_ranked_first() -> None:
    quality = judge_rules(PAYMENTS, [0, 3, 1, 0])
    assert (quality.auc_roc, quality.average_precision) == (1.0, 1.0)


def test_a_fraud_that_fewer_rules_match_is_ranked_last() -> None:
    quality = judge_rules(PAYMENTS, [9, 1, 3, 9])
    assert (quality.auc_roc, quality.average_precision) == (0.0, 0.5)


def test_payments_that_as_many_rules_match_are_a_tie() -> None:
    assert judge_rules(PAYMENTS, [0, 2, 2, 0]).auc_roc == 0.5


def test_every_payment_needs_its_number_of_rules() -> None:
    with pytest.raises(ValueError, match="3 numbers of matching rules for 4 payments"):
        judge_rules(PAYMENTS, [0, 3, 1])


@pytest.mark.parametrize("file", [DETECTION_RULES, VELOCITY_RULES])
def test_the_rule_files_have_no_faults_and_run_on_columns(file: Path) -> None:
    found = check_text(file.read_text(encoding="utf-8"), file.name)
    assert not found.diagnostics
    assert found.compiled is not None
    assert columnar_obstacle(found.compiled.plan) is None


def test_recorded_payments_come_back_with_their_labels(tmp_path: Path) -> None:
    record_handbook(PAYMENTS, str(tmp_path / "recording"))
    recording = Recording.open(str(tmp_path / "recording"))
    (block,) = Timeline(recording, LabelTable.read(recording)).blocks()
    columns = block.columns
    texts = [
        [column.texts[code] for code in column.codes]
        for column in (columns.texts["transaction_id"], columns.texts["account_id"])
    ]
    assert set(zip(*texts, columns.event_time_ms.tolist(), columns.fraud_known_ms.tolist(), strict=True)) == {
        (f"t-{number}", f"c-{each.card}", each.time_ms, each.time_ms + 7 * DAY_MS if each.is_fraud else NEVER_MS)
        for number, each in enumerate(PAYMENTS)
    }
