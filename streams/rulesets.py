"""The rulesets topic: what was published, what is in force, and how a worker follows it."""

# aiokafka is typed in part only.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from pydantic import BaseModel, ConfigDict, ValidationError

from rules.fold import StateNotReadyError
from rules.language.compile import CompiledRuleset, RulesetError, compile_ruleset
from rules.rulesets import reference_of
from streams.settings import Settings
from streams.topics import RULESET_RECORD_BYTES, RULESETS

log = structlog.get_logger(__name__)

# The history that a pointer record keeps.
MAX_HISTORY = 100
_READ_TIMEOUT_S = 20.0


class RulesetsError(Exception):
    """A ruleset can't be put into force; the message says why."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Entry(_Record):
    """One change of what is in force. `at_ms` is when it was published, epoch milliseconds."""

    version: str
    at_ms: int
    by: str
    note: str = ""


class Source(_Record):
    """The text of one version, under the key `id@version`."""

    source: str


class InForce(_Record):
    """The version in force, under the key `id`; `history` is newest last."""

    version: str
    history: list[Entry]


@dataclass
class Registry:
    """The rulesets that were published, as far as the topic was read.

    It answers the folds: see `rules.rulesets.Rulesets`. A version that does not compile here is passed over.
    """

    ruleset_id: str
    _compiled: dict[str, CompiledRuleset] = field(default_factory=dict[str, CompiledRuleset])
    sources: dict[str, str] = field(default_factory=dict[str, str])
    pointers: dict[str, InForce] = field(default_factory=dict[str, InForce])
    complete: bool = False
    _current: CompiledRuleset | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def in_force(self) -> CompiledRuleset:
        """The ruleset that decides from now on. Raises StateNotReadyError while none was published."""
        if self._current is None or not self.complete:
            raise StateNotReadyError(f"no ruleset {self.ruleset_id!r} is in force yet")
        return self._current

    def get(self, reference: str) -> CompiledRuleset:
        """A ruleset by `id@version`. Raises StateNotReadyError while it was not seen."""
        compiled = self._compiled.get(reference)
        if compiled is None and reference in self.sources:
            # Of another id: purchases may be on their way under what was STOPBANK_RULESET before.
            try:
                compiled = self._compile(reference)
            except RulesetError as error:
                raise StateNotReadyError(f"ruleset {reference!r} can't be used here: {error}") from None
        if compiled is None:
            raise StateNotReadyError(f"ruleset {reference!r} was not published here yet")
        return compiled

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Take a record of the topic; one that can't be used is named in the log and passed over."""
        if key is None or value is None:
            return
        name = key.decode(errors="replace")
        try:
            if "@" in name:
                self._take_source(name, Source.model_validate_json(value).source)
            else:
                self.pointers[name] = InForce.model_validate_json(value)
        except (ValidationError, RulesetError) as error:
            log.error("ruleset record passed over", key=name, error=str(error))
            return
        self._choose()
        self.changed.set()

    def _take_source(self, reference: str, source: str) -> None:
        self.sources[reference] = source
        if reference.partition("@")[0] == self.ruleset_id and reference not in self._compiled:
            self._compile(reference)

    def _compile(self, reference: str) -> CompiledRuleset:
        """Compile a source. Its version is what it was published as, whatever this release would make of it."""
        compiled = compile_ruleset(self.sources[reference], reference)
        ruleset_id, _, version = reference.partition("@")
        self._compiled[reference] = replace(compiled, id=ruleset_id, version=version)
        return self._compiled[reference]

    def _choose(self) -> None:
        pointer = self.pointers.get(self.ruleset_id)
        chosen = self._compiled.get(f"{self.ruleset_id}@{pointer.version}") if pointer else None
        if chosen is not None and chosen is not self._current:
            log.info("ruleset in force", ruleset=reference_of(chosen))
            self._current = chosen

    async def wait_changed(self) -> None:
        """Wait until another record was taken, or a second."""
        self.changed.clear()
        try:
            await asyncio.wait_for(self.changed.wait(), 1.0)
        except TimeoutError:
            return


async def follow(settings: Settings, registry: Registry, on_complete: Callable[[], None]) -> None:
    """Read the rulesets topic for good, from its beginning. Raises RulesetsError where it is missing."""
    consumer = _consumer(settings)
    await consumer.start()
    try:
        ends = await _ends(consumer, settings)
        await _read_until(consumer, registry, ends)
        registry.complete = True
        registry.changed.set()
        on_complete()
        while True:
            for records in (await consumer.getmany(timeout_ms=1_000)).values():
                for record in records:
                    registry.apply(record.key, record.value)
    finally:
        await consumer.stop()


