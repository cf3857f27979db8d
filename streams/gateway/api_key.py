"""An API key: what it may do, and the text that its holder shows."""

from __future__ import annotations

import hmac
import re
import secrets
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Annotated, Any, Final, Literal, NamedTuple, Self

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from models.problem import Wanted

PREFIX: Final = "sb"
# 256 bits, as many as the hash has.
_SECRET_BYTES: Final = 32
_ID_CHARS: Final = "abcdefghijklmnopqrstuvwxyz234567"
_TEXT: Final = re.compile(rf"{PREFIX}_(?P<id>[a-z0-9]{{4,32}})_(?P<secret>[A-Za-z0-9_-]{{1,128}})", re.ASCII)


class KeyScope(StrEnum):
    """What a key may do: send purchases and settle them, look decisions up, see how the gateway is."""

    DECIDE = "decide"
    READ = "read"
    ADMIN = "admin"


def _no_number(value: object) -> object:
    if not isinstance(value, str | datetime):
        raise ValueError("no time")
    return value


Moment = Annotated[
    AwareDatetime,
    Field(strict=False),
    BeforeValidator(_no_number),
    Wanted("a time in RFC 3339 with an offset, e.g. 2026-03-01T12:00:00Z"),
]
KeyId = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z0-9]{4,32}$"),
    Wanted("4 to 32 small letters and digits, as `keys create` gives"),
]
Digest = Annotated[
    str, StringConstraints(pattern=r"^[0-9a-f]{64}$"), Wanted("a SHA-256 in hexadecimal: 64 digits and letters a to f")
]
Label = Annotated[str, StringConstraints(min_length=1, max_length=100), Wanted("text of 1 to 100 characters")]
ScopeName = Annotated[Literal["decide", "read", "admin"], Wanted("one of decide, read, admin")]
Count = Annotated[int, Field(ge=1, le=1_000_000), Wanted("a whole number from 1 to 1000000")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class OldSecret(_Part):
    """The secret that a rotation replaced, good until `until`."""

    sha256: Digest
    until: Moment


class ApiKey(_Part):
    """A key as the file holds it, its secret as a hash.

    `rate_per_s` requests per second pass, or `burst` in as many seconds as that takes; `max_in_flight` may be under
    way at the same time.
    """

    id: KeyId
    name: Label | None = None
    sha256: Digest
    scopes: Annotated[list[ScopeName], Field(min_length=1)]
    created: Moment | None = None
    expires: Moment | None = None
    rate_per_s: Count | None = None
    burst: Count | None = None
    max_in_flight: Count | None = None
    previous: OldSecret | None = None

    @model_validator(mode="after")
    def _burst_fits_rate(self) -> Self:
        if self.burst is not None and (self.rate_per_s is None or self.burst % self.rate_per_s):
            raise PydanticCustomError("unfit", "burst is no multiple of rate_per_s: give one that is, or leave it out")
        return self

    def is_shown_by(self, secret: str, now: datetime) -> bool:
        """Whether the secret is this key's, or was until a rotation that still lets it pass. In constant time."""
        shown = digest_of(secret)
        matches = hmac.compare_digest(shown, self.sha256)
        if self.previous is not None:
            matches |= hmac.compare_digest(shown, self.previous.sha256) and now < self.previous.until
        return matches

    def is_expired(self, now: datetime) -> bool:
        """Whether its time is over."""
        return self.expires is not None and now >= self.expires


class ShownKey(NamedTuple):
    """A key as its holder shows it."""

    id: str
    secret: str

    def __str__(self) -> str:
        return f"{PREFIX}_{self.id}_{self.secret}"

    def __repr__(self) -> str:
        return f"ShownKey({self.id!r}, ...)"


def read_shown(text: str) -> ShownKey | None:
    """The parts of a key's text; None for what is no key."""
    found = _TEXT.fullmatch(text)
    return ShownKey(found["id"], found["secret"]) if found else None


def new_id() -> str:
    """An id that no other key has but by chance."""
    return "".join(secrets.choice(_ID_CHARS) for _ in range(10))


def new_secret() -> str:
    """A secret that nobody guesses."""
    return secrets.token_urlsafe(_SECRET_BYTES)


def digest_of(secret: str) -> str:
    """What is kept of a secret. It is drawn, not chosen by a person: no salt and no slow hash would add to it."""
    return sha256(secret.encode()).hexdigest()


def as_entry(key: ApiKey) -> dict[str, Any]:
    """The key as it stands in the file."""
    return key.model_dump(mode="json", exclude_none=True)
