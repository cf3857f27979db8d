"""A slice by time replays to the same bytes; a slice by account or entity holds what is theirs, and no more."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import orjson
import pytest

from rules.desk import Desk
from rules.fold import Fold, Output, Record
from rules.station import Station
from streams.engine.changelog import ChangelogImage
from streams.recording.errors import RecordingError
from streams.recording.manifest import SliceOf
from streams.recording.reader import Recording
from streams.recording.slice import cut
from streams.recording.verify import verify
from streams.topics import ASSESSMENTS, DECISIONS, LABELS, PURCHASES, RULESETS, SIGHTINGS, STATE_OF
from tests.streams.recording.made import HOUR_MS, START_MS, RecordedLine, lived, record_line

SPAN_MS = 6 * HOUR_MS


@pytest.fixture(scope="module")
def line() -> RecordedLine:
    return lived(5, 400)


@pytest.fixture(scope="module", params=[0.0, 0.3], ids=["from the first", "from the middle"])
def whole(request: pytest.FixtureRequest, line: RecordedLine, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    place = tmp_path_factory.mktemp("recordings") / "whole"
    record_line(line, place, request.param)
    recording = Recording.open(str(place))
    assert not verify(recording).damages
    return recording


def all_of(recording: Recording, topic: str) -> list[Record]:
    return [r for partition in range(recording.partitions(topic)) for r in recording.read(topic, partition)]


def replayed(line: RecordedLine, recording: Recording, source: str) -> Iterable[Output]:
    """What a source's partitions give, from the state that the recording begins with."""
    for partition in range(recording.partitions(source)):
        image = image_of(recording, source, partition)
        fold: Fold = Station(line.rulesets) if source == SIGHTINGS else Desk(line.rulesets)
        fold.restore(image.records)
        for record in recording.read(source, partition, image.fence + 1):
            yield from fold.apply(record)
            yield from fold.flush()


def image_of(recording: Recording, source: str, partition: int) -> ChangelogImage:
    ends = recording.manifest.topics[STATE_OF[source]].state_offsets
    assert ends is not None
    image = ChangelogImage()
    image.apply([r for r in recording.read(STATE_OF[source], partition) if r.offset < ends[partition]])
    return image


def hold_replay(line: RecordedLine, recording: Recording) -> int:
    """All that follows from what is recorded is recorded, byte for byte; returns the number of decisions."""
    decided = {(r.key, r.value) for r in all_of(recording, DECISIONS)}
    again = [output for output in replayed(line, recording, ASSESSMENTS) if output.topic == DECISIONS]
    assert {(output.key, output.value) for output in again} <= decided
    # Of the line itself: what is assessed may lie before what is recorded of it.
    assessed = {(r.key, r.value, tuple(r.headers)) for part in line.topics[ASSESSMENTS] for r in part}
    for output in replayed(line, recording, SIGHTINGS):
        if output.topic == ASSESSMENTS:
            assert (output.key, output.value, tuple(output.headers)) in assessed
    return len(again)


def test_the_recording_itself_replays(line: RecordedLine, whole: Recording) -> None:
    assert hold_replay(line, whole) > 200


