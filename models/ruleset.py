"""A ruleset as analysts write it: the contract of the YAML file."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    model_validator,
)

from models.case import CaseDocument
from models.parameter import ParamEntry
from models.rule_fields import DurationText, Name, Part, ReasonCode, RulesetCurrency, Slug, duration_s

MIN_ROWS: Final = 32
MAX_ROWS: Final = 4096
MAX_EXPIRE_AFTER_S: Final = 90 * 86_400


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is not an IANA time zone, like Asia/Shanghai") from None
    return name


def _not_too_long(duration: str) -> str:
    if duration_s(duration) > MAX_EXPIRE_AFTER_S:
        raise ValueError("is at most 90d")
    return duration


def _exact(value: object) -> object:
    """YAML's floats as the decimals they were written as."""
    return Decimal(repr(value)) if isinstance(value, float) else value


Rate = Annotated[Decimal, BeforeValidator(_exact), Field(gt=0, allow_inf_nan=False, max_digits=30)]
# 64 bits: what is larger can't be written into a record.
ListNumber = Annotated[StrictInt, Field(ge=-(2**63), le=2**63 - 1)]


class RuleDocument(Part):
    """One rule. `reason` is the code that the checkout is told, by default made from the id."""

    id: Slug
    when: Annotated[str, Field(min_length=1, max_length=4_000)]
    then: Literal["allow", "flag", "block"]
    reason: ReasonCode | None = None
    final: StrictBool = False
    mode: Literal["live", "shadow"] = "live"
    description: str = ""

    @model_validator(mode="after")
    def _only_blocks_are_final(self) -> RuleDocument:
        if self.final and self.then != "block":
            raise ValueError("`final` is for blocks: set `then: block`, or leave `final` out")
        return self

    @property
    def code(self) -> str:
        """The reason code."""
        return self.reason or self.id.upper().replace("-", "_")


class ReservationsDocument(Part):
    """How purchases are reserved until they are captured; without `expire_after` they wait for good."""

    expire_after: Annotated[DurationText, AfterValidator(_not_too_long)]


class RulesetDocument(Part):
    """A ruleset. `rates` gives the value of one major unit of a currency in the ruleset's own currency."""

    ruleset: Slug
    description: str = ""
    currency: RulesetCurrency = "CNY"
    time_zone: Annotated[str, AfterValidator(_known_zone)] = "Asia/Shanghai"
    rates: dict[RulesetCurrency, Rate] = Field(default_factory=dict)
    lists: dict[Name, list[StrictStr | ListNumber]] = Field(default_factory=dict)
    params: dict[Name, ParamEntry] = Field(default_factory=dict, max_length=200)
    allowed_lateness: DurationText = "24h"
    reservations: ReservationsDocument | None = None
    max_rows: Annotated[StrictInt, Field(ge=MIN_ROWS, le=MAX_ROWS)] = 512
    rules: Annotated[list[RuleDocument], Field(min_length=1, max_length=500)]
    cases: list[CaseDocument] = Field(default_factory=list[CaseDocument], max_length=1_000)
