"""The anomaly score under the Fraud Detection Handbook's protocol (chapter 3), without labels.

A test week is scored after everything before it was; what a supervised model would have trained on is only
used to take cards out: those defrauded in the train week, which begins 14 days before the test week, and
those whose fraud is known on the day before minus the feedback delay of 7 days.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Final, NamedTuple

import numpy as np

from bench.datasets import CardPayment
from bench.ranking import Scores, auc_roc, average_precision, card_precision
from rules.anomaly import Observation, Population, Profile, learn, score

TOP_CARDS: Final = 100
_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
_MCC: Final = "0000"
# 8 to 14 August 2018, and the three weeks before it.
TEST_WEEK: Final = int(datetime(2018, 8, 8, tzinfo=UTC).timestamp()) * 1000 // _DAY_MS
TEST_WEEKS: Final = (TEST_WEEK - 21, TEST_WEEK - 14, TEST_WEEK - 7, TEST_WEEK)


class Quality(NamedTuple):
    """How well a score ranks the payments of a test week.

    `card_precision_100` leaves every card in on all days; `card_precision_100_undetected` leaves a card out
    once it was rightly among a day's top 100, as the Handbook's own code does.
    """

    auc_roc: float
    average_precision: float
    card_precision_100: float
    card_precision_100_undetected: float


class Scored(NamedTuple):
    """All payments' scores, and what scoring and learning cost."""

    values: list[float]
    cpu_us: float
    profile_bytes_max: int
    population_bytes: int


def score_anomaly(payments: Sequence[CardPayment]) -> Scored:
    """Score each payment for its card before it is learned, as the desk does."""
    profiles: dict[str, Profile] = {}
    population = Population()
    values: list[float] = []
    start_s = time.process_time()
    for payment in payments:
        profile = profiles.get(payment.card)
        if profile is None:
            profile = profiles[payment.card] = Profile()
        hour = payment.time_ms % _DAY_MS / _HOUR_MS
        observation = Observation(payment.time_ms, payment.amount_minor, hour, payment.terminal, _MCC)
        scored = score(profile, population, observation)
        learn(profile, population, observation, scored)
        values.append(scored.value)
    cpu_us = (time.process_time() - start_s) * 1e6 / len(payments)
    largest = max(len(profile.encode()) for profile in profiles.values())
    return Scored(values, cpu_us, largest, len(population.encode()))


def score_z(payments: Sequence[CardPayment]) -> list[float]:
    """The baseline: how many standard deviations above the card's mean so far (Welford's method)."""
    seen: dict[str, tuple[int, float, float]] = {}
    values: list[float] = []
    for payment in payments:
        count, mean, squares = seen.get(payment.card, (0, 0.0, 0.0))
        off = payment.amount_minor - mean
        values.append(off / math.sqrt(squares / count + 1.0) if count > 1 else 0.0)
        mean += off / (count + 1)
        seen[payment.card] = (count + 1, mean, squares + off * (payment.amount_minor - mean))
    return values


def judge(payments: Sequence[CardPayment], values: Sequence[float], first_day: int) -> Quality:
    """Measure scores on the test week that begins on a day, counted from 1970-01-01."""
    kept = _tested(payments, first_day)
    scores: Scores = np.array([values[index] for index in kept])
    marks = np.array([payments[index].is_fraud for index in kept])
    days = [
        [(payments[index].card, values[index], payments[index].is_fraud) for index in day]
        for _, day in groupby(kept, lambda index: _day(payments[index]))
    ]
    return Quality(
        auc_roc(scores, marks),
        average_precision(scores, marks),
        card_precision(days, TOP_CARDS, remove_detected=False),
        card_precision(days, TOP_CARDS, remove_detected=True),
    )


def mean_quality(qualities: Sequence[Quality]) -> Quality:
    """Each figure averaged over weeks."""
    return Quality(*(float(np.mean(column)) for column in zip(*qualities, strict=True)))


def _tested(payments: Sequence[CardPayment], first_day: int) -> list[int]:
    """The payments of the test week on cards that are not known to be defrauded."""
    frauds: dict[int, set[str]] = {}
    by_day: dict[int, list[int]] = {}
    for index, payment in enumerate(payments):
        day = _day(payment)
        by_day.setdefault(day, []).append(index)
        if payment.is_fraud:
            frauds.setdefault(day, set()).add(payment.card)
    known: set[str] = set()
    for day in range(first_day - 14, first_day - 7):
        known |= frauds.get(day, set())
    kept: list[int] = []
    for day in range(first_day, first_day + 7):
        known |= frauds.get(day - 8, set())
        kept += [index for index in by_day.get(day, []) if payments[index].card not in known]
    return kept


def _day(payment: CardPayment) -> int:
    return payment.time_ms // _DAY_MS
