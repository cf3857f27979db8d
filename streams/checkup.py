"""What is found of a broker, its topics, the ruleset in force and the workers: for `stopbank doctor`."""

# aiokafka is typed in part only.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportMissingTypeStubs=false

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import GroupCoordinatorNotAvailableError, KafkaError
from aiokafka.protocol.admin import ApiVersionRequest

from rules.fold import StateNotReadyError
from streams.clients import admin_client, producer_client
from streams.rulesets import read_registry
from streams.settings import Settings
from streams.topics import PURCHASES, SIGHTINGS, SPECS, misfits, missing, partition_counts

# Requests by their numbers in Kafka's protocol.
_FETCH: Final = 1
# Fetch versions up to 3 were taken out in Kafka 4.0 (KIP-896); 13 came with 3.1 (KIP-516), 4 with 0.11.
_OLDEST_FETCH_OF_4: Final = 4
_NEWEST_FETCH_OF_3_1: Final = 13
# What would lose state or purchases if it were otherwise.
_CHECKED_CONFIG: Final = ("cleanup.policy", "message.timestamp.type", "max.message.bytes")


class Trouble(Exception):  # noqa: N818  # a finding, not a failure of the program
    """What a check found to be wrong, with what to do."""


async def broker_finding(settings: Settings) -> str:
    """How many brokers there are, and of which version as far as can be told. Raises KafkaError."""
    async with admin_client(settings) as admin:
        cluster = await admin.describe_cluster()
    brokers = len(cluster["brokers"])
    return f"{brokers} reachable, cluster {cluster['cluster_id']}, {await _version(settings)}"


async def _version(settings: Settings) -> str:
    """Brokers do not say their version; what they understand gives it away, roughly."""
    async with producer_client(settings, ()) as producer:
        client = producer.client
        answer: Any = await client.send(client.get_random_node(), ApiVersionRequest())
    return version_of({key: (least, most) for key, least, most in answer.api_versions})


def version_of(understood: Mapping[int, tuple[int, int]]) -> str:
    """Kafka's version by the oldest and newest version of each request that a broker understands."""
    oldest, newest = understood.get(_FETCH, (0, 0))
    if oldest >= _OLDEST_FETCH_OF_4:
        return "Kafka 4.0 or newer"
    if newest >= _NEWEST_FETCH_OF_3_1:
        return "Kafka 3.1 to 3.9, or a broker that speaks like it"
    return "older than Kafka 3.1, or a broker that speaks like it"


async def topics_finding(settings: Settings) -> str:
    """How many topics and partitions there are. Raises Trouble where any is missing or does not fit."""
    prefix = settings.topic_prefix
    async with admin_client(settings) as admin:
        counts = await partition_counts(admin, prefix)
        absent = [prefix + name for name in missing(counts)]
        problems = misfits(counts, prefix)
        if absent:
            problems.insert(0, f"missing: {', '.join(absent)}: run `stopbank topics create`")
        if not problems:
            problems = config_troubles(await _configs(admin, prefix), prefix)
    if problems:
        raise Trouble("\n".join(problems))
    return (
        f"{len(counts)}, {PURCHASES} and what lies beside them {counts[PURCHASES]} partitions, "
        f"{SIGHTINGS} {counts[SIGHTINGS]}"
    )


async def _configs(admin: AIOKafkaAdminClient, prefix: str) -> dict[str, dict[str, str]]:
    """What topics are set to, by name without prefix; nothing where the broker does not tell."""
    asked = [
        ConfigResource(ConfigResourceType.TOPIC, prefix + spec.name, dict.fromkeys(_CHECKED_CONFIG)) for spec in SPECS
    ]
    try:
        answers: list[Any] = await admin.describe_configs(asked)
    except KafkaError:
        return {}
    return {
        name.removeprefix(prefix): {entry[0]: entry[1] for entry in entries}
        for answer in answers
        for code, _, _, name, entries in answer.resources
        if code == 0
    }


def config_troubles(configs: Mapping[str, Mapping[str, str]], prefix: str = "") -> list[str]:
    """Settings of topics that would lose state or refuse records, one line each, with what to do."""
    problems: list[str] = []
    for spec in SPECS:
        found = configs.get(spec.name, {})
        for name in _CHECKED_CONFIG:
            wanted, has = spec.config.get(name), found.get(name)
            if wanted is None or has is None or _is_enough(name, has, wanted):
                continue
            problems.append(
                f"{prefix}{spec.name} has {name}={has}, wanted is {wanted}: "
                f"kafka-configs.sh --alter --topic {prefix}{spec.name} --add-config {name}={wanted}"
            )
    return problems


def _is_enough(name: str, has: str, wanted: str) -> bool:
    return int(has) >= int(wanted) if name == "max.message.bytes" else has == wanted


async def ruleset_finding(settings: Settings) -> str:
    """Which ruleset is in force. Raises Trouble where none is, TopicsError where none can be."""
    registry = await read_registry(settings)
    pointer = registry.pointers.get(settings.ruleset)
    try:
        ruleset = registry.in_force()
    except StateNotReadyError as error:
        what = "" if pointer is None else f" (version {pointer.version} was published and can't be used)"
        raise Trouble(f"{error}{what}: run `stopbank rules publish FILE`") from None
    if pointer is not None and f"{ruleset.id}@{pointer.version}" not in registry.sources:
        raise Trouble(f"version {pointer.version} is to be in force and its text is gone: publish it again")
    return f"{ruleset.id} version {ruleset.version}, {len(ruleset.document.rules)} rules, {ruleset.plan.currency}"


async def workers_finding(settings: Settings) -> str:
    """How many workers share the work. Raises Trouble where none is up."""
    group = settings.consumer_group
    async with admin_client(settings) as admin:
        try:
            described: list[Any] = await admin.describe_consumer_groups([group])
        except GroupCoordinatorNotAvailableError:
            described = []
    members = sum(len(entry[5]) for answer in described for entry in answer.groups)
    if not members:
        raise Trouble(f"none is up in group {group}: run `stopbank worker`")
    return f"{members} in group {group}"
