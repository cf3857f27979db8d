"""What a benchmark runs on, and which of its cores each process may use."""

from __future__ import annotations

import os
import platform
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

# One for the measured process, one for the load, two for the broker.
CORES_TO_PLACE: Final = 4

Cores = frozenset[int]


class Placement(NamedTuple):
    """The cores of each; `measured` is for one process at a time: a worker, or what it is compared with."""

    broker: Cores
    load: Cores
    measured: Cores
    said: str


def place(cores: Iterable[int], pin: bool) -> Placement:
    """A core for what is measured, one for the load and the rest for the broker, where that leaves it two at least."""
    free = sorted(cores)
    everywhere = frozenset(free)
    if not pin:
        return Placement(everywhere, everywhere, everywhere, "no process is pinned, as asked")
    if len(free) < CORES_TO_PLACE:
        said = f"no process is pinned: broker, load and worker share {len(free)} cores, {CORES_TO_PLACE} are needed"
        return Placement(everywhere, everywhere, everywhere, said)
    broker, load, measured = free[:-2], free[-2], free[-1]
    said = f"broker on cores {', '.join(map(str, broker))}, load on {load}, the measured process on {measured}"
    return Placement(frozenset(broker), frozenset({load}), frozenset({measured}), said)


def usable_cores() -> Cores:
    """Those that this process may use now."""
    return frozenset(os.sched_getaffinity(0))


@contextmanager
def pinned_to(cores: Cores) -> Generator[None]:
    """Within it, this thread and the processes that it starts are on these cores alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_model() -> str:
    """The processor's name."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
