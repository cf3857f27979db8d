"""The commands on a real broker: what they do, that they may be repeated, and what they say when it can't be done."""

# aiokafka is typed in part only.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from streams.process import EXIT_CONFIG
from streams.topics import SPECS, partition_counts
from tests.integration.cluster import create_topics
from tests.integration.commands import RULES, Stopbank, wait_until

CHECKOUT = RULES / "checkout.yaml"
PURCHASE = {
    "transaction_id": "t-1",
    "account_id": "a-1",
    "amount": 1_000,
    "currency": "CNY",
    "event_time": 1_772_431_200_000,
    "merchant_id": "m-1",
    "mcc": "5411",
}


@pytest.fixture
def stopbank(kafka: str) -> Stopbank:
    return Stopbank(kafka)


@pytest.fixture
def ready(stopbank: Stopbank) -> Stopbank:
    """With its topics."""
    stopbank.done("topics", "create", "--partitions", 2)
    return stopbank


async def counts(stopbank: Stopbank) -> dict[str, int]:
    admin = AIOKafkaAdminClient(bootstrap_servers=stopbank.bootstrap_servers)
    await admin.start()
    try:
        return await partition_counts(admin, stopbank.prefix)
    finally:
        await admin.close()


def purchases_file(folder: Path, number: int) -> Path:
    path = folder / "purchases.jsonl"
    path.write_text("".join(json.dumps({**PURCHASE, "transaction_id": f"t-{n}"}) + "\n" for n in range(number)))
    return path


def written(stopbank: Stopbank) -> int:
    """How many purchases the topic holds."""

    async def ask() -> int:
        topic = stopbank.prefix + "purchases"
        consumer = AIOKafkaConsumer(topic, bootstrap_servers=stopbank.bootstrap_servers)
        await consumer.start()
        try:
            return sum((await consumer.end_offsets(list(consumer.assignment()))).values())
        finally:
            await consumer.stop()

    return asyncio.run(ask())


# -- topics -----------------------------------------------------------------------------------------


async def test_topics_are_created_once_and_left_alone_after_that(stopbank: Stopbank) -> None:
    created = stopbank.done("topics", "create", "--partitions", 3)
    assert created.splitlines() == [f"created {stopbank.prefix}{spec.name}" for spec in SPECS]
    first = await counts(stopbank)
    assert first.pop("rulesets") == 1
    assert set(first.values()) == {3}
    assert stopbank.done("topics", "create") == "all topics are there\n"
    assert stopbank.done("topics", "create", "--partitions", 3) == "all topics are there\n"


async def test_topics_that_others_made_are_matched(stopbank: Stopbank) -> None:
    await create_topics(stopbank.bootstrap_servers, {stopbank.prefix + "assessments": 6})
    stopbank.done("topics", "create")
    assert (await counts(stopbank))["assessments-changelog"] == 6


async def test_counts_that_do_not_fit_are_refused_with_the_reason_and_nothing_is_created(stopbank: Stopbank) -> None:
    given = {"assessments": 6, "assessments-changelog": 4}
    await create_topics(stopbank.bootstrap_servers, {stopbank.prefix + name: n for name, n in given.items()})
    told = stopbank.refused("topics", "create")
    assert f"{stopbank.prefix}assessments has 6 partitions and {stopbank.prefix}assessments-changelog has 4" in told
    assert "must be equal" in told
    assert await counts(stopbank) == given
    doctor = stopbank.run("doctor")
    assert doctor.returncode == 1
    assert "must be equal" in doctor.stdout


def test_more_partitions_for_topics_that_are_there_are_refused(ready: Stopbank) -> None:
    told = ready.refused("topics", "create", "--partitions", 8)
    assert "assessments has 2 partitions, 8 were asked for" in told
    assert "Leave --partitions out" in told


def test_more_copies_than_brokers_are_refused(stopbank: Stopbank) -> None:
    told = stopbank.refused("topics", "create", "--replication-factor", 9)
    assert "9 copies of each partition were asked for" in told
    assert "--replication-factor" in told


# -- what is missing --------------------------------------------------------------------------------


