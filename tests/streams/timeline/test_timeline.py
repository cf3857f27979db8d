"""Canonical order against a plain sort of everything, repeats against a dict, memory against a long recording."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.account import CreditLimit, Repayment, decode_credit_limit, decode_repayment
from models.purchase import InvalidPurchase, Purchase, decode_purchase
from rules.columns.table import NEVER_MS, TEXT_FIELDS
from rules.intake import MAX_RECORD_BYTES
from streams.recording.errors import RecordingError
from streams.timeline.labels import LabelTable
from streams.timeline.timeline import Block, Timeline, TimelineCounts
from tests.models.records import CREDIT_LIMIT, LABEL, PURCHASE, REPAYMENT
from tests.streams.timeline.recordings import MAX_AHEAD_MS, Sent, record

BEGIN_MS: int = PURCHASE["event_time"]
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
VERDICT = {"genuine": 1, "fraud": 2, "chargeback": 2}
PARTITIONS = {"purchases": 3, "accounts": 2, "repayments": 2, "labels": 2}

# Few different moments, ids and amounts, so that they meet; days apart, so that they are forgotten.
HOURS = st.sampled_from([0, 0, 1, 1, 2, 5, 23, 24, 25, 26, 30, 47, 48, 49, 72, 100])
OFF_MS = st.sampled_from([0, 0, 0, 1])
TRANSACTIONS = st.integers(1, 8).map(lambda number: f"t-{number}")

ODD_FIELDS = st.sampled_from(
    [
        *[dict[str, Any]()] * 3,
        *({"device_id": "\u00e9"}, {"attributes": {"a": 1}}, {"location": None}, {"location": {"lat": 1, "lon": 2}}),
    ]
)
BAD = [None, b"", b"{}", b'{"account_id":', b"{}" + b" " * MAX_RECORD_BYTES]


@st.composite
def sent_records(draw: st.DrawFn) -> Sent:
    topic = draw(st.sampled_from(["purchases"] * 6 + ["accounts", "repayments", "labels"]))
    moment = BEGIN_MS + draw(HOURS) * HOUR_MS + draw(OFF_MS)
    lag_ms = draw(st.sampled_from([0, 0, -MAX_AHEAD_MS, -MAX_AHEAD_MS - 1, HOUR_MS, 3 * DAY_MS]))
    partition = draw(st.integers(0, PARTITIONS[topic] - 1))
    return Sent(topic, partition, moment + lag_ms, body(draw, topic, moment))


def body(draw: st.DrawFn, topic: str, moment: int) -> bytes | None:
    """A record's JSON, in one of two layouts; now and then it is none."""
    number, transaction = draw(st.integers(1, 2)), draw(TRANSACTIONS)
    fields: dict[str, Any] = {
        "accounts": {**CREDIT_LIMIT, "credit_limit": number},
        "repayments": {**REPAYMENT, "amount": number},
        "labels": {**LABEL, "transaction_id": transaction, "verdict": draw(st.sampled_from(sorted(VERDICT)))},
        "purchases": {**PURCHASE, "transaction_id": transaction, "amount": number, **draw(ODD_FIELDS)},
    }[topic]
    layout = draw(st.sampled_from([None, orjson.OPT_INDENT_2]))
    return draw(st.sampled_from([orjson.dumps({**fields, "event_time": moment}, option=layout)] * 12 + BAD))


class Placed(NamedTuple):
    """One purchase as a block had it, or an account's event."""

    value: bytes | None
    event: CreditLimit | Repayment | None
    verdict: int = 0
    fraud_known_ms: int = NEVER_MS


def flattened(blocks: Iterable[Block]) -> list[Placed]:
    placed: list[Placed] = []
    for block in blocks:
        columns, accounts = block.columns, list(block.accounts)
        assert len(block.values) == len(columns) == len(block.verdicts)
        for row in range(len(columns)):
            placed += [Placed(None, event) for at, event in accounts if at == row]
            verdict, known_ms = int(block.verdicts[row]), int(columns.fraud_known_ms[row])
            placed.append(Placed(block.values[row], None, verdict, known_ms))
        assert all(0 <= at < len(columns) for at, _ in accounts)
    return placed


