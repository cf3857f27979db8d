"""A recording written into topics: in the order it came in, its times moved alike and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.fold import Record
from rules.reply import reply_to_header
from streams.recording.errors import RecordingError
from streams.recording.reader import Recording
from streams.replay.feed import Feed, first_event_ms, moved
from tests.streams.replay.recorded import write_recording

PARTITIONS = 2


def recording_of(folder: Path, records: Mapping[str, Sequence[tuple[int, int, bytes | None]]]) -> Recording:
    """A recording of (partition, timestamp, value), by topic."""
    topics: dict[str, list[list[Record]]] = {}
    for topic, those in records.items():
        parts = topics[topic] = [[] for _ in range(PARTITIONS)]
        for partition, timestamp, value in those:
            headers = (("trace", b"1"),)
            parts[partition].append(Record(len(parts[partition]), timestamp, b"a", value, headers, partition))
    return write_recording(folder / "r", topics)


def test_records_come_in_the_order_of_the_brokers_timestamps_and_each_partition_in_its_own(tmp_path: Path) -> None:
    recording = recording_of(
        tmp_path,
        {
            "purchases": [(0, 5_000, b"p1"), (0, 9_000, b"p3"), (1, 6_000, b"p2")],
            "labels": [(0, 7_000, b"l1"), (0, 6_500, b"l2")],
            "decisions": [(0, 1_000, b"not fed")],
        },
    )
    feed = Feed(recording, speed=2.0)
    records = list(feed.records())
    assert [record.value for record in records] == [b"p1", b"p2", b"l1", b"l2", b"p3"]
    assert [record.due_s for record in records] == [0.0, 0.5, 1.0, 0.75, 2.0]
    assert feed.rows == 5
    assert {(record.key, record.headers) for record in records} == {(b"a", (("trace", b"1"),))}
    assert {record.due_s for record in Feed(recording, None).records()} == {0.0}
    assert records[1].where.endswith("purchases-1@0")


def test_all_event_times_are_moved_by_the_same_also_within_a_label(tmp_path: Path) -> None:
    label = {"event_time": 900, "purchase": {"event_time": 300, "amount": 5}}
    recording = recording_of(
        tmp_path,
        {
            "purchases": [(0, 1, b"{damaged"), (0, 2, b'{"event_time": 300, "amount": 5}')],
            "accounts": [(0, 3, b'{"event_time":400}')],
            "labels": [(0, 4, orjson.dumps(label))],
        },
    )
    assert first_event_ms(recording) == 300
    values = [record.value for record in Feed(recording, shift_ms=1_000).records()]
    assert values[0] == b"{damaged"
    assert [orjson.loads(value or b"") for value in values[1:]] == [
        {"event_time": 1_300, "amount": 5},
        {"event_time": 1_400},
        {"event_time": 1_900, "purchase": {"event_time": 1_300, "amount": 5}},
    ]
    assert [record.value for record in Feed(recording).records()][1] == b'{"event_time": 300, "amount": 5}'


def test_what_gateways_wrote_is_fed_too_and_nobody_is_replied_to(tmp_path: Path) -> None:
    headers = (("trace", b"1"), reply_to_header(0, "r-1"), ("span", b"2"))
    topics = {
        topic: [[Record(0, at_ms, b"a", b"{}", headers, 0)], []]
        for at_ms, topic in enumerate(("purchases", "settlements", "decisions.degraded", "settlements.results"))
    }
    records = list(Feed(write_recording(tmp_path / "r", topics), None).records())
    assert [record.topic for record in records] == ["purchases", "settlements", "decisions.degraded"]
    assert {record.headers for record in records} == {(("trace", b"1"), ("span", b"2"))}


@given(
    st.none() | st.binary() | st.sampled_from([b"[]", b"7", b'{"event_time": true}', b'{"event_time": "now"}', b"{}"])
)
def test_bytes_without_an_event_time_stay_as_they_are(value: bytes | None) -> None:
    assert moved(value, 1_000) == value


def test_a_recording_with_nothing_to_write_says_so(tmp_path: Path) -> None:
    recording = recording_of(tmp_path, {"decisions": [(0, 1, b"d")]})
    with pytest.raises(RecordingError, match="nothing to write"):
        list(Feed(recording).records())
