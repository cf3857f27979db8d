"""What is known of each purchase: whether its label counts, and how."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rules.columns.table import Ints

_NONE: Final = 0


class Known(IntEnum):
    """What a label says of a purchase, if it is old enough for that to be the last word."""

    UNLABELLED = 0
    GENUINE = 1
    FRAUD = 2
    TOO_YOUNG = 3
    TOO_YOUNG_LABELLED = 4


def known_of(verdicts: NDArray[np.int8], event_time_ms: Ints, mature_until_ms: int) -> NDArray[np.intp]:
    """The `Known` of each purchase; verdicts are 0 none, 1 genuine, 2 fraud."""
    young = np.where(verdicts == _NONE, int(Known.TOO_YOUNG), int(Known.TOO_YOUNG_LABELLED))
    return np.where(event_time_ms > mature_until_ms, young, verdicts).astype(np.intp)
