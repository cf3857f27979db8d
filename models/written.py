"""Values of a YAML file that say more as they were written than as what YAML makes of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal


class WrittenFloat(float):
    """A number with a point: a float where a float is wanted, and its `text` where it must be exact."""

    text: str

    def __new__(cls, value: float, text: str) -> WrittenFloat:
        """A float that was written as `text`."""
        number = super().__new__(cls, value)
        number.text = text
        return number


@dataclass(frozen=True, slots=True)
class WrittenTime:
    """A date or a time, which YAML reads without being asked to. It is nothing but its text."""

    text: str


def as_written(value: object) -> object:
    """A float as the decimal that it was written as; anything else passes."""
    if not isinstance(value, float):
        return value
    if isinstance(value, WrittenFloat) and math.isfinite(value):
        try:
            return Decimal(value.text.replace("_", ""))
        except ArithmeticError:
            # An exponent beyond what decimals have: nothing but zero has it.
            return Decimal(0)
    return Decimal(repr(value))
