"""`stopbank doctor`."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Final

import typer
from aiokafka.errors import KafkaError

from rules.fold import StateNotReadyError
from streams.checkup import Trouble, broker_finding, ruleset_finding, topics_finding, workers_finding
from streams.cli.running import run
from streams.rulesets import RulesetsError
from streams.settings import Settings, SettingsError, read_settings
from streams.topics import TopicsError

_PACKAGES: Final = ("stopbank", "faust-streaming", "aiokafka", "pydantic", "numpy")
_TIMEOUT_S: Final = 20.0
_CHECKS: Final[tuple[tuple[str, Callable[[Settings], Awaitable[str]]], ...]] = (
    ("broker", broker_finding),
    ("topics", topics_finding),
    ("ruleset", ruleset_finding),
    ("workers", workers_finding),
)


def doctor() -> None:
    """Look at everything that a worker needs, and say what is missing and what to do.

    Versions, settings, the broker, the topics (that they are there, fit together and are set up as they
    should be), the ruleset in force, and whether workers are at it. Exit code 1 where something is wrong.
    """
    if not run(_examine()):
        raise typer.Exit(1)


async def _examine() -> bool:
    versions = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    _say(True, "versions", f"{versions}, Python {platform.python_version()}")
    try:
        settings = read_settings()
        settings.kafka.client_options()
    except SettingsError as error:
        _say(False, "settings", str(error))
        return False
    prefix = f", topic prefix {settings.topic_prefix!r}" if settings.topic_prefix else ""
    _say(True, "settings", f"{settings.kafka.bootstrap_servers} by {settings.kafka.security_protocol}{prefix}")
    healthy = True
    for name, check in _CHECKS:
        good = await _checked(name, check, settings)
        healthy = healthy and good
        if name == "broker" and not good:
            break
    return healthy


async def _checked(name: str, check: Callable[[Settings], Awaitable[str]], settings: Settings) -> bool:
    try:
        finding = await asyncio.wait_for(check(settings), _TIMEOUT_S)
    except TimeoutError:
        _say(False, name, f"no answer within {_TIMEOUT_S:g} s: is the broker overloaded, or half up?")
        return False
    except (Trouble, KafkaError, RulesetsError, StateNotReadyError, TopicsError) as trouble:
        _say(False, name, str(trouble))
        return False
    _say(True, name, finding)
    return True


def _say(good: bool, name: str, finding: str) -> None:
    mark = typer.style("ok", fg="green") if good else typer.style("no", fg="red", bold=True)
    first, *rest = finding.splitlines() or [""]
    typer.echo(f"{mark}  {name:<9} {first}")
    for line in rest:
        typer.echo(f"{'':14}{line}")
