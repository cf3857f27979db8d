"""`stopbank doctor`."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Final

import typer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from rules.fold import StateNotReadyError
from rules.language.diagnostics import RulesetError
from streams.clients import admin_client
from streams.rulesets import RulesetsError, read_registry
from streams.settings import Settings, SettingsError, read_settings
from streams.topics import misfits, missing, partition_counts

_PACKAGES: Final = ("faust-streaming", "aiokafka", "pydantic", "numpy")
_TIMEOUT_S: Final = 20.0


class _Trouble(Exception):  # noqa: N818  # a finding, not a failure of the program
    """What a check found to be wrong, with what to do."""


def doctor() -> None:
    """Look at everything that a worker needs, and say what is missing. Exit code 1 where something is."""
    healthy = asyncio.run(_examine())
    if not healthy:
        raise typer.Exit(1)


async def _examine() -> bool:
    versions = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    _say(True, "versions", f"Python {platform.python_version()}, {versions}")
    try:
        settings = read_settings()
        settings.kafka.client_options()
    except SettingsError as error:
        _say(False, "settings", str(error))
        return False
    prefix = f", topic prefix {settings.topic_prefix!r}" if settings.topic_prefix else ""
    _say(True, "settings", f"{settings.kafka.bootstrap_servers} by {settings.kafka.security_protocol}{prefix}")
    checks: tuple[tuple[str, Callable[[Settings], Awaitable[str]]], ...] = (
        ("broker", _broker),
        ("topics", _topics),
        ("ruleset", _ruleset),
        ("workers", _workers),
    )
    healthy = True
    for name, check in checks:
        try:
            finding = await asyncio.wait_for(check(settings), _TIMEOUT_S)
        except (_Trouble, KafkaError, RulesetsError, TimeoutError) as trouble:
            _say(False, name, str(trouble) or f"no answer within {_TIMEOUT_S:g} s")
            healthy = False
            if name == "broker":
                break
        else:
            _say(True, name, finding)
    return healthy


async def _broker(settings: Settings) -> str:
    try:
        async with admin_client(settings) as admin:
            cluster = await admin.describe_cluster()
    except KafkaError as error:
        raise _Trouble(f"{error}: is KAFKA_BOOTSTRAP_SERVERS right, and the broker up?") from None
    return f"{len(cluster['brokers'])} reachable"


async def _topics(settings: Settings) -> str:
    async with admin_client(settings) as admin:
        counts = await partition_counts(admin, settings.topic_prefix)
    absent = missing(counts)
    if absent:
        raise _Trouble(f"missing: {', '.join(absent)}: run `stopbank topics create`")
    problems = misfits(counts)
    if problems:
        raise _Trouble("\n".join(problems))
    return f"{len(counts)}, sightings {counts['sightings']} and assessments {counts['assessments']} partitions"


async def _ruleset(settings: Settings) -> str:
    try:
        registry = await read_registry(settings)
        ruleset = registry.in_force()
    except (StateNotReadyError, RulesetError) as error:
        raise _Trouble(f"{error}: run `stopbank rules publish FILE`") from None
    return f"{ruleset.id} version {ruleset.version}, {len(ruleset.document.rules)} rules"


async def _workers(settings: Settings) -> str:
    async with admin_client(settings) as admin:
        offsets = await _committed(admin, settings)
    if not offsets:
        raise _Trouble("none has ever committed here: run `stopbank worker`")
    return f"group {settings.consumer_group} has committed on {offsets} partitions"


async def _committed(admin: AIOKafkaAdminClient, settings: Settings) -> int:
    return len(await admin.list_consumer_group_offsets(settings.consumer_group))


def _say(good: bool, name: str, finding: str) -> None:
    mark = typer.style("ok ", fg="green") if good else typer.style("no ", fg="red", bold=True)
    first, *rest = finding.splitlines() or [""]
    typer.echo(f"{mark} {name:<9} {first}")
    for line in rest:
        typer.echo(f"{'':14}{line}")
