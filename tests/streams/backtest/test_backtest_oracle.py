"""A backtest's figures against an oracle of plain loops, and both paths against each other."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.purchase import Purchase
from rules.language.compile import CompiledRuleset, compile_ruleset
from streams.backtest import run
from streams.backtest.choose_path import WantedPath
from streams.backtest.contender import Contender
from streams.backtest.report import BacktestReport
from streams.backtest.run import DAY_MS, BacktestOptions, run_backtest
from streams.engine.partitioner import partition_for
from streams.recording.reader import Recording
from streams.timeline.labels import LabelTable
from tests.streams.backtest import report_oracle as oracle
from tests.streams.timeline.recordings import Sent, record

START_MS = 1_772_431_200_000
HOUR_MS = 3_600_000
PARTITIONS = 2

# Outcomes, anomaly and credit, so that it goes by rows; a shadow rule, an allow and a final block.
OLD = compile_ruleset("""
ruleset: old
currency: CNY
rates: {USD: 7.1}
rules:
  - {id: burst, when: "count(account_id, 24h) > 2", then: block}
  - {id: again, when: "count(account_id, 48h, declined) > 0", then: flag}
  - {id: unusual, when: "anomaly > 0.6", then: flag, mode: shadow}
  - {id: large, when: "amount > 40.00", then: flag}
""")
NEW_TEXT = """
ruleset: new
currency: USD
time_zone: America/New_York
rates: {CNY: 0.14}
rules:
  - {id: burst, when: "count(account_id, 24h) > 1", then: block}
  - {id: trusted, when: "merchant_id == 'm-2' and amount < 1.00", then: allow}
  - {id: device, when: "count(device_id, 7d, fraud) > 0 or distinct(account_id, device_id, 48h) > 1", then: flag}
  - {id: never, when: "amount > 99.00", then: block, final: true}
  - {id: trial, when: "sum(amount, merchant_id, this_week) > 3.00", then: block, mode: shadow}
"""
NEW = compile_ruleset(NEW_TEXT)
# The oracle's line hears of no labels.
NEW_WITHOUT_FRAUD = compile_ruleset(NEW_TEXT.replace("count(device_id, 7d, fraud) > 0 or", ""))
# Nothing that depends on outcomes: both paths can.
PLAIN_OLD = compile_ruleset("""
ruleset: plain
currency: CNY
rates: {USD: 7.1}
rules:
  - {id: burst, when: "count(account_id, 24h) > 2", then: block}
  - {id: large, when: "amount > 40.00 or hour < 3", then: flag}
  - {id: trial, when: "since(device_id) < 1h", then: flag, mode: shadow}
""")

# Logs of 32 rows, with far more purchases and labels in reach.
CROWDED = """
ruleset: crowded
currency: CNY
max_rows: 32
allowed_lateness: 1s
rules:
  - {id: shop, when: "count(merchant_id, 24h, fraud) > 40", then: flag}
  - {id: account, when: "sum(amount, account_id, 6h, fraud) > 20.00 or count(account_id, 1h) > 12", then: block}
  - {id: both, when: "count((device_id, merchant_id), 48h) > 60 and since(device_id) < 10m", then: flag}
  - {id: few, when: "distinct(device_id, merchant_id, 3h) < 2 and min(amount, merchant_id, 3h, fraud) < 1", then: flag}
