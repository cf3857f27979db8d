"""The rulesets topic: what was published, what is in force, and how a worker follows it."""

# aiokafka is typed in part only.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import orjson
import structlog
from aiokafka import AIOKafkaConsumer
from pydantic import BaseModel, ConfigDict, ValidationError

from rules.fold import StateNotReadyError
from rules.language.compile import CompiledRuleset, RulesetError, compile_ruleset
from rules.language.diagnostics import did_you_mean
from rules.rulesets import reference_of
from streams.clients import producer_client, reading_client
from streams.errors import PlainError
from streams.settings import Settings
from streams.topics import RULESET_RECORD_BYTES, RULESETS

log = structlog.get_logger(__name__)

# The history that a pointer record keeps.
MAX_HISTORY = 100
_READ_TIMEOUT_S = 20.0


class RulesetsError(PlainError):
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
    _compiled_aside: dict[str, CompiledRuleset] = field(default_factory=dict[str, CompiledRuleset])
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
                compiled = self._compiled[reference] = compile_ruleset(self.sources[reference], reference)
            except RulesetError as error:
                raise StateNotReadyError(f"ruleset {reference!r} can't be used here: {_one_line(error)}") from None
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
        except (ValidationError, RulesetError, RulesetsError) as error:
            log.error("ruleset record passed over", key=name, error=_one_line(error))
            return
        self._choose()
        self.changed.set()

    async def apply_aside(self, key: bytes | None, value: bytes | None) -> None:
        """As `apply`, with the compiling done in a thread: it would hold up whoever else runs on the loop."""
        name = (key or b"").decode(errors="replace")
        if value is not None and "@" in name and self._is_mine(name):
            compiled = await asyncio.to_thread(_compiled_if_possible, name, value)
            if compiled is not None:
                self._compiled_aside[name] = compiled
        self.apply(key, value)

    def _take_source(self, reference: str, source: str) -> None:
        self.sources[reference] = source
        if self._is_mine(reference):
            compiled = self._compiled_aside.pop(reference, None) or compile_ruleset(source, reference)
            if compiled.id != self.ruleset_id:
                raise RulesetsError(f"the text is of the ruleset {compiled.id!r}")
            self._compiled[reference] = compiled
            # A Stopbank that reckons versions otherwise than the publisher's: records carry its own reckoning.
            self._compiled.setdefault(reference_of(compiled), compiled)

    def _is_mine(self, reference: str) -> bool:
        """Whether it is a version of the ruleset that decides here, and not compiled yet."""
        return reference.partition("@")[0] == self.ruleset_id and reference not in self._compiled

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


def _compiled_if_possible(reference: str, value: bytes) -> CompiledRuleset | None:
    try:
        return compile_ruleset(Source.model_validate_json(value).source, reference)
    except (ValidationError, RulesetError):
        # Whoever applies it says so.
        return None


def _one_line(error: Exception) -> str:
    return " ".join(line.strip() for line in str(error).splitlines()[:2])


async def follow(settings: Settings, registry: Registry, *, aside: bool = False) -> None:
    """Read the rulesets topic for good, from its beginning. Raises TopicsError where it is missing.

    `aside`: rules are compiled in a thread.
    """
    async with reading_client(settings, RULESETS, from_beginning=True) as consumer:
        await _read_until(consumer, registry, await consumer.end_offsets(list(consumer.assignment())), aside=aside)
        registry.complete = True
        registry.changed.set()
        while True:
            for records in (await consumer.getmany(timeout_ms=1_000)).values():
                for record in records:
                    await _apply(registry, record, aside=aside)


async def read_registry(settings: Settings) -> Registry:
    """The rulesets topic as it is now. Raises TopicsError where it is missing, RulesetsError where it can't be read."""
    registry = Registry(settings.ruleset)
    async with reading_client(settings, RULESETS, from_beginning=True) as consumer:
        ends = await consumer.end_offsets(list(consumer.assignment()))
        try:
            await asyncio.wait_for(_read_until(consumer, registry, ends), _READ_TIMEOUT_S)
        except TimeoutError:
            raise RulesetsError(f"topic {RULESETS} could not be read to its end in {_READ_TIMEOUT_S:.0f} s") from None
    registry.complete = True
    return registry


