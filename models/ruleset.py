"""A ruleset as analysts write it: the contract of the YAML file."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    StringConstraints,
    model_validator,
)

from models.money import CURRENCY_DECIMALS

MIN_ROWS: Final = 32
MAX_ROWS: Final = 4096

Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
ReasonCode = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")]
ListName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
DurationText = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,5}[smhd]$")]


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is not an IANA time zone, like Asia/Shanghai") from None
    return name


def _known_currency(code: str) -> str:
    if code not in CURRENCY_DECIMALS:
        raise ValueError(f"{code!r} is not an ISO 4217 currency code, like CNY")
    return code


def _exact(value: object) -> object:
    """YAML's floats as the decimals they were written as."""
    return Decimal(repr(value)) if isinstance(value, float) else value


RulesetCurrency = Annotated[str, AfterValidator(_known_currency)]
Rate = Annotated[Decimal, BeforeValidator(_exact), Field(gt=0, allow_inf_nan=False, max_digits=30)]
# 64 bits: what is larger can't be written into a record.
ListNumber = Annotated[StrictInt, Field(ge=-(2**63), le=2**63 - 1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RuleDocument(_Part):
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


class RulesetDocument(_Part):
    """A ruleset. `rates` gives the value of one major unit of a currency in the ruleset's own currency."""

    ruleset: Slug
    description: str = ""
    currency: RulesetCurrency = "CNY"
    time_zone: Annotated[str, AfterValidator(_known_zone)] = "Asia/Shanghai"
    rates: dict[RulesetCurrency, Rate] = {}
    lists: dict[ListName, list[StrictStr | ListNumber]] = {}
    allowed_lateness: DurationText = "24h"
    max_rows: Annotated[StrictInt, Field(ge=MIN_ROWS, le=MAX_ROWS)] = 512
    rules: Annotated[list[RuleDocument], Field(min_length=1, max_length=500)]
