"""`stopbank tail`: decisions as they come."""

# aiokafka is typed in part only.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from typing import Annotated, Final

import typer
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.text import Text

from models.decision import Action, InvalidDecision, decode_decision
from rules.fold import StateNotReadyError
from streams.cli.running import run
from streams.clients import reading_client
from streams.rulesets import Registry, follow
from streams.settings import Settings, read_settings
from streams.show import CurrencyOf, decision_line
from streams.topics import BLOCKED, DECISIONS, DEGRADED, FLAGGED, TopicsError

_TOPIC_OF: Final = {None: DECISIONS, Action.BLOCK: BLOCKED, Action.FLAG: FLAGGED}
# How long rulesets may take to be read: without them, money in reasons has no currency.
_RULESETS_WAIT_S: Final = 5.0


def tail(
    as_json: Annotated[bool, typer.Option("--json", help="The decisions as they are, one a line.")] = False,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="All that are kept, not only new ones.")
    ] = False,
    action: Annotated[Action | None, typer.Option(help="Only flags, or only blocks.")] = None,
    degraded: Annotated[
        bool, typer.Option("--degraded", help="What gateways answered without the full decision, and why.")
    ] = False,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="End after so many.")] = None,
) -> None:
    """Show decisions as they come, until Ctrl-C. Colours where there is a terminal.

    ```
    stopbank tail --action block
    stopbank tail --degraded
    stopbank tail --json --from-beginning | jq .reasons
    ```
    """
    if action is Action.APPROVE:
        raise typer.BadParameter("approvals have no topic of their own: use flag or block")
    if degraded and action is not None:
        raise typer.BadParameter("--degraded shows all degraded answers: it goes without --action")
    topic = DEGRADED if degraded else _TOPIC_OF[action]
    settings = read_settings()
    try:
        run(_tail(settings, topic, as_json, from_beginning, limit))
    except typer.Exit:
        # Ctrl-C is how it is meant to end.
        return
    except BrokenPipeError:
        # Whoever read has enough. What is still buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def _tail(settings: Settings, topic: str, as_json: bool, from_beginning: bool, limit: int | None) -> None:
    registry = Registry(settings.ruleset)
    following = asyncio.create_task(_follow(settings, registry)) if not as_json else None
    try:
        async with reading_client(settings, topic, from_beginning=from_beginning) as consumer:
            if following is not None:
                await _rulesets_read(registry, following)
            _say_waiting(settings, topic)
            await _show(consumer, registry, as_json, limit)
    finally:
        if following is not None:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)


async def _show(consumer: AIOKafkaConsumer, registry: Registry, as_json: bool, limit: int | None) -> None:
    shown = 0
    console = Console(highlight=False)

    def currency_of(reference: str) -> str | None:
        try:
            return registry.get(reference).plan.currency
        except StateNotReadyError:
            return None

    async for record in consumer:
        value = record.value or b""
        if as_json:
            _write(value)
        elif console.is_terminal:
            console.print(_line(record, currency_of), no_wrap=True, overflow="ellipsis")
        else:
            # A file gets the whole line, however long.
            _write(_line(record, currency_of).plain.encode())
        shown += 1
        if shown == limit:
            return


def _line(record: ConsumerRecord[bytes, bytes], currency_of: CurrencyOf) -> Text:
    try:
        return decision_line(decode_decision(record.value or b""), currency_of)
    except InvalidDecision as error:
        return Text(f"offset {record.offset} of {record.topic}-{record.partition}: {error}", "red")


def _write(line: bytes) -> None:
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


async def _follow(settings: Settings, registry: Registry) -> None:
    # Decisions are shown without it too, their money in minor units.
    with contextlib.suppress(KafkaError, TopicsError):
        await follow(settings, registry)


async def _rulesets_read(registry: Registry, following: asyncio.Task[None]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_RULESETS_WAIT_S):
            while not registry.complete and not following.done():
                await registry.wait_changed()


def _say_waiting(settings: Settings, topic: str) -> None:
    """For whoever sits before an empty terminal; nothing is said into files and pipes."""
    if sys.stdout.isatty():
        where = f"{settings.topic_prefix}{topic} at {settings.kafka.bootstrap_servers}"
        Console(stderr=True, highlight=False).print(f"decisions on {where}, until Ctrl-C:", style="dim")
