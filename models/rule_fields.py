"""Field types that the parts of a rule file share."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

from models.money import CURRENCY_DECIMALS


def _known_currency(code: str) -> str:
    if code not in CURRENCY_DECIMALS:
        raise ValueError(f"{code!r} is not an ISO 4217 currency code, like CNY")
    return code


Slug = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
ReasonCode = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]{0,63}$")]
# The name of a list or of a parameter.
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
# A day of a duration is 24 hours.
DURATION_UNITS_S: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
DurationText = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,5}[smhd]$")]
RulesetCurrency = Annotated[str, AfterValidator(_known_currency)]


def duration_s(text: str) -> int:
    """Seconds of a number with a unit, as in DurationText."""
    return int(text[:-1]) * DURATION_UNITS_S[text[-1]]


class Part(BaseModel):
    """A part of a rule file: a mapping with no keys but its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")
