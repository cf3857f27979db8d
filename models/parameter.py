"""A parameter of a ruleset: a value that rules ask for by name, with the values that a sweep may try for it."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Final, Literal, cast

from pydantic import BeforeValidator, Field, PlainValidator

from models.rule_fields import Part
from models.written import as_written

Kind = Literal["number", "duration", "text"]

_DURATION: Final = re.compile(r"[0-9][0-9_]*[smhd]", re.ASCII)
_MAX_CHARS: Final = 4_000


def _value(raw: object) -> Decimal | str:
    value = Decimal(raw) if isinstance(raw, int) and not isinstance(raw, bool) else as_written(raw)
    if isinstance(value, Decimal) and value.is_finite():
        return value
    if not isinstance(value, str):
        raise ValueError("a parameter is a number, a duration like `10m` or a text")
    if "\n" in value or ('"' in value and "'" in value) or len(value) > _MAX_CHARS:
        raise ValueError(f"a text is one line with one kind of quotes, of at most {_MAX_CHARS:,} characters")
    return value


# A number (beside money: an amount in major units), or a text; a text like `10m` is a duration.
ParamValue = Annotated[Decimal | str, PlainValidator(_value, json_schema_input_type=float | str)]


class Param(Part):
    """A parameter. Rules ask for `value`; `try` holds what a sweep may put in its place, all of one kind with it."""

    value: ParamValue
    try_: Annotated[list[ParamValue], Field(min_length=1, max_length=1_000)] | None = Field(default=None, alias="try")
    description: str = ""


def _long_form(raw: object) -> object:
    return cast(object, raw) if isinstance(raw, dict | Param) else {"value": raw}


# As it may be written: a mapping, or the value alone.
ParamEntry = Annotated[Param, BeforeValidator(_long_form, json_schema_input_type=Param | float | str)]


def kind_of(value: ParamValue) -> Kind:
    """What kind of literal a value stands for."""
    if isinstance(value, Decimal):
        return "number"
    return "duration" if _DURATION.fullmatch(value) else "text"
