"""Which topics are recorded, and how each of them is."""

from __future__ import annotations

from typing import Final

from streams import topics

# What comes in, and what lies on the way.
INPUTS: Final = (
    topics.PURCHASES,
    topics.ACCOUNTS,
    topics.REPAYMENTS,
    topics.LABELS,
    topics.SIGHTINGS,
    topics.ASSESSMENTS,
)
# What follows from it; decisions.blocked and decisions.flagged are copies.
RESULTS: Final = (
    topics.DECISIONS,
    topics.DEAD_LETTERS,
    topics.RULESETS,
    topics.SIGHTINGS_STATE,
    topics.ASSESSMENTS_STATE,
)
RECORDED: Final = (*INPUTS, *RESULTS)
CHANGELOGS: Final = tuple(topics.STATE_OF.values())
# In these, offsets may be missing: a later record of a key takes the place of the earlier.
COMPACTED: Final = frozenset({topics.RULESETS, *CHANGELOGS})
