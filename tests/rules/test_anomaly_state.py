"""The state of the anomaly score: bounded, and the same bytes however it was restarted."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rules.anomaly import AnomalyStateError, Observation, Population, Profile, learn, score
from rules.anomaly.histogram import Histogram
from rules.anomaly.population import SURPRISE_BINS, SURPRISE_MAX, surprise_position
from rules.anomaly.profile import PROFILE_BYTES_MAX
from tests.rules.test_anomaly import START_MS, observations

many_values = st.builds(
    Observation,
    st.integers(START_MS, START_MS + 10**9),
    st.integers(1, 10**15),
    st.floats(0, 24, exclude_max=True),
    st.uuids().map(str),
    st.integers(0, 9999).map("{:04}".format),
    st.text("ABCDEFGH", min_size=2, max_size=2),
    st.uuids().map(str),
)


@given(st.lists(observations, max_size=80), st.data())
@settings(deadline=None)
def test_a_state_restored_at_any_moment_goes_on_byte_for_byte(stream: list[Observation], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(stream)))
    kept, kept_population = Profile(), Population()
    restored, restored_population = Profile(), Population()
    for index, observation in enumerate(stream):
        if index == cut:
            restored = Profile.decode(restored.encode())
            restored_population = Population.decode(restored_population.encode())
        one = score(kept, kept_population, observation)
        other = score(restored, restored_population, observation)
        assert one == other
        learn(kept, kept_population, observation, one)
        learn(restored, restored_population, observation, other)
    assert kept.encode() == restored.encode()
    assert kept_population.encode() == restored_population.encode()


@given(st.lists(many_values, max_size=150))
@settings(deadline=None, max_examples=30)
def test_a_state_is_bounded_and_reads_back_as_its_own_bytes(stream: list[Observation]) -> None:
    profile, population = Profile(), Population()
    for observation in stream:
        learn(profile, population, observation, score(profile, population, observation))
    assert len(profile.encode()) <= PROFILE_BYTES_MAX
    assert len(population.encode()) <= 5 * 1024
    assert Profile.decode(profile.encode()).encode() == profile.encode()
    assert Population.decode(population.encode()).encode() == population.encode()


@given(st.binary(max_size=400), st.integers(0, 300))
def test_bytes_that_are_no_state_are_refused(noise: bytes, length: int) -> None:
    for kind in (Profile, Population):
        whole = kind().encode()
        with pytest.raises(AnomalyStateError):
            kind.decode(whole[: min(length, len(whole) - 1)])
        with pytest.raises(AnomalyStateError):
            kind.decode(whole + b"\0")
        with pytest.raises(AnomalyStateError):
            kind.decode(b"\xff" + noise)


@given(st.lists(st.floats(0, 9.99), max_size=200), st.floats(0, 9.99))
def test_a_histogram_counts_what_lies_above_to_within_a_bin(seen: list[float], position: float) -> None:
    histogram = Histogram(10)
    for each in seen:
        histogram.learn(int(each))
    surely = sum(int(each) > int(position) for each in seen)
    perhaps = sum(int(each) == int(position) for each in seen)
    assert surely - 1e-9 <= histogram.above(position) <= surely + perhaps + 1e-9


@given(st.lists(st.integers(0, 9), max_size=300))
def test_a_histogram_that_forgets_keeps_its_shape(seen: list[int]) -> None:
    whole, fading = Histogram(10), Histogram(10)
    for each in seen:
        whole.learn(each)
        fading.learn(each)
    fading.fade()
    assert fading.total == len(seen) // 2
    for position in range(10):
        assert abs(2 * fading.above(position) - whole.above(position)) <= 2


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_a_greater_surprise_never_lies_lower(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert 0 <= surprise_position(low) <= surprise_position(high) < SURPRISE_BINS
    assert surprise_position(SURPRISE_MAX) == SURPRISE_BINS - 1
