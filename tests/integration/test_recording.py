"""Recording a line under load: whatever happens to the recorder, the recording holds the topics, whole and once."""

# aiokafka is typed in part only.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewPartitions, RecordsToDelete

from rules.fold import SourceRecord
from streams.broker.embedded import PRODUCER_OPTIONS
from streams.clients import admin_client
from streams.engine.changelog import ChangelogImage, encode_changes
from streams.recording.errors import RecordingError
from streams.recording.location import Location
from streams.recording.manifest import read_manifest, write_manifest
from streams.recording.reader import Recording
from streams.recording.recorded import ADDED, RECORDED
from streams.recording.recorder import Recorder
from streams.recording.verify import verify
from streams.topics import ASSESSMENTS, STATE_OF, TopicsError
from streams.topics import PURCHASES as PURCHASES_TOPIC
from tests.integration.cluster import committed_offsets, produce
from tests.integration.commands import Stopbank
from tests.integration.conftest import Tell
from tests.integration.line import Line, until
from tests.integration.shopping import RULES, Sent, shopping

PURCHASES = 2_400
ACCOUNTS = 300
PER_S = 400
KILLS = 4


def contents(record: SourceRecord) -> tuple[object, ...]:
    return record.offset, record.timestamp, record.key, record.value, tuple(record.headers)


def parts(records: Sequence[Any], partition: int, begin: int) -> list[tuple[object, ...]]:
    return [contents(record) for record in records if record.partition == partition and record.offset >= begin]


async def same_as_topics(line: Line, place: Path) -> int:
    """Hold a recording against the topics; returns how many records are equal."""
    recording = Recording.open(str(place))
    equal = 0
    for topic in RECORDED:
        there = await line.read(topic)
        for partition in range(recording.partitions(topic)):
            begin = recording.manifest.begin_offset(topic, partition)
            recorded = [contents(record) for record in recording.read(topic, partition)]
            assert recorded == parts(there, partition, begin), f"{topic}-{partition} differs"
            equal += len(recorded)
    return equal


def recorder(line: Line) -> Stopbank:
    return Stopbank(line.bootstrap_servers, prefix=line.settings.topic_prefix)


@pytest.mark.needs_kafka
@pytest.mark.timeout(120)
async def test_a_recorder_that_is_killed_goes_on_with_no_gap_and_no_overlap(
    kafka: str, tmp_path: Path, tell: Tell
) -> None:
    seed = int.from_bytes(os.urandom(2))
    tell(f"seed {seed}")
    rng = random.Random(seed)
    place = tmp_path / "recording"
    line = Line(kafka, "recorded")
    await line.set_up(RULES)
    sent = shopping(seed, PURCHASES, accounts=ACCOUNTS, ends_ms=int(time.time() * 1000))
    stopbank = recorder(line)

    async def strike() -> None:
        for _ in range(KILLS):
            with (tmp_path / "recorder.log").open("ab") as log:
                process = stopbank.start("record", place, "--rotate-s", 0.3, "--segment-mb", 1, log=log)
            await asyncio.sleep(rng.uniform(0.8, 2.5))
            assert process.poll() is None, (tmp_path / "recorder.log").read_text()
            process.send_signal(signal.SIGKILL)
            process.wait()

    with line.workers(tmp_path) as workers:
        workers.start(1)
        await asyncio.gather(line.send(sent, per_s=PER_S), strike())
        await line.finish(workers, 60)
        workers.stop()
    assert stopbank.done("record", place, "--until-end").startswith("recorded ")
    equal = await same_as_topics(line, place)
    tell(f"{equal} records equal after {KILLS} kills")


