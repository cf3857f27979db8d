"""What is known of one account, in at most 1 KB."""

from __future__ import annotations

import struct
from typing import Final

from rules.anomaly.codec import AnomalyStateError
from rules.anomaly.habit import Habit
from rules.anomaly.population import HOURS, SPREAD_FIRST

MERCHANTS_MAX: Final = 24
CATEGORIES_MAX: Final = 16
COUNTRIES_MAX: Final = 8
DEVICES_MAX: Final = 8
PROFILE_BYTES_MAX: Final = 1024

_VERSION: Final = 1
_HEAD: Final = struct.Struct("<BIq6d24B")


class Profile:
    """One account's habits; a new one knows nothing.

    `purchases` counts all; `last_ms` is the latest event time. `location`, `spread_up` and `spread_down`
    describe the amounts (see amount.py); `gap_ms` is the mean time between purchases, `burst` the number of
    purchases just before `last_ms` (see pace.py), `unrest` how unusual the latest amounts were, in nats.
    """

    __slots__ = (
        "burst",
        "categories",
        "countries",
        "devices",
        "gap_ms",
        "hours",
        "last_ms",
        "location",
        "merchants",
        "purchases",
        "spread_down",
        "spread_up",
        "unrest",
    )

    def __init__(self) -> None:
        self.purchases = 0
        self.last_ms = 0
        self.location = 0.0
        self.spread_up = SPREAD_FIRST
        self.spread_down = SPREAD_FIRST
        self.gap_ms = 0.0
        self.burst = 0.0
        self.unrest = 0.0
        self.hours = [0] * HOURS
        self.merchants = Habit(MERCHANTS_MAX)
        self.categories = Habit(CATEGORIES_MAX)
        self.countries = Habit(COUNTRIES_MAX)
        self.devices = Habit(DEVICES_MAX)

    def encode(self) -> bytes:
        """The one text of this state, at most `PROFILE_BYTES_MAX` bytes."""
        head = _HEAD.pack(
            _VERSION,
            self.purchases,
            self.last_ms,
            self.location,
            self.spread_up,
            self.spread_down,
            self.gap_ms,
            self.burst,
            self.unrest,
            *self.hours,
        )
        return b"".join(
            (
                head,
                self.merchants.encode(),
                self.categories.encode(),
                self.countries.encode(),
                self.devices.encode(),
            )
        )

    @classmethod
    def decode(cls, raw: bytes) -> Profile:
        """Read what `encode` wrote. Raises AnomalyStateError."""
        if len(raw) < _HEAD.size or raw[0] != _VERSION:
            raise AnomalyStateError("anomaly state: not a profile of this version")
        profile = cls()
        (
            _,
            profile.purchases,
            profile.last_ms,
            profile.location,
            profile.spread_up,
            profile.spread_down,
            profile.gap_ms,
            profile.burst,
            profile.unrest,
            *profile.hours,
        ) = _HEAD.unpack_from(raw)
        profile.merchants, at = Habit.decode(raw, _HEAD.size, MERCHANTS_MAX)
        profile.categories, at = Habit.decode(raw, at, CATEGORIES_MAX)
        profile.countries, at = Habit.decode(raw, at, COUNTRIES_MAX)
        profile.devices, at = Habit.decode(raw, at, DEVICES_MAX)
        if at != len(raw):
            raise AnomalyStateError("anomaly state: bytes left over after a profile")
        return profile