def wanted(sent: Sequence[Sent]) -> tuple[list[Placed], TimelineCounts]:
    """Read all, sort all, and keep what was there before in a dict."""
    counts = TimelineCounts()
    everything: list[tuple[int, int, int, int, Sent, Purchase | CreditLimit | Repayment]] = []
    for offset, one in enumerate(sent):
        event = read(one, counts)
        if event is not None:
            rank = ["accounts", "repayments", "purchases"].index(one.topic)
            everything.append((event.event_time, rank, one.partition, offset, one, event))
    verdicts, known_ms = labels_of(sent, counts)
    taken: dict[str, Purchase] = {}
    placed: list[Placed] = []
    for *_, one, event in sorted(everything, key=lambda entry: entry[:4]):
        if not isinstance(event, Purchase):
            placed.append(Placed(None, event))
            continue
        transaction = event.transaction_id
        before = taken.get(transaction)
        if before is not None and before.event_time >= event.event_time - DAY_MS:
            counts.repeats += before == event
            counts.conflicts += before != event
            continue
        taken[transaction] = event
        counts.purchases += 1
        counts.first_ms, counts.last_ms = counts.first_ms or event.event_time, event.event_time
        placed.append(Placed(one.value, None, verdicts.get(transaction, 0), known_ms.get(transaction, NEVER_MS)))
    while placed and placed[-1].event is not None:
        placed.pop()
    return placed, counts


def read(one: Sent, counts: TimelineCounts) -> Purchase | CreditLimit | Repayment | None:
    value = one.value or b""
    if one.topic == "labels":
        return None
    if one.topic != "purchases":
        try:
            event = (decode_credit_limit if one.topic == "accounts" else decode_repayment)(value)
        except ValueError:
            event = None
        if event is None or event.event_time > one.timestamp_ms + MAX_AHEAD_MS:
            counts.bad_account_records += 1
            return None
        return event
    if len(value) > MAX_RECORD_BYTES:
        counts.oversized += 1
        return None
    try:
        purchase = decode_purchase(value)
    except InvalidPurchase:
        counts.malformed += 1
        return None
    if purchase.event_time > one.timestamp_ms + MAX_AHEAD_MS:
        counts.future += 1
        return None
    return purchase


def labels_of(sent: Sequence[Sent], counts: TimelineCounts) -> tuple[dict[str, int], dict[str, int]]:
    verdicts: dict[str, tuple[int, int]] = {}
    known_ms: dict[str, int] = {}
    for one in sorted((one for one in sent if one.topic == "labels"), key=lambda one: one.partition):
        try:
            label = orjson.loads(one.value or b"")
            transaction, verdict, at_ms = label["transaction_id"], VERDICT[label["verdict"]], label["event_time"]
        except (ValueError, KeyError):
            continue
        if transaction not in verdicts or at_ms >= verdicts[transaction][0]:
            verdicts[transaction] = at_ms, verdict
        if verdict == VERDICT["fraud"]:
            known_ms[transaction] = min(at_ms, known_ms.get(transaction, NEVER_MS))
    counts.labels = len(verdicts)
    return {transaction: verdict for transaction, (_, verdict) in verdicts.items()}, known_ms