async def read_registry(settings: Settings) -> Registry:
    """The rulesets topic as it is now. Raises RulesetsError where it is missing."""
    registry = Registry(settings.ruleset)
    consumer = _consumer(settings)
    await consumer.start()
    try:
        await asyncio.wait_for(_read_until(consumer, registry, await _ends(consumer, settings)), _READ_TIMEOUT_S)
    finally:
        await consumer.stop()
    registry.complete = True
    return registry


def _consumer(settings: Settings) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        settings.topic_prefix + RULESETS,
        **settings.kafka.client_options(),
        auto_offset_reset="earliest",
        fetch_max_wait_ms=settings.fetch_wait_ms,
    )


async def _ends(consumer: AIOKafkaConsumer, settings: Settings) -> dict[Any, int]:
    partitions = consumer.assignment()
    if not partitions:
        raise RulesetsError(f"topic {settings.topic_prefix}{RULESETS} does not exist: run `stopbank topics create`")
    return await consumer.end_offsets(list(partitions))


async def _read_until(consumer: AIOKafkaConsumer, registry: Registry, ends: dict[Any, int]) -> None:
    while any([await consumer.position(tp) < end for tp, end in ends.items()]):
        for records in (await consumer.getmany(timeout_ms=200)).values():
            for record in records:
                registry.apply(record.key, record.value)


async def publish(settings: Settings, source: str, filename: str, by: str, note: str = "") -> CompiledRuleset:
    """Put a ruleset into force. Raises RulesetError for its text, RulesetsError where it does not fit."""
    compiled = compile_ruleset(source, filename)
    registry = await read_registry(settings)
    if compiled.id != settings.ruleset:
        raise RulesetsError(
            f"{filename} is the ruleset {compiled.id!r}, and STOPBANK_RULESET is {settings.ruleset!r}: "
            "make both the same"
        )
    await _keep_currency(registry, compiled)
    await _write(settings, registry, compiled.id, compiled.version, source, by, note)
    return compiled


async def rollback(settings: Settings, by: str, version: str | None = None) -> str:
    """Put an earlier version into force again, by default the one before; returns it. Raises RulesetsError."""
    registry = await read_registry(settings)
    pointer = registry.pointers.get(settings.ruleset)
    if pointer is None:
        raise RulesetsError(f"no ruleset {settings.ruleset!r} was ever published")
    earlier = [entry.version for entry in pointer.history if entry.version != pointer.version]
    if version is None and not earlier:
        raise RulesetsError(f"{settings.ruleset!r} has no earlier version to go back to")
    chosen = version or earlier[-1]
    source = registry.sources.get(f"{settings.ruleset}@{chosen}")
    if source is None:
        raise RulesetsError(f"version {chosen!r} was never published: `stopbank rules list` shows those that were")
    await _write(settings, registry, settings.ruleset, chosen, source, by, "rollback")
    return chosen


async def _keep_currency(registry: Registry, compiled: CompiledRuleset) -> None:
    """Refuse a change of currency without a rate for the old one: accounts' credit could not be reckoned."""
    try:
        old = registry.in_force().plan.currency
    except StateNotReadyError:
        return
    if old != compiled.plan.currency and old not in compiled.plan.rates:
        raise RulesetsError(
            f"the currency changes from {old} to {compiled.plan.currency}: add {old} under `rates`, "
            "so that credit already used can be converted"
        )


async def _write(
    settings: Settings, registry: Registry, ruleset_id: str, version: str, source: str, by: str, note: str
) -> None:
    before = registry.pointers.get(ruleset_id)
    entry = Entry(version=version, at_ms=int(time.time() * 1000), by=by, note=note)
    history = [*(before.history if before else []), entry][-MAX_HISTORY:]
    topic = settings.topic_prefix + RULESETS
    producer = AIOKafkaProducer(**settings.kafka.client_options(), acks="all", max_request_size=RULESET_RECORD_BYTES)
    await producer.start()
    try:
        text = orjson.dumps(Source(source=source).model_dump())
        # The text first: whoever sees the pointer has seen what it points to.
        await producer.send_and_wait(topic, text, key=f"{ruleset_id}@{version}".encode())
        pointer = orjson.dumps(InForce(version=version, history=history).model_dump())
        await producer.send_and_wait(topic, pointer, key=ruleset_id.encode())
    finally:
        await producer.stop()
