"""Stopbank's topics: their names, how they are created, and whether those that exist fit together."""

# aiokafka is typed in part only.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from streams.errors import PlainError

PURCHASES: Final = "purchases"
ACCOUNTS: Final = "accounts"
REPAYMENTS: Final = "repayments"
LABELS: Final = "labels"
SETTLEMENTS: Final = "settlements"
INQUIRIES: Final = "inquiries"
SIGHTINGS: Final = "sightings"
ASSESSMENTS: Final = "assessments"
DECISIONS: Final = "decisions"
BLOCKED: Final = "decisions.blocked"
FLAGGED: Final = "decisions.flagged"
DEGRADED: Final = "decisions.degraded"
RECONCILIATIONS: Final = "reconciliations"
SETTLEMENT_RESULTS: Final = "settlements.results"
REPLIES: Final = "replies"
DEAD_LETTERS: Final = "purchases.dlq"
RULESETS: Final = "rulesets"
SIGHTINGS_STATE: Final = "sightings-changelog"
ASSESSMENTS_STATE: Final = "assessments-changelog"

# What workers read, and what they write.
INCOMING: Final = (PURCHASES, ACCOUNTS, REPAYMENTS, LABELS, SETTLEMENTS, DEGRADED, INQUIRIES)
WRITTEN: Final = (
    SIGHTINGS,
    ASSESSMENTS,
    DECISIONS,
    BLOCKED,
    FLAGGED,
    RECONCILIATIONS,
    SETTLEMENT_RESULTS,
    REPLIES,
    DEAD_LETTERS,
)
STATE_OF: Final = {SIGHTINGS: SIGHTINGS_STATE, ASSESSMENTS: ASSESSMENTS_STATE}
_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
# A run's state lies in one batch of the changelog, and a dead letter is larger than what it holds.
_STATE_BATCH_BYTES: Final = 16_000_000
_DEAD_LETTER_BYTES: Final = 8_000_000
# A rule file has at most a million characters, of up to four bytes each in JSON's UTF-8.
RULESET_RECORD_BYTES: Final = 5_000_000
DEFAULT_PARTITIONS: Final = 4
# From so many copies on, a write waits for two of them: one broker may be lost.
_COPIES_TO_WAIT: Final = 3
# Brokers learn of a new topic one after the other.
_APPEAR_WAIT_S: Final = 2.0
_APPEAR_POLL_S: Final = 0.2


class TopicsError(PlainError):
    """Topics are missing or do not fit; the message has one line for each, with what to do."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as Stopbank wants it. `partitions` None: as many as asked for. `internal`: for workers only."""

    name: str
    holds: str
    partitions: int | None = None
    config: Mapping[str, str] = field(default_factory=dict[str, str])
    internal: bool = False


_STATE: Final = {
    "cleanup.policy": "compact",
    "max.message.bytes": str(_STATE_BATCH_BYTES),
    "min.cleanable.dirty.ratio": "0.1",
    # Until then a worker that wrote after it had lost its partition is found out, and its records are put right.
    "min.compaction.lag.ms": str(_HOUR_MS),
    # A worker that was away for a day still learns of every deletion.
    "delete.retention.ms": str(_DAY_MS),
}
_PASSING: Final = {"cleanup.policy": "delete", "retention.ms": str(7 * _DAY_MS)}
_INCOMING: Final = {**_PASSING, "message.timestamp.type": "LogAppendTime"}
# Asked and answered within moments: nobody looks at them later.
_MOMENTARY: Final = {"cleanup.policy": "delete", "retention.ms": str(_HOUR_MS), "segment.ms": str(_HOUR_MS)}
_ON_THE_WAY: Final = {**_PASSING, "max.message.bytes": "4000000"}
_REFUSED: Final = {
    **_PASSING,
    "retention.ms": str(30 * _DAY_MS),
    "max.message.bytes": str(_DEAD_LETTER_BYTES),
}

