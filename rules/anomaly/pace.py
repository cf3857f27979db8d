"""Whether an account buys faster than it usually does.

Purchases in the last minutes are counted with exponentially fading weight (`MEMORY_MS`), so that one number
keeps them. If an account buys at random at its own rate, that number is about Poisson with a mean of
MEMORY_MS / mean gap.
"""

from __future__ import annotations

import math
from typing import Final

from rules.anomaly.population import Population
from rules.anomaly.profile import Profile

MEMORY_MS: Final = 600_000.0
# Longer pauses count as this long, so that one holiday does not slow an account down for good.
GAP_MAX_MS: Final = 30 * 86_400_000.0
# The population's gap counts like this many of the account's; the account's own count up to GAPS_MAX.
PRIOR_GAPS: Final = 2.0
GAPS_MAX: Final = 100
POPULATION_RATE: Final = 0.001


def poisson_surprise(count: float, mean: float) -> float:
    """-ln of the Chernoff bound of P(N >= count) for N Poisson, in nats; 0 at or below the mean.

    Mitzenmacher and Upfal, Probability and Computing, theorem 5.4.
    """
    if count <= mean:
        return 0.0
    return count * math.log(count / mean) - count + mean


def pace_surprise(profile: Profile, population: Population, event_time_ms: int) -> float:
    """How unusual the purchases of the last minutes are; 0 for a first or a late purchase, in nats."""
    gaps = min(profile.purchases - 1, GAPS_MAX)
    since_ms = event_time_ms - profile.last_ms
    if gaps < 0 or since_ms < 0:
        return 0.0
    burst = _burst_at(profile, since_ms)
    gap_ms = (gaps * profile.gap_ms + PRIOR_GAPS * population.gap_ms) / (gaps + PRIOR_GAPS)
    return poisson_surprise(burst, MEMORY_MS / max(gap_ms, 1.0))


def learn_pace(profile: Profile, population: Population, event_time_ms: int) -> None:
    """Take the time since the last purchase in; a late purchase tells nothing of it."""
    count = profile.purchases
    if count == 0:
        profile.last_ms = event_time_ms
        profile.burst = 1.0
        return
    since_ms = event_time_ms - profile.last_ms
    if since_ms < 0:
        return
    profile.burst = _burst_at(profile, since_ms) + 1.0
    profile.last_ms = event_time_ms
    gap_ms = min(float(since_ms), GAP_MAX_MS)
    profile.gap_ms += (gap_ms - profile.gap_ms) / min(count, GAPS_MAX)
    population.gap_ms += POPULATION_RATE * (gap_ms - population.gap_ms)


def _burst_at(profile: Profile, since_ms: int) -> float:
    return profile.burst * math.exp(-since_ms / MEMORY_MS)
