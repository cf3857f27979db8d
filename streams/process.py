"""What every long-running process of Stopbank does alike: how it ends, and how it treats Python's collector."""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

# The exit code of a process that met a fault no retry mends (sysexits.h: internal software error).
EXIT_FAULT: Final = 70
# And of one whose surroundings are not as they must be (sysexits.h: configuration error).
EXIT_CONFIG: Final = 78

# So many new objects are looked through in less than a millisecond, those that are left ten times as many in some
# milliseconds, and all that there are once in five hundred million.
_COLLECT_AFTER: Final = 10_000
_COLLECT_OLDER_AFTER: Final = 10
_COLLECT_ALL_AFTER: Final = 5_000


def spare_the_collector() -> None:
    """Let Python look for cycles less often.

    Purchases and their state make none, and there is much of it: looked through as often as by default it costs
    more than deciding does. What libraries leave is still found, once in so many new objects.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, _COLLECT_OLDER_AFTER, _COLLECT_ALL_AFTER)


@contextmanager
def collector_at_rest() -> Generator[None]:
    """Python looks for no cycles meanwhile, and never in what is there at the end: much state, and no cycles."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