SPECS: Final = (
    TopicSpec(PURCHASES, "purchases to decide on, by account", config=_INCOMING),
    TopicSpec(ACCOUNTS, "credit limits, by account", config=_INCOMING),
    TopicSpec(REPAYMENTS, "money paid back, by account", config=_INCOMING),
    TopicSpec(LABELS, "fraud and chargeback verdicts, by account", config=_INCOMING),
    TopicSpec(SETTLEMENTS, "captures, voids and refunds of purchases, by account", config=_INCOMING),
    TopicSpec(DEGRADED, "answers that gateways gave without the full decision, by account", config=_INCOMING),
    TopicSpec(DECISIONS, "every decision, by account", config=_PASSING),
    TopicSpec(BLOCKED, "the blocks among them", config=_PASSING),
    TopicSpec(FLAGGED, "the flags among them", config=_PASSING),
    TopicSpec(RECONCILIATIONS, "degraded answers held against the full decisions, by account", config=_PASSING),
    TopicSpec(SETTLEMENT_RESULTS, "what became of settlements, and what expired, by account", config=_PASSING),
    TopicSpec(DEAD_LETTERS, "what could not be used, untouched, the reason in headers", config=_REFUSED),
    TopicSpec(
        RULESETS,
        "rules in force, their history and texts",
        1,
        {"cleanup.policy": "compact", "max.message.bytes": str(RULESET_RECORD_BYTES)},
    ),
    TopicSpec(SIGHTINGS, "purchases on their way past devices, IPs and merchants", config=_ON_THE_WAY, internal=True),
    TopicSpec(ASSESSMENTS, "purchases with all their counts, ready to decide", config=_ON_THE_WAY, internal=True),
    TopicSpec(
        INQUIRIES,
        "gateways ask which decision was given",
        config={**_MOMENTARY, "message.timestamp.type": "LogAppendTime"},
        internal=True,
    ),
    TopicSpec(REPLIES, "what gateways are answered, each on a partition of its own", config=_MOMENTARY, internal=True),
    TopicSpec(SIGHTINGS_STATE, "windows of devices, IPs and merchants", config=_STATE, internal=True),
    TopicSpec(ASSESSMENTS_STATE, "accounts: windows, habits, credit, decisions", config=_STATE, internal=True),
)


async def existing_topics(admin: AIOKafkaAdminClient, prefix: str) -> set[str]:
    """Stopbank's topics that exist, without the prefix."""
    # Brokers may create a topic that is asked about: only those that exist are.
    names = set(await admin.list_topics())
    return {spec.name for spec in SPECS if prefix + spec.name in names}


async def partition_counts(admin: AIOKafkaAdminClient, prefix: str) -> dict[str, int]:
    """How many partitions each of Stopbank's topics has; those that do not exist are left out."""
    wanted = [prefix + name for name in sorted(await existing_topics(admin, prefix))]
    known: list[dict[str, Any]] = await admin.describe_topics(wanted) if wanted else []
    return {
        topic["topic"].removeprefix(prefix): len(topic["partitions"]) for topic in known if topic["error_code"] == 0
    }


async def require_topics(admin: AIOKafkaAdminClient, prefix: str, names: Collection[str]) -> None:
    """Raises TopicsError where one of these topics does not exist, after a moment for it to appear."""
    attempts = int(_APPEAR_WAIT_S / _APPEAR_POLL_S)
    absent: list[str] = []
    for attempt in range(attempts):
        existing = await existing_topics(admin, prefix)
        absent = [prefix + name for name in names if name not in existing]
        if not absent:
            return
        if attempt < attempts - 1:
            await asyncio.sleep(_APPEAR_POLL_S)
    they = "topic" if len(absent) == 1 else "topics"
    raise TopicsError(f"no {they} {', '.join(absent)}: run `stopbank topics create`, or mend STOPBANK_TOPIC_PREFIX")


