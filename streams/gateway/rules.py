"""The rules that a gateway answers by itself with: those of the ruleset in force, followed while it runs."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from aiokafka.errors import KafkaError

from rules.degraded import DegradedAnswers
from rules.fold import StateNotReadyError
from rules.language.compile import CompiledRuleset
from streams.rulesets import Registry, follow
from streams.settings import Settings
from streams.topics import TopicsError

log = structlog.get_logger(__name__)

_RETRY_S: Final = 1.0
_FETCH_WAIT_MS: Final = 1_000


async def follow_rules(settings: Settings, registry: Registry) -> None:
    """Read the rulesets for good, and again from the beginning whenever the broker was lost."""
    # A broker tells of news at once; while there is none, it need not be asked as often as for purchases.
    patient = settings.model_copy(update={"fetch_wait_ms": max(settings.fetch_wait_ms, _FETCH_WAIT_MS)})
    while True:
        try:
            await follow(patient, registry, aside=True)
        except (KafkaError, TopicsError) as error:
            log.info("rulesets can't be read, trying again", reason=str(error) or repr(error))
        except Exception as error:  # whatever it is, answers are given meanwhile by the rules read last
            log.error("rulesets can't be read, trying again", error=repr(error), exc_info=error)
        await asyncio.sleep(_RETRY_S)


async def keep_answering(registry: Registry, answers: DegradedAnswers) -> None:
    """Let the answers be by the ruleset in force, for good."""
    used: CompiledRuleset | None = None
    while True:
        try:
            current = registry.in_force()
        except StateNotReadyError:
            current = None
        if current is not None and current is not used:
            try:
                # In a thread: the part that needs no state is compiled there.
                await asyncio.to_thread(answers.use, current)
            except Exception as error:  # whatever it is, the rules before it still answer
                log.error("a ruleset can't be answered by, the one before it stays", error=repr(error), exc_info=error)
            used = current
        await registry.wait_changed()