async def _read_until(
    consumer: AIOKafkaConsumer, registry: Registry, ends: dict[Any, int], *, aside: bool = False
) -> None:
    while any([await consumer.position(tp) < end for tp, end in ends.items()]):
        for records in (await consumer.getmany(timeout_ms=200)).values():
            for record in records:
                await _apply(registry, record, aside=aside)


async def _apply(registry: Registry, record: Any, *, aside: bool) -> None:
    if aside:
        await registry.apply_aside(record.key, record.value)
    else:
        registry.apply(record.key, record.value)


async def publish(settings: Settings, source: str, filename: str, by: str, note: str = "") -> CompiledRuleset:
    """Put a ruleset into force. Raises RulesetError for its text, RulesetsError where it does not fit."""
    compiled = compile_ruleset(source, filename)
    if compiled.id != settings.ruleset:
        raise RulesetsError(
            f"{filename} is the ruleset {compiled.id!r}, and STOPBANK_RULESET is {settings.ruleset!r}: "
            "make both the same"
        )
    registry = await read_registry(settings)
    keep_currency(registry, compiled)
    await _write(settings, registry, compiled.id, compiled.version, source, by, note)
    return compiled


async def rollback(settings: Settings, by: str, version: str | None = None, note: str = "rollback") -> str:
    """Put an earlier version into force again, by default the one before; returns it. Raises RulesetsError."""
    registry = await read_registry(settings)
    chosen, source = earlier_version(registry, version)
    compiled = registry.get(f"{registry.ruleset_id}@{chosen}")
    keep_currency(registry, compiled)
    await _write(settings, registry, settings.ruleset, chosen, source, by, note)
    return chosen


def earlier_version(registry: Registry, version: str | None) -> tuple[str, str]:
    """A version that was published and works here, and its text; None: the one before. Raises RulesetsError."""
    name = registry.ruleset_id
    pointer = registry.pointers.get(name)
    if pointer is None:
        raise RulesetsError(f"no ruleset {name!r} was ever published: run `stopbank rules publish FILE`")
    earlier = [entry.version for entry in pointer.history if entry.version != pointer.version]
    if version is None and not earlier:
        raise RulesetsError(f"{name!r} has no earlier version to go back to")
    chosen = version or earlier[-1]
    source = registry.sources.get(f"{name}@{chosen}")
    if source is None:
        known = [reference.partition("@")[2] for reference in registry.sources if reference.startswith(f"{name}@")]
        hint = did_you_mean(chosen, known) or "`stopbank rules list` shows those that were"
        raise RulesetsError(f"version {chosen!r} of {name!r} was never published: {hint}")
    try:
        registry.get(f"{name}@{chosen}")
    except StateNotReadyError:
        raise RulesetsError(
            f"version {chosen!r} of {name!r} does not compile with this Stopbank: mend its file and publish that"
        ) from None
    return chosen, source


def keep_currency(registry: Registry, compiled: CompiledRuleset) -> None:
    """Refuse a change of currency without a rate for the old one: accounts' credit could not be reckoned.

    Raises RulesetsError.
    """
    try:
        old = registry.in_force().plan.currency
    except StateNotReadyError:
        return
    if old != compiled.plan.currency and old not in compiled.plan.rates:
        raise RulesetsError(
            f"the currency changes from {old} to {compiled.plan.currency}: add {old} under `rates`, "
            "so that credit already used can be converted"
        )


def with_entry(pointer: InForce | None, entry: Entry) -> InForce:
    """The pointer after a change; the oldest history goes."""
    history = [*(pointer.history if pointer else []), entry][-MAX_HISTORY:]
    return InForce(version=entry.version, history=history)


async def _write(
    settings: Settings, registry: Registry, ruleset_id: str, version: str, source: str, by: str, note: str
) -> None:
    entry = Entry(version=version, at_ms=int(time.time() * 1000), by=by, note=note)
    pointer = with_entry(registry.pointers.get(ruleset_id), entry)
    topic = settings.topic_prefix + RULESETS
    async with producer_client(settings, [RULESETS], RULESET_RECORD_BYTES) as producer:
        text = orjson.dumps(Source(source=source).model_dump())
        # The text first: whoever sees the pointer has seen what it points to.
        await producer.send_and_wait(topic, text, key=f"{ruleset_id}@{version}".encode())
        await producer.send_and_wait(topic, orjson.dumps(pointer.model_dump()), key=ruleset_id.encode())
