"""What a ruleset makes of purchases: the one thing that all figures of a backtest are made from."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rules.columns.evaluate import ACTIONS
from rules.columns.table import Bools, Ints

# An action's code, as columns give it.
CODE_OF: Final = {action: code for code, action in enumerate(ACTIONS)}

ActionCodes = NDArray[np.uint8]


class Judged(NamedTuple):
    """n purchases under one ruleset of r rules.

    `ok` (n) is False where it has no rate for a purchase's currency: all else about that means nothing.
    `amount_minor` (n) is in the ruleset's currency, `hits` (r, n) says which rules matched, in file order and
    shadow rules too, and `actions` (n) are the codes of what was decided.
    """

    ok: Bools
    amount_minor: Ints
    hits: Bools
    actions: ActionCodes
