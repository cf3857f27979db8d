"""Two values of JSON, place by place, where they are not the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any, Final, NamedTuple, cast

import orjson

_LONGEST: Final = 200


# What is told of what is not there.
ABSENT: Final = "absent"


class _Absent:
    """Stands for what is not there."""


_ABSENT: Final = _Absent()


class Difference(NamedTuple):
    """A place, like `reasons[0].observed`, and what is there on each side, as text.

    Two texts stand as they are, anything else as JSON; what is long is cut. `absent` is what is not there.
    """

    path: str
    one: str
    other: str


def differences(one: object, other: object, path: str = "") -> Iterator[Difference]:
    """Every place where two values differ, in the order of their fields. `path` is where the values themselves are."""
    sides: tuple[object, object] = one, other
    if isinstance(one, dict) and isinstance(other, dict):
        ours, theirs = cast("dict[str, Any]", one), cast("dict[str, Any]", other)
        for name in dict.fromkeys([*ours, *theirs]):
            inner = f"{path}.{name}" if path else name
            yield from differences(ours.get(name, _ABSENT), theirs.get(name, _ABSENT), inner)
    elif isinstance(one, list) and isinstance(other, list):
        pairs = zip_longest(cast("Sequence[Any]", one), cast("Sequence[Any]", other), fillvalue=_ABSENT)
        for number, pair in enumerate(pairs):
            yield from differences(*pair, f"{path}[{number}]")
    # As text: Python holds 1, 1.0 and true to be equal.
    elif _json(sides[0]) != _json(sides[1]):
        plain = all(isinstance(side, str) for side in sides)
        yield Difference(path, *(shortened(str(side) if plain else _json(side)) for side in sides))


def _json(value: object) -> str:
    return ABSENT if value is _ABSENT else orjson.dumps(value).decode()


def shortened(text: str) -> str:
    """A text, cut where it is long."""
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
