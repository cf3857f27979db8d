"""The report of a sweep, as `--json` prints it and as pages and summaries show it.

Money is in minor units of `TuneReport.currency`, times are epoch milliseconds, shares run from 0 to 1. A share or a
quotient is None where nothing is there to divide by. A parameter's values are texts, as in the rule file: `5`,
`500.00`, `10m`. Candidates are told by their number, their place in `TuneReport.candidates`.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from models.parameter import Kind
from streams.backtest.report import Caught, PathName, Recorded, Unlabelled


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Figures(_Part):
    """What a candidate did in a part of the recording.

    `purchases` were compared, of `amount_minor` in all; `flagged` and `blocked` of them were, as shares
    `flag_share` and `block_share`. `stopped` says what was caught by a block or a flag, `only_blocked` by a block
    alone, both over the purchases whose label counts. `cost_minor` is the amount of the good purchases stopped.
    """

    purchases: int
    amount_minor: int
    flagged: int
    blocked: int
    flag_share: float | None
    block_share: float | None
    stopped: Caught
    only_blocked: Caught
    cost_minor: int


class Change(_Part):
    """A parameter with another value than the file's."""

    param: str
    present: str
    value: str


class CandidateReport(_Part):
    """Values that were tried: `changes` from those in the file (none: the file as it is), and the version that they
    make of the ruleset. `figures` are of the part to choose on, `held_out` of the part held out, None without one.
    """

    version: str
    changes: list[Change]
    figures: Figures
    held_out: Figures | None


class Point(_Part):
    """A value of a parameter, the others as in the file, and the candidate that has it."""

    value: str
    candidate: int


class Curve(_Part):
    """A parameter swept alone, by size of its values; texts as they stand in `try`."""

    param: str
    description: str
    kind: Kind
    present: str
    points: list[Point]


class Grid(_Part):
    """Two parameters swept together: `candidates` has a row for each value of the first, a column for the second."""

    first: str
    second: str
    first_values: list[str]
    second_values: list[str]
    candidates: list[list[int]]


class Labels(_Part):
    """Which purchases count; see `streams.backtest.report.Labels`, which counts them in the same way."""

    maturity_d: float
    mature_until_ms: int
    unlabelled_as: Unlabelled
    fraud: int
    genuine: int
    unlabelled: int
    too_young: int
    too_young_labelled: int


class Holdout(_Part):
    """How the recording is split: candidates are chosen on the purchases before `split_ms`, the others are held out.

    `share` was asked for: the part of the purchases that count to hold out. `fraud` of those held out are.
    """

    share: float
    split_ms: int
    fraud: int


class Budget(_Part):
    """What the best candidate may cost; None where there is no limit.

    Of all purchases flagged at most, and blocked at most, as shares, and the amount of good ones stopped at most.
    """

    max_flag_share: float | None
    max_block_share: float | None
    max_cost_minor: int | None


class TuneReport(_Part):
    """What candidates of a rule file did with a recording.

    The first candidate is the file as it is. `front` are those that no other beats: none stops as much fraud with
    fewer good purchases stopped, or more fraud with no more of them; from the fewest good purchases stopped on.
    `best` stops the most fraud within the budget, then costs the least, then changes the fewest parameters; where
    none is within, it is None and `nearest` comes nearest. Without a budget both are None. `patch` is a unified diff
    that makes the file the best one, None where that is the file as it is. Chosen is by the figures of the part
    before the holdout.
    """

    recording: Recorded
    ruleset: str
    version: str
    file: str
    currency: str
    time_zone: str
    path: PathName
    rows_because: str | None
    labels: Labels
    holdout: Holdout | None
    candidates: list[CandidateReport]
    curves: list[Curve]
    grids: list[Grid]
    front: list[int]
    budget: Budget | None
    best: int | None
    nearest: int | None
    patch: str | None
    notes: list[str]
    elapsed_s: float