def test_without_topics_every_command_says_which_and_what_to_do(stopbank: Stopbank, tmp_path: Path) -> None:
    rules = f"no topic {stopbank.prefix}rulesets: run `stopbank topics create`"
    assert rules in stopbank.refused("rules", "list")
    assert rules in stopbank.refused("rules", "publish", CHECKOUT)
    assert f"no topic {stopbank.prefix}decisions: " in stopbank.refused("tail")
    assert f"no topic {stopbank.prefix}purchases: " in stopbank.refused("produce", purchases_file(tmp_path, 1))
    assert f"no topics {stopbank.prefix}purchases, " in stopbank.refused("worker", code=EXIT_CONFIG)


@pytest.mark.needs_kafka
async def test_the_doctor_finds_a_topic_that_would_lose_state(stopbank: Stopbank) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=stopbank.bootstrap_servers)
    await admin.start()
    name = stopbank.prefix + "assessments-changelog"
    await admin.create_topics([NewTopic(name, 2, 1, topic_configs={"cleanup.policy": "delete"})])
    await admin.close()
    stopbank.done("topics", "create", "--partitions", 2)
    ran = stopbank.run("doctor")
    assert ran.returncode == 1
    assert f"{name} has cleanup.policy=delete, wanted is compact" in ran.stdout


def test_the_doctor_says_what_to_do_next(ready: Stopbank) -> None:
    ran = ready.run("doctor")
    assert ran.returncode == 1
    assert ran.stderr == ""
    found = {line.split()[1]: line for line in ran.stdout.splitlines()}
    assert found["topics"].startswith("ok")
    assert "run `stopbank rules publish FILE`" in found["ruleset"]
    assert "run `stopbank worker`" in found["workers"]


# -- rules ------------------------------------------------------------------------------------------


def in_force(listed: str) -> list[str]:
    return [line.split()[2] for line in listed.splitlines() if line.lstrip().startswith("→")]


def test_rules_are_published_listed_and_taken_back(ready: Stopbank, tmp_path: Path) -> None:
    assert "nothing was published yet" in ready.done("rules", "list")
    assert "was ever published" in ready.refused("rules", "rollback")
    first = ready.done("rules", "publish", CHECKOUT, "--note", "the first").split()[-1]
    changed = tmp_path / "checkout.yaml"
    changed.write_text(CHECKOUT.read_text().replace("value: 20_000.00", "value: 10_000.00"))
    second = ready.done("rules", "publish", changed, "--note", "tighter").split()[-1]
    listed = ready.done("rules", "list")
    assert in_force(listed) == [second]
    assert "the first" in listed
    assert "tighter" in listed
    assert ready.done("rules", "rollback").split()[-1] == first
    assert in_force(ready.done("rules", "list")) == [first]
    assert ready.done("rules", "rollback", second).split()[-1] == second
    assert "was never published" in ready.refused("rules", "rollback", "0000")


def test_rules_for_another_ruleset_or_another_currency_are_refused(ready: Stopbank, tmp_path: Path) -> None:
    ready.done("rules", "publish", CHECKOUT)
    other = tmp_path / "other.yaml"
    other.write_text(CHECKOUT.read_text().replace("ruleset: checkout", "ruleset: other"))
    assert "STOPBANK_RULESET is 'checkout'" in ready.refused("rules", "publish", other)
    other.write_text(CHECKOUT.read_text().replace("currency: CNY", "currency: EUR"))
    assert "add CNY under `rates`" in ready.refused("rules", "publish", other)


# -- records ----------------------------------------------------------------------------------------


def test_records_are_written_and_counted(ready: Stopbank, tmp_path: Path) -> None:
    assert ready.done("produce", purchases_file(tmp_path, 250)) == "wrote 250 records\n"


def test_ctrl_c_ends_produce_and_says_how_far_it_came(ready: Stopbank, tmp_path: Path) -> None:
    process = ready.start("produce", purchases_file(tmp_path, 5_000), "--rate", 50)
    wait_until(lambda: written(ready) > 0, "the first record", process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out == b""
    assert b"ended early, at least" in err
    assert b"Traceback" not in err


def test_a_record_that_is_too_large_is_named(ready: Stopbank, tmp_path: Path) -> None:
    path = purchases_file(tmp_path, 1)
    with path.open("a") as file:
        file.write(json.dumps({**PURCHASE, "attributes": {"note": "x" * 1_200_000}}) + "\n")
    assert f"{path}:2: " in ready.refused("produce", path)


def test_ctrl_c_is_how_tail_ends(ready: Stopbank) -> None:
    process = ready.start("tail")
    try:
        process.wait(4)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, b"", b"")
