"""What is wrong with the environment, told by variable, so that it can be mended there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from difflib import get_close_matches
from pathlib import Path
from typing import Final, TypeVar

from pydantic import BaseModel, ValidationError

from streams.errors import PlainError

# How like a setting's name another must be to be taken for a slip. What a cluster puts into containers for a
# service named `stopbank` (STOPBANK_PORT, STOPBANK_SERVICE_HOST) is less like one.
_SLIP: Final = 0.8

_Model = TypeVar("_Model", bound=BaseModel)


class SettingsError(PlainError, ValueError):
    """The environment holds a setting that can't be used; the message names it and says how to mend it."""


def read_model(
    model: type[_Model], prefix: str, env: Mapping[str, str], without: str | None = None
) -> _Model | SettingsError:
    """A model from the variables with its fields' names; or every problem, a line each."""
    names = {name: prefix + name.upper() for name in model.model_fields if name != without}
    values = {name: env[variable] for name, variable in names.items() if env.get(variable)}
    try:
        return model.model_validate(values)
    except ValidationError as error:
        return SettingsError("\n".join(_sentences(error, names)))


def problems_of(read: object) -> list[str]:
    """The lines of an error, none of what could be read."""
    return str(read).splitlines() if isinstance(read, SettingsError) else []


def _sentences(error: ValidationError, names: Mapping[str, str]) -> Iterator[str]:
    for problem in error.errors(include_url=False):
        context = problem.get("ctx", {})
        if problem["loc"]:
            wanted = context.get("phrase") or problem["msg"]
            yield f"{names[str(problem['loc'][0])]}: {problem['input']!r} is not {wanted}"
        else:
            yield str(context["error"])


def misspelt(prefix: str, known: Set[str], env: Mapping[str, str]) -> Iterator[str]:
    """Variables that are nearly a setting's name, where that setting is not set; `known` without the prefix."""
    for variable in sorted(env):
        name = variable.removeprefix(prefix)
        if name == variable or name in known:
            continue
        near = get_close_matches(name, known, n=1, cutoff=_SLIP)
        if near and prefix + near[0] not in env:
            yield f"{variable}: no such setting, and {prefix}{near[0]} is not set: is that what is meant? Rename it"


def verify_readable(variable: str, path: str) -> None:
    """Raises SettingsError where the file that a variable names can't be read."""
    try:
        with Path(path).open("rb"):
            pass
    except OSError as error:
        raise SettingsError(f"{variable}: {path} can't be read: {error.strerror}") from None
