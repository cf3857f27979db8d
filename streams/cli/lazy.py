"""Commands that are imported when they are asked for: none waits for what the others need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

MARKUP = "markdown"


class LazyCommands(MutableMapping[str, Any]):
    """Commands by name, each made when it is first asked for.

    `places` says where: `module:function` for a command, `module:app` for a Typer app of several.
    """

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = dict(places)
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            module, _, attribute = self._places[name].partition(":")
            self._made[name] = _made(name, getattr(import_module(module), attribute))
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._places[name] = ""
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._places[name]
        self._made.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def _made(name: str, command: typer.Typer | Callable[..., None]) -> Any:
    if isinstance(command, typer.Typer):
        group = typer.main.get_group(command)
        group.name = name
        return group
    alone = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=MARKUP)
    alone.command(name)(command)
    return typer.main.get_command(alone)


def lazy_group(places: Mapping[str, str]) -> type[TyperGroup]:
    """The class of a group with these commands, in this order."""

    class LazyGroup(TyperGroup):
        """Shows and finds commands that it makes when they are asked for."""

        def __init__(self, **attributes: Any) -> None:
            attributes["commands"] = LazyCommands(places)
            super().__init__(**attributes)

        def list_commands(self, ctx: Any) -> list[str]:
            return list(self.commands)

    return LazyGroup