@pytest.mark.parametrize("seed", range(8))
def test_a_slice_of_any_time_replays_and_holds_all_of_that_time(
    line: RecordedLine, whole: Recording, tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    from_ms, until_ms = sorted(START_MS + rng.randrange(SPAN_MS) for _ in range(2))
    by = SliceOf(from_ms=from_ms if seed else None, until_ms=until_ms if seed != 1 else None)
    manifest = cut(whole, str(tmp_path / "slice"), by)
    assert manifest.slice_of == by
    recording = Recording.open(str(tmp_path / "slice"))
    assert not verify(recording).damages
    hold_replay(line, recording)
    begin, end = by.from_ms or 0, by.until_ms or 2**62
    for topic in (PURCHASES, SIGHTINGS, ASSESSMENTS):
        within = [r for r in all_of(whole, topic) if begin <= r.timestamp < end]
        there = all_of(recording, topic)
        assert set(within) <= set(there)
        # Before the time, only what the state has not seen: the rest of one run.
        assert len(there) - len(within) <= 2 * recording.partitions(topic)
    for source in STATE_OF:
        for partition in range(whole.partitions(source)):
            first = recording.manifest.begin_offset(source, partition)
            assert first == max(image_of(recording, source, partition).fence + 1, 0)
    assert all_of(recording, RULESETS) == all_of(whole, RULESETS)
    assert all_of(recording, LABELS) == [r for r in all_of(whole, LABELS) if r.timestamp >= begin]


def test_a_slice_of_a_slice_replays(line: RecordedLine, whole: Recording, tmp_path: Path) -> None:
    cut(whole, str(tmp_path / "a"), SliceOf(from_ms=START_MS + 2 * HOUR_MS))
    by = SliceOf(from_ms=START_MS + HOUR_MS, until_ms=START_MS + 3 * HOUR_MS)
    manifest = cut(Recording.open(str(tmp_path / "a")), str(tmp_path / "b"), by)
    assert manifest.slice_of == SliceOf(from_ms=START_MS + 2 * HOUR_MS, until_ms=START_MS + 3 * HOUR_MS)
    assert hold_replay(line, Recording.open(str(tmp_path / "b"))) > 10


def fields_of(record: Record) -> dict[str, object]:
    return orjson.loads(record.value or b"")


def test_a_slice_of_accounts_and_entities_holds_what_is_theirs(whole: Recording, tmp_path: Path) -> None:
    purchases = [fields_of(record) for record in all_of(whole, PURCHASES)]
    account, device = str(purchases[3]["account_id"]), str(purchases[70]["device_id"])
    manifest = cut(whole, str(tmp_path / "s"), SliceOf(accounts=[account], entities=[f"device_id:{device}"]))
    recording = Recording.open(str(tmp_path / "s"))
    assert not verify(recording).damages
    wanted = [p for p in purchases if p["account_id"] == account or p["device_id"] == device]
    assert [fields_of(record) for record in all_of(recording, PURCHASES)] == wanted
    assert 1 < len(wanted) < len(purchases)
    transactions, accounts = {p["transaction_id"] for p in wanted}, {p["account_id"] for p in wanted}
    for topic, name, theirs in (
        ("accounts", "account_id", accounts),
        ("repayments", "account_id", accounts),
        (LABELS, "transaction_id", transactions),
        (DECISIONS, "transaction_id", transactions),
    ):
        assert all_of(recording, topic) == [r for r in all_of(whole, topic) if fields_of(r)[name] in theirs]
    assert not {*STATE_OF, *STATE_OF.values()} & set(manifest.topics)
    assert not any(entry.dense for entry in manifest.topics.values())


def test_an_address_is_found_however_it_is_written(whole: Recording, tmp_path: Path) -> None:
    ip = str(fields_of(all_of(whole, PURCHASES)[0])["ip"])
    cut(whole, str(tmp_path / "a"), SliceOf(entities=[f"ip:{ip}"]))
    cut(whole, str(tmp_path / "b"), SliceOf(entities=[f"ip:::ffff:{ip}"]))
    a, b = (all_of(Recording.open(str(tmp_path / name)), PURCHASES) for name in "ab")
    assert a == b
    assert a


@pytest.mark.parametrize(
    ("by", "told"),
    [
        (SliceOf(accounts=["nobody"]), r"nothing to cut out: .*from 17\d+ to 17\d+"),
        (SliceOf(from_ms=START_MS + 100 * SPAN_MS), "nothing to cut out"),
        (SliceOf(entities=["device:d-1"]), "'device:d-1' is no entity: write field:value, with one of account_id"),
        (SliceOf(entities=["device_id"]), "'device_id' is no entity"),
        (SliceOf(entities=["ip:1.2.3"]), "'1.2.3' is not an IPv4 or IPv6 address"),
    ],
)
def test_what_cannot_be_cut_is_told_and_leaves_nothing(
    whole: Recording, tmp_path: Path, by: SliceOf, told: str
) -> None:
    with pytest.raises(RecordingError, match=told):
        cut(whole, str(tmp_path / "slice"), by)
    assert not (tmp_path / "slice").exists()


def test_a_slice_of_accounts_is_cut_no_further_by_accounts(whole: Recording, tmp_path: Path) -> None:
    account = str(fields_of(all_of(whole, PURCHASES)[0])["account_id"])
    cut(whole, str(tmp_path / "a"), SliceOf(accounts=[account]))
    with pytest.raises(RecordingError, match="cut the recording that it was cut out of"):
        cut(Recording.open(str(tmp_path / "a")), str(tmp_path / "b"), SliceOf(accounts=[account]))
    by_time = cut(Recording.open(str(tmp_path / "a")), str(tmp_path / "b"), SliceOf(until_ms=START_MS + SPAN_MS))
    assert by_time.slice_of == SliceOf(until_ms=START_MS + SPAN_MS, accounts=[account])
    assert not by_time.topics[PURCHASES].dense
