"""The engine alone under chaos: nothing lost, nothing doubled, nothing committed that was not done."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from pathlib import Path

import orjson
import pytest

from streams.engine.changelog import ChangelogImage
from tests.integration.cluster import (
    Chaos,
    Workers,
    committed_offsets,
    create_topics,
    produce,
    read_topic,
)

EVENTS = 20_000
DEVICES = 400
EVENTS_PER_S = 1_000
FINISH_S = 60


def events(seed: int) -> list[dict[str, str]]:
    rng = random.Random(seed)
    return [{"id": f"e{number}", "device": f"d{int(rng.paretovariate(0.7)) % DEVICES}"} for number in range(EVENTS)]


async def wait_for_results(kafka: str, topic: str, expected: int) -> list[dict[str, object]]:
    deadline = asyncio.get_running_loop().time() + FINISH_S
    while True:
        results = [orjson.loads(r.value) for r in await read_topic(kafka, topic)]
        if len({r["id"] for r in results}) >= expected:
            return results
        if asyncio.get_running_loop().time() > deadline:
            return results
        await asyncio.sleep(1)


@pytest.mark.needs_kafka
@pytest.mark.timeout(300)
async def test_every_event_is_counted_once_whatever_happens_to_the_workers(
    kafka: str, tmp_path: Path, chaos_seed: int
) -> None:
    prefix = f"chaos-{chaos_seed}-"
    topics = {name: prefix + name for name in ("events", "hops", "results", "counters-changelog")}
    await create_topics(kafka, dict.fromkeys(topics.values(), 4))
    sent = events(chaos_seed)
    chaos = Chaos(chaos_seed)
    with Workers(
        ["-m", "tests.integration.skeleton_app"],
        {"KAFKA_BOOTSTRAP_SERVERS": kafka, "SKELETON_PREFIX": prefix},
        tmp_path,
    ) as workers:
        workers.start(2)
        await asyncio.gather(
            produce(
                kafka,
                topics["events"],
                [(e["id"].encode(), orjson.dumps(e)) for e in sent],
                per_s=EVENTS_PER_S,
            ),
            chaos.rage(workers),
        )
        results = await wait_for_results(kafka, topics["results"], len(sent))
        workers.stop()

    numbers: defaultdict[str, set[object]] = defaultdict(set)
    for result in results:
        numbers[str(result["id"])].add(result["number"])
    lost = [e["id"] for e in sent if e["id"] not in numbers]
    assert not lost, f"{len(lost)} events lost after {chaos.history}\n{workers.log_text()}"
    assert all(len(given) == 1 for given in numbers.values()), "an event was given two numbers"

    expected = Counter(e["device"] for e in sent)
    by_device: defaultdict[str, list[int]] = defaultdict(list)
    for event in sent:
        (number,) = numbers[event["id"]]
        by_device[event["device"]].append(int(str(number)))
    for device, given in by_device.items():
        assert sorted(given) == list(range(1, expected[device] + 1)), f"{device} lost or doubled"

    images: defaultdict[int, ChangelogImage] = defaultdict(ChangelogImage)
    for record in await read_topic(kafka, topics["counters-changelog"]):
        images[record.partition].apply([record])
    counted = {
        key.decode(): len(orjson.loads(value)) for image in images.values() for key, value in image.records.items()
    }
    assert counted == dict(expected)

    for tp, (committed, end) in (
        await committed_offsets(kafka, prefix + "skeleton", [topics["events"], topics["hops"]])
    ).items():
        assert committed == end, f"{tp} ends committed at {committed} of {end}"
