"""How busy a process is, by clocks that a test moves."""

from __future__ import annotations

import pytest

from streams.engine.load import Load


class Clocks:
    """Two clocks, seconds."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.used_s = 7.0

    def load(self) -> Load:
        return Load(lambda: self.now_s, lambda: self.used_s)

    def passes(self, elapsed_s: float, share: float) -> None:
        self.now_s += elapsed_s
        self.used_s += elapsed_s * share


@pytest.mark.parametrize(("share", "pressure"), [(0.0, 0.0), (0.5, 0.0), (0.65, 0.5), (0.8, 1.0), (1.0, 1.0)])
def test_pressure_rises_with_the_share_of_the_processor(share: float, pressure: float) -> None:
    clocks = Clocks()
    load = clocks.load()
    clocks.passes(0.1, share)
    assert load.pressure() == pytest.approx(pressure)


def test_a_process_that_has_just_begun_is_not_under_pressure() -> None:
    clocks = Clocks()
    load = clocks.load()
    clocks.passes(0.01, 1.0)
    assert load.pressure() == 0.0


def test_what_counts_is_of_late_not_since_the_beginning() -> None:
    clocks = Clocks()
    load = clocks.load()
    clocks.passes(60.0, 0.0)
    assert load.pressure() == 0.0
    clocks.passes(0.1, 1.0)
    assert load.pressure() == 1.0
    clocks.passes(0.1, 0.0)
    assert load.pressure() == 0.0
