"""Stopbank's topics: their names, how they are created, and whether those that exist fit together."""

# aiokafka is typed in part only.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

PURCHASES: Final = "purchases"
ACCOUNTS: Final = "accounts"
REPAYMENTS: Final = "repayments"
LABELS: Final = "labels"
SIGHTINGS: Final = "sightings"
ASSESSMENTS: Final = "assessments"
DECISIONS: Final = "decisions"
BLOCKED: Final = "decisions.blocked"
FLAGGED: Final = "decisions.flagged"
DEAD_LETTERS: Final = "purchases.dlq"
RULESETS: Final = "rulesets"
SIGHTINGS_STATE: Final = "sightings-changelog"
ASSESSMENTS_STATE: Final = "assessments-changelog"

# What workers read, and what they write.
INCOMING: Final = (PURCHASES, ACCOUNTS, REPAYMENTS)
WRITTEN: Final = (SIGHTINGS, ASSESSMENTS, DECISIONS, BLOCKED, FLAGGED, DEAD_LETTERS)
STATE_OF: Final = {SIGHTINGS: SIGHTINGS_STATE, ASSESSMENTS: ASSESSMENTS_STATE}

_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
# A run's state lies in one batch of the changelog, and a dead letter is larger than what it holds.
_STATE_BATCH_BYTES: Final = 16_000_000
_DEAD_LETTER_BYTES: Final = 8_000_000
# A rule file has at most a million characters, of up to four bytes each in JSON's UTF-8.
RULESET_RECORD_BYTES: Final = 5_000_000


class TopicsError(Exception):
    """Topics are missing or do not fit; the message has one line for each, with what to do."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as Stopbank wants it. `partitions` None: as many as asked for."""

    name: str
    partitions: int | None = None
    config: Mapping[str, str] = field(default_factory=dict[str, str])


_STATE: Final = {
    "cleanup.policy": "compact",
    "max.message.bytes": str(_STATE_BATCH_BYTES),
    "min.cleanable.dirty.ratio": "0.1",
    # Until then a worker that wrote after it had lost its partition is found out, and its records are put right.
    "min.compaction.lag.ms": str(_HOUR_MS),
    # A worker that was away for a day still learns of every deletion.
    "delete.retention.ms": str(_DAY_MS),
}
_PASSING: Final = {"retention.ms": str(7 * _DAY_MS)}
_INCOMING: Final = {**_PASSING, "message.timestamp.type": "LogAppendTime"}

SPECS: Final = (
    TopicSpec(PURCHASES, config=_INCOMING),
    TopicSpec(ACCOUNTS, config=_INCOMING),
    TopicSpec(REPAYMENTS, config=_INCOMING),
    TopicSpec(LABELS, config=_PASSING),
    TopicSpec(SIGHTINGS, config={**_PASSING, "max.message.bytes": "4000000"}),
    TopicSpec(ASSESSMENTS, config={**_PASSING, "max.message.bytes": "4000000"}),
    TopicSpec(DECISIONS, config=_PASSING),
    TopicSpec(BLOCKED, config=_PASSING),
    TopicSpec(FLAGGED, config=_PASSING),
    TopicSpec(DEAD_LETTERS, config={"retention.ms": str(30 * _DAY_MS), "max.message.bytes": str(_DEAD_LETTER_BYTES)}),
    TopicSpec(RULESETS, 1, {"cleanup.policy": "compact", "max.message.bytes": str(RULESET_RECORD_BYTES)}),
    TopicSpec(SIGHTINGS_STATE, config=_STATE),
    TopicSpec(ASSESSMENTS_STATE, config=_STATE),
)


async def partition_counts(admin: AIOKafkaAdminClient, prefix: str) -> dict[str, int]:
    """How many partitions each of Stopbank's topics has; those that do not exist are left out."""
    # Brokers may create a topic that is asked about: only those that exist are.
    existing = set(await admin.list_topics())
    wanted = [prefix + spec.name for spec in SPECS if prefix + spec.name in existing]
    known: list[dict[str, Any]] = await admin.describe_topics(wanted) if wanted else []
    return {
        topic["topic"].removeprefix(prefix): len(topic["partitions"]) for topic in known if topic["error_code"] == 0
    }


def misfits(counts: Mapping[str, int]) -> list[str]:
    """What is wrong with the partition counts of topics that exist, one line each."""
    problems = [
        f"{state} has {counts[state]} partitions and {source} has {counts[source]}: state lies beside its "
        f"source, so the counts must be equal; delete {state} while no worker runs and create it again"
        for source, state in STATE_OF.items()
        if source in counts and state in counts and counts[source] != counts[state]
    ]
    if counts.get(RULESETS, 1) != 1:
        problems.append(
            f"{RULESETS} has {counts[RULESETS]} partitions and must have 1, so that all see one order of versions"
        )
    return problems


def missing(counts: Mapping[str, int]) -> list[str]:
    """Topics that do not exist."""
    return [spec.name for spec in SPECS if spec.name not in counts]


def obstacles(counts: Mapping[str, int], prefix: str) -> list[str]:
    """What keeps a worker from its work, one line each: topics that it needs and that are missing or don't fit."""
    needed = {*INCOMING, *WRITTEN, *STATE_OF.values(), RULESETS}
    absent = [
        f"topic {prefix}{name} does not exist: run `stopbank topics create`"
        for name in missing(counts)
        if name in needed
    ]
    return [*absent, *misfits(counts)]


async def create_topics(
    admin: AIOKafkaAdminClient, prefix: str, partitions: int, replication_factor: int = 1
) -> list[str]:
    """Create the topics that are missing; returns their names. Raises TopicsError where counts do not fit.

    A state topic takes the count of its source, also where that exists already.
    """
    counts = await partition_counts(admin, prefix)
    problems = misfits(counts)
    asked = {spec.name: spec.partitions or partitions for spec in SPECS}
    for source, state in STATE_OF.items():
        asked[state] = counts.get(source, asked[state])
        asked[source] = counts.get(state, asked[source]) if source not in counts else counts[source]
    problems += [
        f"{prefix}{name} has {counts[name]} partitions, {partitions} were asked for: its keys would move to other "
        f"partitions and away from their state; ask for {counts[name]}, or begin with a new STOPBANK_TOPIC_PREFIX"
        for name in STATE_OF
        if name in counts and counts[name] != partitions
    ]
    if problems:
        raise TopicsError("\n".join(problems))
    wanted = [
        NewTopic(prefix + spec.name, asked[spec.name], replication_factor, topic_configs=dict(spec.config))
        for spec in SPECS
        if spec.name not in counts
    ]
    if wanted:
        await _create(admin, wanted)
    return [topic.name for topic in wanted]


async def _create(admin: AIOKafkaAdminClient, wanted: list[NewTopic]) -> None:
    try:
        response: Any = await admin.create_topics(wanted)
    except TopicAlreadyExistsError:
        return
    refused: list[str] = []
    for name, code, message in response.topic_errors:
        error = for_code(code)
        if code and error is not TopicAlreadyExistsError:
            refused.append(f"{name}: {message or error.description}")
    if refused:
        raise TopicsError("\n".join(refused))
