"""What the anomaly score says, and what it takes from each purchase."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.anomaly import Observation, Population, Profile, Score, learn, score

START_MS = 1_790_000_000_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

observations = st.builds(
    Observation,
    st.integers(START_MS, START_MS + 90 * DAY_MS),
    st.one_of(st.integers(1, 10**15), st.integers(1_000, 9_000)),
    st.floats(0, 24, exclude_max=True),
    st.sampled_from([f"m-{number}" for number in range(40)]),
    st.sampled_from(["5411", "5812", "7995"]),
    st.sampled_from([None, "CN", "DE"]),
    st.sampled_from([None, "d-1", "d-2", "d-3"]),
)


def usual(day: int, rng: random.Random, **changed: object) -> Observation:
    """What one account of habit buys: about 50.00 around noon, in three shops, on one device, at home."""
    observation = Observation(
        START_MS + day * DAY_MS + rng.randrange(HOUR_MS),
        round(5_000 * rng.lognormvariate(0, 0.3)),
        11 + 2 * rng.random(),
        f"m-{rng.randrange(3)}",
        "5411",
        "CN",
        "d-1",
    )
    return observation._replace(**changed)  # type: ignore[arg-type]  # the tests name its own fields


def settled(days: int = 200, seed: int = 5) -> tuple[Profile, Population, random.Random]:
    """An account of habit, in a population of such accounts."""
    rng = random.Random(seed)
    profiles, population = [Profile() for _ in range(10)], Population()
    for day in range(days):
        for profile in profiles:
            observation = usual(day, rng)
            learn(profile, population, observation, score(profile, population, observation))
    return profiles[0], population, rng


@pytest.mark.parametrize(
    ("changed", "cause"),
    [
        ({"amount_minor": 100_000}, "amount"),
        ({"hour": 3.5}, "hour"),
        ({"merchant": "m-new"}, "merchant"),
        ({"mcc": "7995"}, "category"),
        ({"country": "BR"}, "country"),
        ({"device": "d-new"}, "device"),
    ],
)
def test_what_an_account_never_did_is_unusual_and_named(changed: dict[str, object], cause: str) -> None:
    profile, population, rng = settled()
    given_usual = usual(200, rng, amount_minor=5_000)
    plain = score(profile, population, given_usual)
    strange = score(profile, population, given_usual._replace(**changed))  # type: ignore[arg-type]
    assert cause not in dict(plain.contributions)
    assert strange.contributions[0][0] == cause
    assert strange.value > 0.97 > plain.value


def test_many_purchases_within_minutes_are_unusual_for_an_account_that_buys_daily() -> None:
    profile, population, rng = settled()
    start_ms = START_MS + 200 * DAY_MS
    paces: list[float] = []
    for minute in range(5):
        observation = usual(200, rng, event_time_ms=start_ms + minute * 60_000, amount_minor=5_000)
        scored = score(profile, population, observation)
        paces.append(dict(scored.contributions).get("pace", 0.0))
        learn(profile, population, observation, scored)
    assert paces[0] == 0.0
    assert all(earlier < later for earlier, later in pairwise(paces))


def test_the_same_purchase_is_less_unusual_for_an_account_that_often_does_it() -> None:
    profile, population, rng = settled()
    abroad = usual(200, rng, country="BR", amount_minor=5_000)
    before = score(profile, population, abroad)
    for day in range(200, 230):
        observation = usual(day, rng, country="BR")
        learn(profile, population, observation, score(profile, population, observation))
    after = score(profile, population, abroad._replace(event_time_ms=START_MS + 230 * DAY_MS))
    assert "country" in dict(before.contributions)
    assert "country" not in dict(after.contributions)


def test_hours_go_round_so_that_an_account_of_eleven_at_night_may_buy_after_midnight() -> None:
    profile, population, rng = Profile(), Population(), random.Random(1)
    for day in range(100):
        observation = usual(day, rng, hour=23.5)
        learn(profile, population, observation, score(profile, population, observation))
    after_midnight = score(profile, population, usual(100, rng, hour=0.2))
    at_noon = score(profile, population, usual(100, rng, hour=12.0))
    assert "hour" not in dict(after_midnight.contributions)
    assert "hour" in dict(at_noon.contributions)


def test_a_few_wild_amounts_hardly_move_what_is_usual() -> None:
    profile, population, rng = settled()
    before = profile.location
    for day in range(200, 205):
        observation = usual(day, rng, amount_minor=10**9)
        learn(profile, population, observation, score(profile, population, observation))
    assert profile.location - before < 0.1


def test_a_first_wild_amount_does_not_hold_the_account_there() -> None:
    profile, population, rng = Profile(), Population(), random.Random(2)
    for day in range(60):
        observation = usual(day, rng, **({"amount_minor": 1} if day == 0 else {}))
        learn(profile, population, observation, score(profile, population, observation))
    assert dict(score(profile, population, usual(60, rng, amount_minor=5_000)).contributions).get(
        "amount", 0.0
    ) == pytest.approx(0.0, abs=2.0)


def test_unusual_amounts_make_those_that_follow_count_for_more_and_are_forgotten() -> None:
    profile, population, rng = settled()
    high = usual(200, rng, amount_minor=9_000)
    before = score(profile, population, high)
    wild = usual(200, rng, amount_minor=200_000)
    learn(profile, population, wild, score(profile, population, wild))
    soon = score(profile, population, high._replace(event_time_ms=wild.event_time_ms + DAY_MS))
    much_later = score(profile, population, high._replace(event_time_ms=wild.event_time_ms + 90 * DAY_MS))
    assert "recent_amounts" in dict(soon.contributions)
    assert soon.surprise > before.surprise
    assert much_later.surprise == pytest.approx(before.surprise, abs=0.2)


def test_a_new_account_is_held_against_the_population() -> None:
    _, population, rng = settled()
    newcomer = Profile()
    plain = score(newcomer, population, usual(0, rng, amount_minor=5_000))
    strange = score(newcomer, population, usual(0, rng, amount_minor=500_000, country="BR", hour=3.0))
    assert plain.value < 0.9
    assert strange.value > 0.99
    assert {"amount", "country"} <= dict(strange.contributions).keys()


def test_about_one_purchase_in_a_hundred_passes_0_99() -> None:
    rng = random.Random(11)
    profiles, population = [Profile() for _ in range(50)], Population()
    values: list[float] = []
    for step in range(40_000):
        profile = profiles[rng.randrange(50)]
        observation = usual(0, rng, event_time_ms=START_MS + step * 2 * 60_000, hour=24 * rng.random())
        scored = score(profile, population, observation)
        learn(profile, population, observation, scored)
        values.append(scored.value)
    share = sum(value > 0.99 for value in values[30_000:]) / len(values[30_000:])
    assert 0.007 <= share <= 0.015


def test_a_late_purchase_says_nothing_about_the_pace() -> None:
    profile, population, rng = settled()
    late = usual(100, rng, amount_minor=5_000)
    last_ms, burst = profile.last_ms, profile.burst
    scored = score(profile, population, late)
    learn(profile, population, late, scored)
    assert "pace" not in dict(scored.contributions)
    assert (profile.last_ms, profile.burst) == (last_ms, burst)


@given(st.lists(observations, max_size=60), observations)
@settings(deadline=None)
def test_a_score_lies_between_0_and_1_names_at_most_three_causes_and_changes_nothing(
    history: list[Observation], observation: Observation
) -> None:
    profile, population = Profile(), Population()
    for each in history:
        learn(profile, population, each, score(profile, population, each))
    before = profile.encode(), population.encode()
    scored: Score = score(profile, population, observation)
    nats = [part for _, part in scored.contributions]
    assert 0.0 <= scored.value <= 1.0
    assert len(nats) <= 3
    assert nats == sorted(nats, reverse=True)
    assert all(part >= 0.0 for part in nats)
    assert (profile.encode(), population.encode()) == before