@pytest.mark.needs_kafka
@pytest.mark.timeout(120)
async def test_a_recording_that_begins_in_the_middle_of_a_life_has_the_state_and_all_that_it_has_not_seen(
    kafka: str, tmp_path: Path
) -> None:
    place = tmp_path / "recording"
    line = Line(kafka, "midlife")
    await line.set_up(RULES)
    sent = shopping(3, 1_500, accounts=150, ends_ms=int(time.time() * 1000))
    stopbank = recorder(line)
    with line.workers(tmp_path) as workers:
        workers.start(1)
        await line.send(sent[:600])
        await line.finish(workers, 60)
        sending = asyncio.create_task(line.send(sent[600:], per_s=300))
        process = stopbank.start("record", place, "--rotate-s", 0.5)
        await until((place / "manifest.json").exists, "the recording to begin", 30)
        await sending
        await line.finish(workers, 60)
        process.send_signal(signal.SIGTERM)
        out, _ = await asyncio.to_thread(process.communicate, timeout=30)
        assert process.returncode == 0
        assert out.startswith(b"recorded ")
        workers.stop()
    await same_as_topics(line, place)
    recording = Recording.open(str(place))
    begun = recording.manifest.topics[ASSESSMENTS].begin_offsets
    assert all(offset > 0 for offset in begun)
    decided = {
        record.key
        for partition in range(recording.partitions("decisions"))
        for record in recording.read("decisions", partition)
    }
    for source, state in STATE_OF.items():
        ends = recording.manifest.topics[state].state_offsets
        assert ends is not None
        for partition, end in enumerate(ends):
            image = ChangelogImage()
            image.apply([record for record in recording.read(state, partition) if record.offset < end])
            assert recording.manifest.begin_offset(source, partition) == image.fence + 1
    assessed = {record.key for partition in range(len(begun)) for record in recording.read(ASSESSMENTS, partition)}
    assert assessed <= decided


# -- topics that change -----------------------------------------------------------------------------


async def some_purchases(line: Line, number: int, seed: int = 1) -> None:
    """Purchases that no worker reads."""
    sent = [one for one in shopping(seed, number, accounts=100) if one.topic == PURCHASES_TOPIC]
    await line.send(sent[:number])


async def record_to_end(line: Line, place: Path, **changes: object) -> int:
    """Record what is there now; returns how many records that were."""
    settings = line.settings.model_copy(update=changes)
    recorder = Recorder(settings, str(place), segment_bytes=1_000_000, rotate_s=60)
    return (await recorder.run(until_end=True)).committed


async def recorded_once(kafka: str, place: Path) -> Line:
    line = Line(kafka, "changing")
    await line.create_topics()
    await some_purchases(line, 100)
    assert await record_to_end(line, place) == 100
    return line


@pytest.mark.needs_kafka
async def test_a_recording_goes_on_with_partitions_that_were_added(kafka: str, tmp_path: Path) -> None:
    place = tmp_path / "recording"
    line = await recorded_once(kafka, place)
    stopbank = recorder(line)
    process = stopbank.start("record", place, "--rotate-s", 0.3)
    try:
        async with admin_client(line.settings) as admin:
            await admin.create_partitions({line.topic(PURCHASES_TOPIC): NewPartitions(6)})
        await some_purchases(line, 300, seed=2)
        # Into a partition that was not there when it started, or was found at the start: either way it is recorded.
        await until(lambda: bool(Recording.open(str(place)).manifest.segments_of(PURCHASES_TOPIC, 5)), "a sixth", 40)
        process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(process.wait, 30) == 130
    finally:
        process.kill()
        await asyncio.to_thread(process.communicate)
    assert await same_as_topics(line, place) == 400


@pytest.mark.needs_kafka
async def test_a_topic_that_was_made_anew_is_told_and_what_was_recorded_stays(kafka: str, tmp_path: Path) -> None:
    place = tmp_path / "recording"
    line = await recorded_once(kafka, place)
    before = (place / "manifest.json").read_bytes()
    await line.delete_topic(PURCHASES_TOPIC)
    with pytest.raises(TopicsError, match=f"no topic {line.topic(PURCHASES_TOPIC)}"):
        await record_to_end(line, place)
    await line.create_topics()
    with pytest.raises(RecordingError, match="was made anew: begin a new recording"):
        await record_to_end(line, place)
    # More than before, and others.
    await some_purchases(line, 300, seed=5)
    with pytest.raises(RecordingError, match="holds another record than was recorded: the topic was made anew"):
        await record_to_end(line, place)
    assert (place / "manifest.json").read_bytes() == before


@pytest.mark.needs_kafka
async def test_purchases_that_were_written_in_transactions_are_recorded(kafka: str, tmp_path: Path) -> None:
    place = tmp_path / "recording"
    line = Line(kafka, "transactions")
    await line.create_topics(2)
    producer = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=line.topic("shop"))
    await producer.start()
    try:
        for seed in (1, 2):
            for one in shopping(seed, 40, accounts=20)[:40]:
                async with producer.transaction():
                    await producer.send(line.topic(one.topic), one.value, key=one.key)
            # The end of each transaction takes an offset, the very last too.
            assert await record_to_end(line, place) == 40
    finally:
        await producer.stop()
    assert await same_as_topics(line, place) == 80
    assert not verify(Recording.open(str(place))).damages
    async with admin_client(line.settings) as admin:
        await admin.create_partitions({line.topic(PURCHASES_TOPIC): NewPartitions(4)})
    await some_purchases(line, 50, seed=3)
    assert await record_to_end(line, place) == 50


