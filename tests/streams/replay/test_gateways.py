"""What gateways write and ask is recorded and replayed like purchases; what they are answered is not compared."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from rules.fold import Record
from rules.language.compile import compile_ruleset
from rules.reply import reply_to_header
from rules.route import INQUIRY, read_route
from streams.backtest.decisions import decisions_of
from streams.recording.manifest import SliceOf
from streams.recording.reader import Recording
from streams.recording.recorded import ADDED
from streams.recording.slice import cut
from streams.recording.verify import verify
from streams.replay.makers import Makers
from streams.replay.replay import ReplayReport, replay
from streams.timeline.labels import LabelTable
from streams.topics import (
    ASSESSMENTS,
    DEGRADED,
    INQUIRIES,
    PURCHASES,
    RECONCILIATIONS,
    REPLIES,
    SETTLEMENT_RESULTS,
    SETTLEMENTS,
)
from tests.integration.shopping import ACCOUNT_RULES, LABEL_RULES, shopping
from tests.streams.replay.life import AT_MS, shop
from tests.streams.replay.recorded import RecordedLine, write_recording

WRITTEN = (RECONCILIATIONS, SETTLEMENT_RESULTS)


@pytest.fixture(scope="module")
def line() -> RecordedLine:
    """A whole life with gateways, without crashes: every record that desks write is there once."""
    made = RecordedLine(LABEL_RULES)
    shop(made, 250, gateways=True)
    return made


def all_of(recording: Recording, topic: str) -> list[Record]:
    return [record for p in range(recording.partitions(topic)) for record in recording.read(topic, p)]


def replayed_with(line: RecordedLine, folder: Path, topic: str, changed: list[Record]) -> ReplayReport:
    """The replay of a recording in which the partition 1 of a topic holds other records."""
    parts = list(line.topics[topic])
    parts[1] = [record._replace(offset=offset) for offset, record in enumerate(changed)]
    return replay(write_recording(folder, {**line.topics, topic: parts}))


def test_what_gateways_wrote_and_asked_replays_without_a_difference(tmp_path: Path, line: RecordedLine) -> None:
    recording = write_recording(tmp_path / "r", line.topics)
    report = replay(recording)
    assert report.is_equal
    assert not report.not_arrived
    for topic in WRITTEN:
        tally = report.tallies[topic]
        assert tally.compared == tally.replayed == sum(map(len, line.topics[topic])) > 50
    assert sum(map(len, line.topics[REPLIES])) > 50, "nobody was replied to: that tests nothing"
    assert not {REPLIES, INQUIRIES} & {*recording.manifest.topics, *report.tallies}


@pytest.mark.parametrize("rules", [LABEL_RULES, ACCOUNT_RULES], ids=["stations", "bundles"])
def test_what_expired_replays_too_wherever_workers_crashed(tmp_path: Path, rules: str) -> None:
    line = RecordedLine(rules.replace("max_rows: 4096", "max_rows: 4096\nreservations: {expire_after: 12h}"))
    shop(line, 250, crashes=4, gateways=True)
    # One purchase of each account, a day later, moves all desks' times on.
    sent = {one.key: orjson.loads(one.value) for one in shopping(1, 250, accounts=40) if one.topic == PURCHASES}
    later = max(purchase["event_time"] for purchase in sent.values()) + 24 * 3_600_000
    for key, purchase in sent.items():
        purchase |= {"transaction_id": f"t-later-{purchase['account_id']}", "event_time": later}
        line.send(PURCHASES, key, orjson.dumps(purchase), later)
    line.work()
    report = replay(write_recording(tmp_path / "r", line.topics))
    results = [orjson.loads(record.value or b"") for part in line.topics[SETTLEMENT_RESULTS] for record in part]
    assert sum(result["kind"] == "expire" for result in results) > 10
    assert report.is_equal
    assert report.tallies[SETTLEMENT_RESULTS].compared > 10


def test_an_inquiry_that_was_put_on_a_partition_is_no_desks_work(tmp_path: Path, line: RecordedLine) -> None:
    makers = Makers(write_recording(tmp_path / "r", line.topics), line.registry)
    asked = [r for part in line.topics[ASSESSMENTS] for r in part if read_route(r)[0].kind == INQUIRY]
    assert {record.key is None for record in asked} == {True, False}
    assert {makers.maker_of(ASSESSMENTS, record) for record in asked} == {None}


def changed(records: list[Record], at: int, verdict: str) -> list[Record]:
    """The records with one that is changed, is left out, or is too many."""
    record = records[at]
    value = orjson.loads(record.value or b"")
    if verdict == "missing":
        return [*records[:at], *records[at + 1 :]]
    if verdict == "extra":
        stray = orjson.dumps({**value, "transaction_id": "t-never-sent"})
        return [*records[:at], record._replace(value=stray), *records[at:]]
    altered = orjson.dumps({**value, "event_time": value["event_time"] + 1})
    return [*records[:at], record._replace(value=altered), *records[at + 1 :]]


@pytest.mark.parametrize("topic", WRITTEN)
@pytest.mark.parametrize("verdict", ["altered", "missing", "extra"])
def test_what_differs_is_named(tmp_path: Path, line: RecordedLine, topic: str, verdict: str) -> None:
    records = line.topics[topic][1]
    values = [record.value for record in records]
    at = next(n for n in range(len(records) // 2, len(records)) if values.count(values[n]) == 1)
    report = replayed_with(line, tmp_path / "r", topic, changed(records, at, verdict))
    [difference] = report.differences
    assert (difference.verdict, difference.topic) == (verdict, topic)
    about = "t-never-sent" if verdict == "extra" else orjson.loads(values[at] or b"")["transaction_id"]
    assert difference.about == f"transaction {about}"
    assert difference.recorded_at == (None if verdict == "missing" else f"{topic}-1@{at}")
    if verdict == "altered":
        assert [field.path for field in difference.fields] == ["event_time"]
    assert not report.is_equal


@pytest.mark.parametrize("topic", [SETTLEMENTS, DEGRADED])
def test_one_that_went_nowhere_is_named(tmp_path: Path, topic: str) -> None:
    line = RecordedLine(ACCOUNT_RULES)
    line.lost.add((topic, 1, 10))
    shop(line, 150, gateways=True)
    report = replay(write_recording(tmp_path / "r", line.topics))
    assert not any(tally.differences for tally in report.tallies.values())
    assert report.lost == [f"{topic}-1@10"]


def test_a_refusal_that_somebody_waits_for_and_that_went_nowhere_is_named(tmp_path: Path) -> None:
    line = RecordedLine(LABEL_RULES)
    shop(line, 50)
    first = len(line.topics[PURCHASES][1])
    key = line.topics[PURCHASES][1][0].key
    for number in range(3):
        line.send(PURCHASES, key, b"{}", AT_MS + 100, (reply_to_header(0, f"r-{number}"),))
    line.lost.add((PURCHASES, 1, first + 1))
    line.work()
    assert replay(write_recording(tmp_path / "r", line.topics)).lost == [f"{PURCHASES}-1@{first + 1}"]


def test_a_recording_from_before_there_were_gateways_replays(tmp_path: Path) -> None:
    line = RecordedLine(LABEL_RULES)
    shop(line, 150, crashes=2)
    recording = write_recording(tmp_path / "r", {t: parts for t, parts in line.topics.items() if t not in ADDED})
    assert not ADDED & recording.manifest.topics.keys()
    assert not verify(recording).damages
    assert replay(recording).is_equal
    cut(recording, str(tmp_path / "slice"), SliceOf(from_ms=AT_MS + 50))
    assert replay(Recording.open(str(tmp_path / "slice"))).is_equal
    account = orjson.loads(all_of(recording, PURCHASES)[0].value or b"")["account_id"]
    cut(recording, str(tmp_path / "account"), SliceOf(accounts=[account]))
    assert not ADDED & Recording.open(str(tmp_path / "account")).manifest.topics.keys()


def test_a_slice_of_an_account_holds_what_gateways_wrote_on_its_purchases(tmp_path: Path, line: RecordedLine) -> None:
    whole = write_recording(tmp_path / "r", line.topics)
    account = orjson.loads(all_of(whole, RECONCILIATIONS)[0].value or b"")["account_id"]
    cut(whole, str(tmp_path / "slice"), SliceOf(accounts=[account]))
    mine = Recording.open(str(tmp_path / "slice"))
    for topic in (SETTLEMENTS, DEGRADED, *WRITTEN):
        theirs = [r for r in all_of(whole, topic) if orjson.loads(r.value or b"").get("account_id") == account]
        assert all_of(mine, topic) == theirs
        assert theirs


def test_what_if_takes_no_notice_of_what_gateways_wrote(tmp_path: Path, line: RecordedLine) -> None:
    without = {topic: parts for topic, parts in line.topics.items() if topic not in ADDED}
    recordings = write_recording(tmp_path / "whole", line.topics), write_recording(tmp_path / "without", without)
    ruleset = compile_ruleset(ACCOUNT_RULES)
    decided, other = (list(decisions_of(each, ruleset, LabelTable.read(each, None))) for each in recordings)
    assert decided == other
    assert len(decided) > 100
