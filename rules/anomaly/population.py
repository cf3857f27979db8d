"""What is known of all accounts of a fold together: the habits a new account falls back on, and the scale
that surprises are read on."""

from __future__ import annotations

import struct
from typing import Final

from rules.anomaly.codec import AnomalyStateError
from rules.anomaly.histogram import Histogram
from rules.anomaly.novelty import Novelty
from rules.anomaly.popularity import Popularity

HOURS: Final = 24
CATEGORIES_MAX: Final = 64
COUNTRIES_MAX: Final = 64
# The spread of an account's log amounts before anything is seen.
SPREAD_FIRST: Final = 0.6
# Once a day of event time all counts are halved, if there are enough of them: what was seen in the last two
# days weighs most, and every hour of the day weighs the same.
FADE_EVERY_MS: Final = 86_400_000
FADE_PURCHASES_MIN: Final = 1 << 15

# Amounts: bins of 1/8 on the natural log of minor units, up to e^36.
AMOUNT_BINS_PER_UNIT: Final = 8
AMOUNT_BINS: Final = 36 * AMOUNT_BINS_PER_UNIT
# Surprises: bins of 1/8 nat up to 16 nats, of 1/2 nat from there to 64 nats.
FINE_NATS: Final = 16.0
SURPRISE_MAX: Final = 63.5
_FINE_BINS: Final = 128
SURPRISE_BINS: Final = _FINE_BINS + 96

_DAY_MS: Final = 86_400_000.0
_VERSION: Final = 1
_HEAD: Final = struct.Struct("<Bq3d8I")


def surprise_position(surprise: float) -> float:
    """Where a surprise, in nats, lies in the histogram of surprises, in bins."""
    if surprise < FINE_NATS:
        return surprise * 8.0
    return _FINE_BINS + (min(surprise, SURPRISE_MAX) - FINE_NATS) * 2.0


class Population:
    """All accounts of one fold; a new one knows nothing.

    `spread_up` and `spread_down` are the usual spreads of an account's amounts on the log scale, `gap_ms` the
    usual time between its purchases; the rest counts purchases by what they showed, halved at `faded_ms`.
    """

    __slots__ = (
        "amounts",
        "categories",
        "category_novelty",
        "countries",
        "country_novelty",
        "device_novelty",
        "faded_ms",
        "gap_ms",
        "hours",
        "merchant_novelty",
        "spread_down",
        "spread_up",
        "surprises",
    )

    def __init__(self) -> None:
        self.faded_ms = 0
        self.spread_up = SPREAD_FIRST
        self.spread_down = SPREAD_FIRST
        self.gap_ms = _DAY_MS
        self.merchant_novelty = Novelty()
        self.category_novelty = Novelty()
        self.country_novelty = Novelty()
        self.device_novelty = Novelty()
        self.hours = Histogram(HOURS)
        self.categories = Popularity(CATEGORIES_MAX)
        self.countries = Popularity(COUNTRIES_MAX)
        self.amounts = Histogram(AMOUNT_BINS)
        self.surprises = Histogram(SURPRISE_BINS)

    def fade(self, event_time_ms: int) -> None:
        """Forget half of what was counted if it is time to."""
        if event_time_ms - self.faded_ms < FADE_EVERY_MS or self.surprises.total < FADE_PURCHASES_MIN:
            return
        self.faded_ms = event_time_ms
        tables = (self.hours, self.categories, self.countries, self.amounts, self.surprises)
        for table in (*tables, *self._novelties()):
            table.fade()

    def encode(self) -> bytes:
        """The one text of this state: below 5 KB, and 1 to 2 KB on most streams."""
        head = _HEAD.pack(
            _VERSION,
            self.faded_ms,
            self.spread_up,
            self.spread_down,
            self.gap_ms,
            *(each.trials for each in self._novelties()),
            *(each.novel for each in self._novelties()),
        )
        parts = (self.hours, self.categories, self.countries, self.amounts, self.surprises)
        return head + b"".join([part.encode() for part in parts])

    @classmethod
    def decode(cls, raw: bytes) -> Population:
        """Read what `encode` wrote. Raises AnomalyStateError."""
        if len(raw) < _HEAD.size or raw[0] != _VERSION:
            raise AnomalyStateError("anomaly state: not a population of this version")
        population = cls()
        numbers = _HEAD.unpack_from(raw)
        _, population.faded_ms, population.spread_up, population.spread_down, population.gap_ms = numbers[:5]
        for each, trials, novel in zip(population._novelties(), numbers[5:9], numbers[9:], strict=True):
            each.trials, each.novel = trials, novel
        population.hours, at = Histogram.decode(raw, _HEAD.size, HOURS)
        population.categories, at = Popularity.decode(raw, at, CATEGORIES_MAX)
        population.countries, at = Popularity.decode(raw, at, COUNTRIES_MAX)
        population.amounts, at = Histogram.decode(raw, at, AMOUNT_BINS)
        population.surprises, at = Histogram.decode(raw, at, SURPRISE_BINS)
        if at != len(raw):
            raise AnomalyStateError("anomaly state: bytes left over after a population")
        return population

    def _novelties(self) -> tuple[Novelty, Novelty, Novelty, Novelty]:
        return (self.merchant_novelty, self.category_novelty, self.country_novelty, self.device_novelty)
