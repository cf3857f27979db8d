"""How unusual a purchase is for its account, and what the account learns from it.

Each cause has a surprise in nats, -ln of the probability of something as unusual under the account's
habits, which lean on the population's as long as the account is young. Of the causes beside the amount,
what is within the ordinary (`ORDINARY_NATS`) counts for nothing, so that six small coincidences make no
alarm. The rest adds up, and the sum is read off the histogram of the sums that this stream has shown.
"""

from __future__ import annotations

import math
from typing import Final
from zlib import crc32

from rules.anomaly.amount import amount_surprise, learn_amount, unrest_surprise
from rules.anomaly.habit import Habit
from rules.anomaly.hours import hour_surprise, learn_hour
from rules.anomaly.novelty import Novelty
from rules.anomaly.observation import Observation, Score
from rules.anomaly.pace import learn_pace, pace_surprise
from rules.anomaly.popularity import Popularity
from rules.anomaly.population import Population, surprise_position
from rules.anomaly.profile import Profile

# One in e^3, about 5 %, is nothing special.
ORDINARY_NATS: Final = 3.0
CAUSE_NATS_MAX: Final = 30.0
CONTRIBUTIONS_MAX: Final = 3
# A cause that adds less is not worth a name.
NAMED_NATS: Final = 0.5
# After unusual amounts the next one counts for more only if it is not low or quite ordinary itself.
FOLLOWS_NATS: Final = 1.0
# Beyond what the stream has shown, surprises fall off by e for each 2 nats: keeps the value rising.
_BEYOND_PER_NAT: Final = 0.5

_FieldState = tuple[str, Habit, Novelty, Popularity | None, int]


def score(profile: Profile, population: Population, observation: Observation) -> Score:
    """How unusual the purchase is, before anything is learned from it. Changes nothing."""
    causes = _causes(profile, population, observation)
    causes.sort(reverse=True)
    total = 0.0
    for nats, _ in causes:
        total += nats
    seen = population.surprises
    beyond = math.exp(-_BEYOND_PER_NAT * total)
    value = 1.0 - (seen.above(surprise_position(total)) + beyond) / (seen.total + 1.0)
    largest = tuple([(name, round(nats, 3)) for nats, name in causes[:CONTRIBUTIONS_MAX] if nats >= NAMED_NATS])
    return Score(value, largest, total)


def learn(profile: Profile, population: Population, observation: Observation, scored: Score) -> None:
    """Take the purchase into the account's habits and the population's; `scored` is what `score` gave."""
    learn_amount(profile, population, observation.event_time_ms, observation.amount_minor)
    learn_hour(profile, population, observation.hour)
    learn_pace(profile, population, observation.event_time_ms)
    for _, habit, novelty, popularity, value in _fields(profile, population, observation):
        if habit.values:
            novelty.learn(habit.learn(value))
        else:
            habit.learn(value)
        if popularity is not None:
            popularity.learn(value)
    population.surprises.learn(int(surprise_position(scored.surprise)))
    population.fade(observation.event_time_ms)
    profile.purchases += 1


def _causes(profile: Profile, population: Population, observation: Observation) -> list[tuple[float, str]]:
    """What makes the purchase unusual, in nats above zero, with its name."""
    time_ms = observation.event_time_ms
    causes: list[tuple[float, str]] = []
    amount = amount_surprise(profile, population, observation.amount_minor)
    if amount > 0.0:
        causes.append((amount, "amount"))
    if amount > FOLLOWS_NATS and profile.unrest > 0.0:
        causes.append((unrest_surprise(profile, time_ms), "recent_amounts"))
    hour = hour_surprise(profile, population, observation.hour)
    if hour > ORDINARY_NATS:
        causes.append((hour - ORDINARY_NATS, "hour"))
    pace = pace_surprise(profile, population, time_ms)
    if pace > ORDINARY_NATS:
        causes.append((min(pace - ORDINARY_NATS, CAUSE_NATS_MAX), "pace"))
    for name, habit, novelty, popularity, value in _fields(profile, population, observation):
        tail = habit.tail(value, novelty)
        if popularity is not None and value not in habit.values:
            tail *= popularity.tail(value)
        nats = -math.log(tail)
        if nats > ORDINARY_NATS:
            causes.append((min(nats - ORDINARY_NATS, CAUSE_NATS_MAX), name))
    return causes


def _fields(profile: Profile, population: Population, observation: Observation) -> list[_FieldState]:
    """The fields of the purchase that are known, with what is known of them, and the value's hash."""
    fields: list[_FieldState] = [
        (
            "merchant",
            profile.merchants,
            population.merchant_novelty,
            None,
            crc32(observation.merchant.encode()),
        ),
        (
            "category",
            profile.categories,
            population.category_novelty,
            population.categories,
            crc32(observation.mcc.encode()),
        ),
    ]
    if observation.country is not None:
        value = crc32(observation.country.encode())
        fields.append(("country", profile.countries, population.country_novelty, population.countries, value))
    if observation.device is not None:
        value = crc32(observation.device.encode())
        fields.append(("device", profile.devices, population.device_novelty, None, value))
    return fields