def misfits(counts: Mapping[str, int], prefix: str = "") -> list[str]:
    """What is wrong with the partition counts of topics that exist, one line each, with what to do."""
    problems: list[str] = []
    problems += [
        f"{prefix}{source} has {_partitions(counts[source])} and {prefix}{state} has {counts[state]}, and they must "
        f"be equal: state lies in the partition of its source. {_remedy((source, state), prefix)}"
        for source, state in STATE_OF.items()
        if counts.get(source, counts.get(state)) != counts.get(state, counts.get(source))
    ]
    if counts.get(RULESETS, 1) != 1:
        problems.append(
            f"{prefix}{RULESETS} has {_partitions(counts[RULESETS])} and must have 1, so that all see one order of "
            f"versions. Delete it, run `stopbank topics create` and publish the rules again"
        )
    return problems


def _remedy(group: Collection[str], prefix: str) -> str:
    """What to do about topics that do not fit: what they hold belongs to offsets of each other."""
    internal = " and ".join(prefix + spec.name for spec in SPECS if spec.internal and spec.name in group)
    return (
        "Begin with a new STOPBANK_TOPIC_PREFIX; or, where nothing was decided yet, stop all workers, delete "
        f"{internal} and the workers' consumer group, and run `stopbank topics create`"
    )


def missing(counts: Mapping[str, int]) -> list[str]:
    """Topics that do not exist."""
    return [spec.name for spec in SPECS if spec.name not in counts]


def partitions_to_create(counts: Mapping[str, int], partitions: int | None, prefix: str = "") -> dict[str, int]:
    """How many partitions each missing topic gets. Raises TopicsError where counts do not fit.

    `partitions` None: as many as the topic has that it goes together with, else DEFAULT_PARTITIONS.
    """
    problems = misfits(counts, prefix)
    asked = {spec.name: spec.partitions or partitions or DEFAULT_PARTITIONS for spec in SPECS}
    for pair in STATE_OF.items():
        there = [name for name in pair if name in counts]
        for name in pair if there else ():
            asked[name] = counts[there[0]]
        if there and partitions not in (None, counts[there[0]]):
            problems.append(
                f"{prefix}{there[0]} has {_partitions(counts[there[0]])}, {partitions} were asked for: its keys would "
                f"move to other partitions, away from their state. Leave --partitions out, or begin with a new "
                "STOPBANK_TOPIC_PREFIX"
            )
    if problems:
        raise TopicsError("\n".join(problems))
    return {name: asked[name] for name in missing(counts)}


async def create_topics(
    admin: AIOKafkaAdminClient, prefix: str, partitions: int | None = None, replication_factor: int = 1
) -> list[str]:
    """Create the topics that are missing; returns their names. Raises TopicsError where counts do not fit.

    A topic takes the partition count of those that it goes together with, where they exist already.
    """
    wanted = partitions_to_create(await partition_counts(admin, prefix), partitions, prefix)
    if not wanted:
        return []
    brokers = len((await admin.describe_cluster())["brokers"])
    if replication_factor > brokers:
        raise TopicsError(
            f"{replication_factor} copies of each partition were asked for, and the cluster has {brokers} broker(s): "
            f"ask for at most --replication-factor {brokers}, or add brokers"
        )
    safe = {"min.insync.replicas": "2"} if replication_factor >= _COPIES_TO_WAIT else {}
    new = [
        NewTopic(prefix + spec.name, wanted[spec.name], replication_factor, topic_configs={**spec.config, **safe})
        for spec in SPECS
        if spec.name in wanted
    ]
    await _create(admin, new)
    return [topic.name for topic in new]


async def _create(admin: AIOKafkaAdminClient, wanted: list[NewTopic]) -> None:
    response: Any = await admin.create_topics(wanted)
    refused: dict[str, list[str]] = {}
    for name, code, message in response.topic_errors:
        error = for_code(code)
        # Somebody else was faster.
        if code and error is not TopicAlreadyExistsError:
            refused.setdefault(message or error.description, []).append(name)
    if refused:
        raise TopicsError("\n".join(f"{', '.join(names)}: {message}" for message, names in refused.items()))


def _partitions(count: int) -> str:
    return f"{count} partition" if count == 1 else f"{count} partitions"
