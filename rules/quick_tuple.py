"""Named tuples of which there is one for each record, made at half of the cost."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

_Made = TypeVar("_Made", bound=tuple[Any, ...])


def quick(of: type[_Made]) -> Callable[[tuple[Any, ...]], _Made]:
    """What makes an `of` from a tuple of all its fields, in their order; defaults are not filled in."""
    make: Any = tuple.__new__  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]  # generic, as it is
    return partial(make, of)
