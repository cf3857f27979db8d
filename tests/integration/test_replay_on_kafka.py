"""What workers decided on Kafka under load, killed and under changing rules, a replay decides again byte for byte."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest

from models.decision import decode_decision
from streams import topics
from streams.topics import DECISIONS
from tests.integration.cluster import Workers
from tests.integration.commands import Stopbank
from tests.integration.conftest import Tell
from tests.integration.line import Line, until
from tests.integration.shopping import ACCOUNT_RULES, LABEL_RULES, Sent, purchases_in, shopping

SEED = 71
PURCHASES = 4_000
ACCOUNTS = 500
PER_S = 500
FINISH_S = 60
# Two changes, of what stations and the desk look at.
STRICTER = LABEL_RULES.replace("count(device_id, 10m) > 5", "count(device_id, 10m) > 2")
OTHER = LABEL_RULES.replace("count(account_id, 10m) > 4", "count(account_id, 20m) > 3").replace(
    "count(ip, 1m) > 2", "count(ip, 2m) > 2"
)


async def changed_and_struck(line: Line, workers: Workers) -> None:
    """Two workers are killed and started again, and the rules change twice; all while purchases come in."""
    await asyncio.sleep(2)
    workers.send(workers.alive[0], signal.SIGKILL)
    await line.publish(STRICTER)
    await asyncio.sleep(1)
    workers.start()
    await asyncio.sleep(1.5)
    workers.send(workers.alive[0], signal.SIGKILL)
    workers.start()
    await asyncio.sleep(1)
    await line.publish(OTHER)


async def recorded(stopbank: Stopbank, place: Path, sent: Sequence[Sent], line: Line, workers: Workers) -> None:
    """Record while purchases come in, to the last decision."""
    with place.with_suffix(".log").open("wb") as log:
        process = stopbank.start("record", place, "--rotate-s", 0.5, log=log)
    await until((place / "manifest.json").exists, "the recording to begin", 30)
    await asyncio.gather(line.send(sent, per_s=PER_S), changed_and_struck(line, workers))
    await line.finish(workers, FINISH_S)
    process.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(process.wait, 30) == 0, place.with_suffix(".log").read_text()


@pytest.mark.needs_kafka
@pytest.mark.timeout(180)
@pytest.mark.parametrize("midlife", [False, True], ids=["a whole life", "begun in the middle"])
async def test_every_decision_of_workers_that_were_killed_is_replayed_byte_for_byte(
    kafka: str, tmp_path: Path, tell: Tell, midlife: bool
) -> None:
    line, place = Line(kafka, "replayed"), tmp_path / "recording"
    stopbank = Stopbank(kafka, prefix=line.settings.topic_prefix)
    await line.set_up(LABEL_RULES)
    sent = shopping(SEED, PURCHASES, accounts=ACCOUNTS, disorder=0.02, ends_ms=int(time.time() * 1000), labels=True)
    with line.workers(tmp_path) as workers:
        workers.start(3)
        if midlife:
            # The recording begins while these are decided.
            await line.send(sent[:1_500])
            await until(lambda: '"recovered"' in workers.log_text(), "the workers to begin", 30)
            await asyncio.sleep(2)
        await recorded(stopbank, place, sent[1_500 if midlife else 0 :], line, workers)
        workers.stop()
    report = orjson.loads(stopbank.done("replay", place, "--json"))
    decisions = report["topics"][DECISIONS]
    tell(f"{decisions}; {len(report['restored'])} partitions restored")
    assert report["equal"]
    assert decisions["compared"] == decisions["replayed"]
    assert not decisions["under_way"]
    assert bool(report["restored"]) is midlife
    assert decisions["compared"] > PURCHASES / 2
    if not midlife:
        # Routers may send on again what they had sent when they were killed.
        assert decisions["compared"] >= PURCHASES
        assert not report["not_arrived"]
    versions = {decode_decision(record.value).ruleset_version for record in await line.read(DECISIONS)}
    assert len(versions) == 3, "the rules did not change in the middle"
    said = stopbank.done("replay", place)
    assert f"{decisions['compared']} decisions equal byte for byte" in said


@pytest.mark.needs_kafka
@pytest.mark.timeout(120)
async def test_a_recording_written_to_other_topics_is_decided_alike(kafka: str, tmp_path: Path) -> None:
    line, again, place = Line(kafka, "first"), Line(kafka, "again"), tmp_path / "recording"
    # Which of two topics a worker reads first is not fixed: of these, only purchases matter.
    sent = [
        one
        for one in shopping(SEED, 1_000, accounts=100, ends_ms=int(time.time() * 1000))
        if one.topic == topics.PURCHASES
    ]
    for each in (line, again):
        await each.set_up(ACCOUNT_RULES)
    await line.send(sent)
    (tmp_path / "first").mkdir()
    (tmp_path / "again").mkdir()
    with line.workers(tmp_path / "first") as workers:
        workers.start(1)
        await line.finish(workers, FINISH_S)
        workers.stop()
    Stopbank(kafka, prefix=line.settings.topic_prefix).done("record", place, "--until-end")
    second = Stopbank(kafka, prefix=again.settings.topic_prefix)
    assert second.done("replay", place, "--to-kafka", "--speed", "max").endswith(f"wrote {len(sent)} records\n")
    with again.workers(tmp_path / "again") as workers:
        workers.start(1)
        await again.finish(workers, FINISH_S)
        workers.stop()
    decided = await texts(line)
    assert len(decided) == len(purchases_in(sent))
    assert await texts(again) == decided


async def texts(line: Line) -> dict[str, bytes]:
    """The decisions by transaction."""
    return {decode_decision(record.value).transaction_id: record.value for record in await line.read(DECISIONS)}
