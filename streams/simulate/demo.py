"""The demo's recording: an afternoon of purchases, small enough to ship."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from streams.simulate.config import SimulationConfig
from streams.simulate.event_file import write_events
from streams.simulate.simulation import simulate

DEMO_RECORDING: Final = Path("examples/recordings/demo.jsonl.gz")
DEMO: Final = SimulationConfig(
    seed=7,
    accounts=1_500,
    purchases=12_000,
    # 2026-03-02T06:00:00Z, a Monday, two in the afternoon in Shanghai.
    start_ms=1_772_431_200_000,
    duration_s=6 * 3600,
    # The demo's rules ask for no fraud.
    whole_labels=False,
)


def write_demo(path: Path = DEMO_RECORDING) -> None:
    """Make the demo's recording anew. Raises OSError."""
    write_events(simulate(DEMO).events, path)


if __name__ == "__main__":
    write_demo()
