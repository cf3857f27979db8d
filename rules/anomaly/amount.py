"""Whether an amount is unusual for an account: robust, on a log scale.

The account's location is a Huber estimate kept online: each purchase moves it by its residual, clipped at
`CLIP` spreads (Huber, Robust Estimation of a Location Parameter, 1964), so that a few wild amounts hardly
move it. Above and below it the spread is measured apart, because amounts on a log scale have a longer
tail downwards.

Fraud seldom comes alone, so unusually high amounts leave the account in `unrest` for some days, and what
follows them and is itself on the high side counts for more.
"""

from __future__ import annotations

import math
from typing import Final

from rules.anomaly.population import AMOUNT_BINS, AMOUNT_BINS_PER_UNIT, Population
from rules.anomaly.profile import Profile

CLIP: Final = 1.5
# An account's location and spreads remember about this many purchases, the population's spreads about 1,000.
MEMORY_PURCHASES: Final = 100
POPULATION_RATE: Final = 0.001
# The population's spread counts like this many of the account's purchases; it learns from settled accounts.
PRIOR_PURCHASES: Final = 100.0
SETTLED_PURCHASES: Final = 10
# Variances, squared log units: between accounts, and of a location known from one purchase, in spreads.
BETWEEN_ACCOUNTS: Final = 4.0
LOCATION_VARIANCE: Final = 3.0
SPREAD_MIN: Final = 0.05
# A low amount says less than a high one: its surprise is weighed and capped.
LOW_WEIGHT: Final = 0.25
LOW_NATS_MAX: Final = 3.0
NATS_MAX: Final = 40.0
# Among all the population's amounts, one in e^3 (5 %) is nothing special.
POPULATION_ORDINARY_NATS: Final = 3.0
UNREST_MS: Final = 7 * 86_400_000.0
UNREST_ORDINARY_NATS: Final = 4.0
UNREST_WEIGHT: Final = 0.5
UNREST_NATS_MAX: Final = 5.0
_SQRT_HALF: Final = math.sqrt(0.5)
# E min(|Z|, CLIP) of a standard normal Z: what a clipped residual measures of the standard deviation.
_CLIPPED_MEAN: Final = math.sqrt(2 / math.pi) * (1 - math.exp(-0.5 * CLIP * CLIP)) + CLIP * math.erfc(CLIP * _SQRT_HALF)
_LOG_SQRT_HALF_PI: Final = 0.5 * math.log(math.pi / 2)
_ASYMPTOTE_FROM: Final = 8.0


def normal_surprise(deviations: float) -> float:
    """-ln P(|Z| >= deviations) of a standard normal Z, in nats; from 8 on by Mills' ratio."""
    if deviations < _ASYMPTOTE_FROM:
        return -math.log(math.erfc(deviations * _SQRT_HALF))
    return 0.5 * deviations * deviations + math.log(deviations) + _LOG_SQRT_HALF_PI


def amount_surprise(profile: Profile, population: Population, amount_minor: int) -> float:
    """How unusual the amount is for the account, and how high for anyone, in nats."""
    x = _log(amount_minor)
    deviations = _deviations(profile, population, x)
    if deviations >= 0.0:
        nats = normal_surprise(deviations)
    else:
        nats = min(LOW_WEIGHT * normal_surprise(-deviations), LOW_NATS_MAX)
    amounts = population.amounts
    higher = amounts.above(x * AMOUNT_BINS_PER_UNIT)
    for_anyone = -math.log((higher + 1.0) / (amounts.total + 1.0)) - POPULATION_ORDINARY_NATS
    if for_anyone > 0.0:
        nats += for_anyone
    return min(nats, NATS_MAX)


def unrest_surprise(profile: Profile, event_time_ms: int) -> float:
    """What the unusual amounts of the last days add, in nats."""
    return min(UNREST_WEIGHT * _unrest_at(profile, event_time_ms), UNREST_NATS_MAX)


def learn_amount(profile: Profile, population: Population, event_time_ms: int, amount_minor: int) -> None:
    """Move the account's location, spreads and unrest, and the population's, by one purchase."""
    x = _log(amount_minor)
    population.amounts.learn(int(x * AMOUNT_BINS_PER_UNIT))
    count = min(profile.purchases, MEMORY_PURCHASES)
    if count == 0:
        profile.location = x
        profile.spread_up = population.spread_up
        profile.spread_down = population.spread_down
        return
    deviations = _deviations(profile, population, x)
    unrest = _unrest_at(profile, event_time_ms)
    if deviations > 0.0:
        unrest += max(0.0, normal_surprise(deviations) - UNREST_ORDINARY_NATS)
    profile.unrest = min(unrest, NATS_MAX)
    residual = x - profile.location
    spread = _spread(profile, population, residual)
    limit = CLIP * math.sqrt(spread * spread + BETWEEN_ACCOUNTS / count)
    residual = max(-limit, min(limit, residual))
    rate = 1.0 / (count + 1)
    profile.location += rate * residual
    _learn_spread(profile, population, max(-CLIP * spread, min(CLIP * spread, residual)), rate)


def _log(amount_minor: int) -> float:
    return min(math.log(amount_minor + 1.0), (AMOUNT_BINS - 1) / AMOUNT_BINS_PER_UNIT)


def _spread(profile: Profile, population: Population, residual: float) -> float:
    count = min(profile.purchases, MEMORY_PURCHASES)
    if residual > 0.0:
        own, usual = profile.spread_up, population.spread_up
    else:
        own, usual = profile.spread_down, population.spread_down
    return (count * own + PRIOR_PURCHASES * usual) / (count + PRIOR_PURCHASES)


def _deviations(profile: Profile, population: Population, x: float) -> float:
    """The residual in spreads, allowing for a location that few purchases have told; 0 with none."""
    count = min(profile.purchases, MEMORY_PURCHASES)
    if count == 0:
        return 0.0
    residual = x - profile.location
    return residual / (_spread(profile, population, residual) * math.sqrt(1.0 + LOCATION_VARIANCE / count))


def _unrest_at(profile: Profile, event_time_ms: int) -> float:
    if profile.unrest == 0.0:
        return 0.0
    return profile.unrest * math.exp(-max(0, event_time_ms - profile.last_ms) / UNREST_MS)


def _learn_spread(profile: Profile, population: Population, residual: float, rate: float) -> None:
    size = abs(residual) / _CLIPPED_MEAN
    settled = profile.purchases > SETTLED_PURCHASES
    if residual > 0.0:
        profile.spread_up = max(SPREAD_MIN, profile.spread_up + rate * (size - profile.spread_up))
        if settled:
            usual = population.spread_up
            population.spread_up = max(SPREAD_MIN, usual + POPULATION_RATE * (size - usual))
    else:
        profile.spread_down = max(SPREAD_MIN, profile.spread_down + rate * (size - profile.spread_down))
        if settled:
            usual = population.spread_down
            population.spread_down = max(SPREAD_MIN, usual + POPULATION_RATE * (size - usual))