"""

EVENTS = st.lists(
    st.fixed_dictionaries(
        {
            "after_ms": st.sampled_from([0, 1, HOUR_MS, 20 * HOUR_MS, 100 * HOUR_MS]),
            "account_id": st.sampled_from(["a-1", "a-2", "a-3"]),
            "amount": st.sampled_from([1, 50, 4_000, 4_001, 10**15]),
            "currency": st.sampled_from(["CNY", "CNY", "USD", "EUR"]),
            "merchant_id": st.sampled_from(["m-1", "m-2"]),
            "device_id": st.sampled_from([None, "d-1", "d-2"]),
            "verdict": st.sampled_from([None, None, "fraud", "genuine", "chargeback"]),
            "known_after_ms": st.sampled_from([0, HOUR_MS, 50 * HOUR_MS]),
        }
    ),
    min_size=1,
    max_size=30,
)


class Story:
    """Purchases with their labels, as they were drawn and as they were recorded."""

    def __init__(self, events: Sequence[dict[str, Any]]) -> None:
        self.purchases: list[Purchase] = []
        self.sent: list[Sent] = []
        self.verdicts: dict[str, str] = {}
        time_ms = START_MS
        for number, event in enumerate(events):
            time_ms += event["after_ms"]
            fields = {name: event[name] for name in ("account_id", "amount", "currency", "merchant_id", "device_id")}
            purchase = Purchase(transaction_id=f"t-{number}", event_time=time_ms, mcc="5411", **fields)
            partition = partition_for(purchase.account_id.encode(), PARTITIONS)
            self.purchases.append(purchase)
            self.sent.append(Sent("purchases", partition, time_ms, purchase.model_dump_json().encode()))
            if event["verdict"]:
                self._label(purchase, event["verdict"], time_ms + event["known_after_ms"])
        # Of one time, what lies in the lower partition is first, whenever it was sent.
        places = {one.value: (one.timestamp_ms, one.partition) for one in self.sent}
        self.purchases.sort(key=lambda purchase: places[purchase.model_dump_json().encode()])

    def _label(self, purchase: Purchase, verdict: str, known_ms: int) -> None:
        self.verdicts[purchase.transaction_id] = verdict
        label = {
            "transaction_id": purchase.transaction_id,
            "account_id": purchase.account_id,
            "verdict": verdict,
            "event_time": known_ms,
            "purchase": purchase.model_dump(),
        }
        self.sent.append(Sent("labels", 0, known_ms, orjson.dumps(label)))

    def record(self, directory: Path) -> Recording:
        return record(directory, self.sent, {"purchases": PARTITIONS, "labels": 1})


def backtest(
    story: Story, old: CompiledRuleset | None, new: CompiledRuleset, options: BacktestOptions
) -> BacktestReport:
    with tempfile.TemporaryDirectory() as directory:
        recording = story.record(Path(directory) / "recording")
        contender = Contender(old, "old.yaml") if old is not None else None
        return run_backtest(
            recording, Contender(new, "new.yaml"), contender, LabelTable.read(recording), options, lambda _: None
        )


def partition_of(key: bytes) -> int:
    return partition_for(key, PARTITIONS)


def assert_figures_agree(report: BacktestReport, seen: list[oracle.Seen], old: Any, new: Any, flips: int) -> None:
    got = report.model_dump(mode="json")
    assert (report.compared, report.amount_minor) == oracle.total(seen)
    cells = {(cell["old"], cell["new"]): (cell["purchases"], cell["amount_minor"]) for cell in got["matrix"]}
    assert cells == oracle.matrix(seen)
    for side, ruleset in (("old", old), ("new", new)):
        for action in oracle.ACTIONS:
            expected = oracle.total([one for one in seen if getattr(one, side).action == action])
            acted = got[side]["actions"][action]
            assert (acted["purchases"], acted["amount_minor"]) == expected
            assert acted["share"] == expected[0] / len(seen)
        for rule in got[side]["rules"]:
            expected = oracle.rules(seen, ruleset, side)[rule["rule"]]
            if report.labels is None:
                expected |= {"labelled_hits": None, "fraud_hits": None, "precision": None}
            assert {name: rule[name] for name in expected} == expected
        if report.labels is not None:
            assert got["labels"][side] == oracle.detection(seen, side)
    by_week = oracle.weeks(seen, report.time_zone)
    assert [week["begins"] for week in got["weeks"]] == list(by_week)
    for week in got["weeks"]:
        of_week = by_week[week["begins"]]
        assert (week["purchases"], week["amount_minor"]) == oracle.total(of_week)
        for side in ("old", "new"):
            assert [week[side][action] for action in oracle.ACTIONS] == [
                sum(getattr(one, side).action == action for one in of_week) for action in oracle.ACTIONS
            ]
            assert week[side]["caught"] == (oracle.detection(of_week, side) if report.labels is not None else None)
    shown = [(flip["transaction_id"], flip["old"], flip["new"]) for flip in got["flips"]["examples"]]
    assert shown == oracle.largest_flips(seen, flips)


@settings(max_examples=60, deadline=None)
@given(
    events=EVENTS,
    maturity_ms=st.sampled_from([0, 30 * HOUR_MS, 60 * DAY_MS]),
    unlabelled_as=st.sampled_from(["left-out", "genuine"]),
    flips=st.sampled_from([0, 1, 3, 200]),
    block_rows=st.sampled_from([1, 4, 8_192]),
)
def test_every_figure_is_what_plain_loops_count(
    events: list[dict[str, Any]], maturity_ms: int, unlabelled_as: Any, flips: int, block_rows: int
) -> None:
    story = Story(events)
    new = NEW_WITHOUT_FRAUD
    seen = oracle.seen_of(
        story.purchases, story.verdicts, OLD, new, maturity_ms, unlabelled_as == "genuine", partition_of
    )
    options = BacktestOptions(maturity_ms, unlabelled_as, flips)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "_BLOCK_ROWS_BY_ROW", block_rows)
        if not seen:
            with pytest.raises(run.RecordingError, match="no purchase can be compared"):
                backtest(story, OLD, new, options)
            return
        report = backtest(story, OLD, new, options)
    assert_figures_agree(report, seen, OLD, new, flips)
    assert (report.labels is None) == (not story.verdicts)


def without_paths(report: BacktestReport) -> dict[str, Any]:
    got = report.model_dump(mode="json")
    got.pop("elapsed_s")
    got["recording"].pop("name")
    for side in (got["new"], got["old"]):
        for name in ("path", "rows_because", "purchases_per_s"):
            side.pop(name)
    return got


@settings(max_examples=60, deadline=None)
@given(events=EVENTS, block_rows=st.sampled_from([1, 5, 8_192]), unlabelled_as=st.sampled_from(["left-out", "genuine"]))
def test_both_paths_give_the_same_report(events: list[dict[str, Any]], block_rows: int, unlabelled_as: Any) -> None:
    story, reports = Story([*events, events[0] | {"currency": "CNY"}]), list[BacktestReport]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "_BLOCK_ROWS_BY_ROW", block_rows)
        patch.setattr(run, "BLOCK_ROWS", block_rows + 2)
        for path in ("rows", "columnar"):
            options = BacktestOptions(30 * HOUR_MS, unlabelled_as, 200, path)
            reports.append(backtest(story, PLAIN_OLD, NEW, options))
    rows, columnar = reports
    assert without_paths(columnar) == without_paths(rows)
    assert (rows.new.path, rows.new.rows_because) == ("rows", "asked for")
    assert (columnar.new.path, columnar.new.rows_because) == ("columnar", None)


def crowd(seed: int) -> Story:
    """Many purchases of few, more than half of them fraud, known at once, before, or much later."""
    rng = random.Random(seed)
    return Story(
        [
            {
                "after_ms": rng.choice([0, 1, 60_000, 3 * HOUR_MS]) if rng.random() < 0.2 else rng.randint(0, 200_000),
                "account_id": rng.choice(["a-1", "a-2", "a-3"]),
                "amount": rng.randint(50, 500),
                "currency": "CNY",
                "merchant_id": rng.choice(["m-1", "m-1", "m-2"]),
                "device_id": rng.choice([None, "d-1", "d-2"]),
                "verdict": rng.choice(["fraud", "fraud", None, "genuine"]),
                "known_after_ms": rng.choice([0, -5, -HOUR_MS, HOUR_MS, 20 * HOUR_MS, 90_000]),
            }
            for _ in range(500)
        ]
    )


@pytest.mark.parametrize("seed", [0, 5])
def test_both_paths_agree_where_logs_overflow_however_blocks_are_cut(seed: int) -> None:
    story, reports = crowd(seed), list[dict[str, Any]]()
    old, new = compile_ruleset(CROWDED), compile_ruleset(CROWDED.replace("> 40", "> 30"))
    runs: list[tuple[WantedPath, int]] = [
        ("rows", 8_192), ("rows", 7), ("columnar", 8_192), ("columnar", 90), ("columnar", 7),
    ]  # fmt: skip
    for path, rows in runs:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(run, "_BLOCK_ROWS_BY_ROW", rows)
            patch.setattr(run, "BLOCK_ROWS", rows)
            reports.append(without_paths(backtest(story, old, new, BacktestOptions(0, path=path))))
    assert all(report == reports[0] for report in reports)
    # More fraud than a log has rows was in reach.
    assert reports[0]["new"]["rules"][0]["hits"]
