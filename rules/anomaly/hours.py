"""Whether an account buys at an unusual hour. Hours go round: 23 and 0 are neighbours."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from rules.anomaly.population import HOURS, Population
from rules.anomaly.profile import Profile

# The population's hours count like this many of the account's purchases.
PRIOR_PURCHASES: Final = 8.0
FADE_AT: Final = 255


def hour_surprise(profile: Profile, population: Population, hour: float) -> float:
    """-ln of how likely this hour is, against an even spread over the day, in nats; 0 if it is as likely."""
    index = int(hour) % HOURS
    everyone = population.hours
    usual = (HOURS * _around(everyone.count, index) + HOURS) / (everyone.total + HOURS)
    own = profile.hours
    density = (HOURS * _around(own.__getitem__, index) + PRIOR_PURCHASES * usual) / (sum(own) + PRIOR_PURCHASES)
    return -math.log(density) if density < 1.0 else 0.0


def learn_hour(profile: Profile, population: Population, hour: float) -> None:
    """Count one purchase in its hour; when an hour is full, all are halved."""
    index = int(hour) % HOURS
    population.hours.learn(index)
    profile.hours[index] += 1
    if profile.hours[index] >= FADE_AT:
        profile.hours = [count >> 1 for count in profile.hours]


def _around(count: Callable[[int], int], index: int) -> float:
    """The count of an hour, smoothed over its two neighbours."""
    return 0.5 * count(index) + 0.25 * (count(index - 1) + count(index + 1 - HOURS))