@settings(max_examples=100, deadline=None)
@given(
    st.lists(sent_records(), max_size=40), st.lists(st.integers(1, 40), max_size=8), st.integers(1, 12), st.booleans()
)
def test_blocks_are_all_records_sorted_each_transaction_once(
    sent: list[Sent], commit_after: list[int], block_rows: int, again: bool
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        recording = record(Path(directory), sent, PARTITIONS, commit_after)
        timeline = Timeline(recording, LabelTable.read(recording), block_rows=block_rows)
        assert timeline.rows == sum(one.topic == "purchases" for one in sent)
        blocks = list(timeline.blocks())
        if again:
            blocks = list(timeline.blocks())
    placed, counts = wanted(sent)
    assert flattened(blocks) == placed
    assert timeline.counts == counts
    assert all(0 < len(block.columns) <= block_rows for block in blocks)
    for block in blocks:
        assert_columns_are_of_the_values(block)


def assert_columns_are_of_the_values(block: Block) -> None:
    columns = block.columns
    for row, purchase in enumerate(map(decode_purchase, block.values)):
        assert columns.event_time_ms[row] == purchase.event_time
        assert columns.amount_minor[row] == purchase.amount
        assert (columns.attributes[row] if columns.attributes is not None else {}) == purchase.attributes
        for field in TEXT_FIELDS:
            column = columns.texts[field]
            code = int(column.codes[row])
            assert (column.texts[code] if code >= 0 else None) == getattr(purchase, field)
    for column in columns.texts.values():
        assert len(set(column.texts)) == len(column.texts)
        assert set(column.codes.tolist()) - {-1} == set(range(len(column.texts)))


def purchases(count: int, disorder_ms: int = 0) -> list[Sent]:
    """One a second in four partitions, some of them late."""
    return [
        Sent(
            "purchases",
            number % 4,
            BEGIN_MS + number * 1000,
            orjson.dumps(
                {
                    **PURCHASE,
                    "transaction_id": f"t-{number}",
                    "event_time": BEGIN_MS + number * 1000 - (disorder_ms if number % 7 == 0 else 0),
                }
            ),
        )
        for number in range(count)
    ]


def test_a_long_recording_is_held_a_few_segments_at_a_time(tmp_path: Path) -> None:
    rows, segment_rows = 20_000, 100
    sent = purchases(rows, disorder_ms=30_000)
    recording = record(tmp_path, sent, {"purchases": 4}, range(0, rows, 4 * segment_rows))
    timeline = Timeline(recording, block_rows=500)
    times = [int(time_ms) for block in timeline.blocks() for time_ms in block.columns.event_time_ms]
    assert times == sorted(times)
    assert len(times) == timeline.counts.purchases == rows
    assert timeline.rows_held_max <= 500 + 2 * 4 * segment_rows


def test_blocks_are_nearly_full_however_small_the_segments_are(tmp_path: Path) -> None:
    recording = record(tmp_path, purchases(2_000), {"purchases": 4}, range(0, 2_000, 20))
    sizes = [len(block.columns) for block in Timeline(recording, block_rows=500).blocks()]
    assert max(sizes) <= 500
    assert len(sizes) <= 8


def test_a_purchase_weeks_late_comes_at_its_time(tmp_path: Path) -> None:
    late = Sent(
        "purchases",
        0,
        BEGIN_MS + 40 * DAY_MS,
        orjson.dumps({**PURCHASE, "transaction_id": "late", "event_time": BEGIN_MS - DAY_MS}),
    )
    sent = [*purchases(400), late]
    recording = record(tmp_path, sent, {"purchases": 4}, range(0, 400, 40))
    first = next(iter(Timeline(recording, block_rows=50).blocks()))
    assert first.values[0] == late.value


def test_at_one_moment_the_lower_partition_comes_first_however_late_its_segment_is_read(tmp_path: Path) -> None:
    sent = [
        *(purchase(f"early-{number}", number, partition=1) for number in range(5)),
        purchase("second", 10, partition=1),
        purchase("first", 10, partition=0),
        purchase("last", 20, partition=1),
    ]
    recording = record(tmp_path, sent, {"purchases": 2}, [6, 7])
    blocks = Timeline(recording, block_rows=2).blocks()
    assert transactions(blocks)[5:] == ["first", "second", "last"]


@pytest.mark.parametrize(
    ("times_ms", "kept"),
    [
        ([0, DAY_MS - 1], [0]),
        ([0, DAY_MS], [0]),
        ([0, DAY_MS + 1], [0, DAY_MS + 1]),
        ([0, 20 * HOUR_MS, 30 * HOUR_MS], [0, 30 * HOUR_MS]),
        ([0, 30 * HOUR_MS, 50 * HOUR_MS, 55 * HOUR_MS], [0, 30 * HOUR_MS, 55 * HOUR_MS]),
    ],
)
@pytest.mark.parametrize("block_rows", [1, 3, 100])
@pytest.mark.parametrize("fillers", [0, 1, 5])
def test_a_transaction_is_remembered_for_a_day_of_event_time(
    tmp_path: Path, times_ms: list[int], kept: list[int], block_rows: int, fillers: int
) -> None:
    """Others at the same moments come before, so that what is remembered is put together and let go of."""
    sent: list[Sent] = []
    for time_ms in times_ms:
        sent += [purchase(f"other-{len(sent)}-{number}", time_ms) for number in range(fillers)]
        sent.append(purchase("t", time_ms))
    timeline = Timeline(record(tmp_path, sent, {"purchases": 1}), block_rows=block_rows)
    first = [
        int(block.columns.event_time_ms[row]) - BEGIN_MS
        for block in timeline.blocks()
        for row, value in enumerate(block.values)
        if decode_purchase(value).transaction_id == "t"
    ]
    assert first == kept
    # Sent again at another time, it is another purchase.
    assert (timeline.counts.repeats, timeline.counts.conflicts) == (0, len(times_ms) - len(kept))


def test_a_limit_of_the_same_moment_takes_effect_before_the_purchase(tmp_path: Path) -> None:
    limits = [
        Sent("accounts", 0, BEGIN_MS + at_ms, orjson.dumps({**CREDIT_LIMIT, "event_time": BEGIN_MS + at_ms}))
        for at_ms in (0, 5, 6)
    ]
    sent = [limits[0], purchase("t-1", 5), limits[1], limits[2], purchase("t-2", 6)]
    recording = record(tmp_path, sent, {"purchases": 1, "accounts": 1}, [1, 3])
    blocks = list(Timeline(recording, block_rows=1).blocks())
    times_ms = [[(at, event.event_time - BEGIN_MS) for at, event in block.accounts] for block in blocks]
    assert times_ms == [[(0, 0), (0, 5)], [(0, 6)]]


def test_an_account_record_that_is_too_large_is_counted_as_bad(tmp_path: Path) -> None:
    large = Sent("accounts", 0, BEGIN_MS, orjson.dumps(CREDIT_LIMIT) + b" " * MAX_RECORD_BYTES)
    timeline = Timeline(record(tmp_path, [large, purchase("t", 0)], {"purchases": 1, "accounts": 1}))
    (block,) = timeline.blocks()
    assert (list(block.accounts), timeline.counts.bad_account_records) == ([], 1)


def purchase(transaction: str, after_ms: int, partition: int = 0) -> Sent:
    fields = {**PURCHASE, "transaction_id": transaction, "event_time": BEGIN_MS + after_ms}
    return Sent("purchases", partition, BEGIN_MS + after_ms, orjson.dumps(fields))


def transactions(blocks: Iterable[Block]) -> list[str]:
    return [decode_purchase(value).transaction_id for block in blocks for value in block.values]


def test_counts_are_of_the_last_finished_pass(tmp_path: Path) -> None:
    timeline = Timeline(record(tmp_path, purchases(20), {"purchases": 4}), block_rows=5)
    next(iter(timeline.blocks()))
    assert timeline.counts == TimelineCounts()
    assert sum(len(block.columns) for block in timeline.blocks()) == timeline.counts.purchases == 20


def test_a_recording_of_nothing_has_no_blocks(tmp_path: Path) -> None:
    timeline = Timeline(record(tmp_path, [], {"purchases": 4}))
    assert list(timeline.blocks()) == []
    assert timeline.counts == TimelineCounts()


def test_a_recording_without_the_purchases_topic_is_refused(tmp_path: Path) -> None:
    recording = record(tmp_path, [], {"labels": 1})
    with pytest.raises(RecordingError, match="not recorded: purchases"):
        Timeline(recording)