@pytest.mark.needs_kafka
async def test_offsets_that_were_deleted_before_they_were_recorded_are_told(kafka: str, tmp_path: Path) -> None:
    place = tmp_path / "recording"
    line = await recorded_once(kafka, place)
    await some_purchases(line, 200, seed=2)
    async with admin_client(line.settings) as admin:
        ends = await committed_offsets(line.bootstrap_servers, "nobody", [line.topic(PURCHASES_TOPIC)])
        await admin.delete_records({tp: RecordsToDelete(before_offset=end) for tp, (_, end) in ends.items()})
    with pytest.raises(RecordingError, match="retention deleted what lies between before it was recorded"):
        await record_to_end(line, place)
    assert verify(Recording.open(str(place))).records == 100


@pytest.mark.needs_kafka
async def test_another_ruleset_than_the_recordings_is_told(kafka: str, tmp_path: Path) -> None:
    place = tmp_path / "recording"
    line = await recorded_once(kafka, place)
    with pytest.raises(RecordingError, match="was recorded with STOPBANK_RULESET=checkout, and it is other now"):
        await record_to_end(line, place, ruleset="other")


@pytest.mark.needs_kafka
async def test_state_that_has_not_seen_what_retention_deleted_is_told(kafka: str, tmp_path: Path) -> None:
    line = Line(kafka, "expired")
    await line.create_topics(1)
    state = encode_changes([(b"a", b"1")], 2)
    await produce(kafka, line.topic(ASSESSMENTS), [(b"a", b"%d" % number) for number in range(6)])
    await produce(kafka, line.topic(STATE_OF[ASSESSMENTS]), [(record.key, record.value) for record in state])
    tp = TopicPartition(line.topic(ASSESSMENTS), 0)
    async with admin_client(line.settings) as admin:
        await admin.delete_records({tp: RecordsToDelete(before_offset=3)})
        assert await record_to_end(line, tmp_path / "whole") == 4, "what the state has seen may be gone"
        await admin.delete_records({tp: RecordsToDelete(before_offset=5)})
    with pytest.raises(RecordingError, match="before offset 3, and the topic begins at 5: retention deleted"):
        await record_to_end(line, tmp_path / "late")
    assert not (tmp_path / "late").exists()


async def test_the_embedded_broker_is_recorded_too(embedded: str, tmp_path: Path) -> None:
    place = tmp_path / "recording"
    line = Line(embedded, "embedded")
    await line.create_topics(2)
    for seed in (1, 2):
        sent = [one for one in shopping(seed, 400, accounts=100) if one.topic == PURCHASES_TOPIC]
        await produce_plainly(line, sent)
        await record_to_end(line, place, hole_patience_s=5.0, fetch_wait_ms=20)
        assert await same_as_topics(line, place) == seed * 400


async def test_a_recording_from_before_there_were_gateways_goes_on_with_their_topics(
    embedded: str, tmp_path: Path
) -> None:
    place = tmp_path / "recording"
    line = Line(embedded, "older")
    await line.create_topics(2)
    sent = [one for one in shopping(1, 300, accounts=100) if one.topic == PURCHASES_TOPIC]
    await produce_plainly(line, sent)
    await record_to_end(line, place, hole_patience_s=5.0, fetch_wait_ms=20)
    location = Location(str(place))
    manifest = read_manifest(location)
    older = {topic: entry for topic, entry in manifest.topics.items() if topic not in ADDED}
    write_manifest(location, manifest.model_copy(update={"topics": older}))
    # This broker tells of a batch's end when there is another one.
    later = [Sent(topic, one.key, one.value) for topic in (PURCHASES_TOPIC, *ADDED) for one in sent[:30]]
    await produce_plainly(line, later)
    await record_to_end(line, place, hole_patience_s=5.0, fetch_wait_ms=20)
    assert set(Recording.open(str(place)).manifest.topics) == set(RECORDED)
    assert await same_as_topics(line, place) == len(sent) + len(later)


async def produce_plainly(line: Line, sent: Sequence[Sent]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=line.bootstrap_servers, **PRODUCER_OPTIONS)
    await producer.start()
    try:
        for one in sent:
            await producer.send(line.topic(one.topic), one.value, key=one.key)
    finally:
        await producer.stop()
