"""Which topics are recorded, and how each of them is."""

from __future__ import annotations

from typing import Final

from streams import topics

# What comes in, and what lies on the way. Inquiries are not among it: they move nothing, and are gone in an hour.
INPUTS: Final = (
    topics.PURCHASES,
    topics.ACCOUNTS,
    topics.REPAYMENTS,
    topics.LABELS,
    topics.SETTLEMENTS,
    topics.DEGRADED,
    topics.SIGHTINGS,
    topics.ASSESSMENTS,
)
# What desks write, on the account that it is about.
FROM_DESKS: Final = (topics.DECISIONS, topics.SETTLEMENT_RESULTS, topics.RECONCILIATIONS)
# What follows from the inputs; decisions.blocked, decisions.flagged and replies are copies.
RESULTS: Final = (
    *FROM_DESKS,
    topics.DEAD_LETTERS,
    topics.RULESETS,
    topics.SIGHTINGS_STATE,
    topics.ASSESSMENTS_STATE,
)
RECORDED: Final = (*INPUTS, *RESULTS)
# Recordings that were begun before there were gateways have none of these; all have the others.
ADDED: Final = frozenset({topics.SETTLEMENTS, topics.DEGRADED, topics.SETTLEMENT_RESULTS, topics.RECONCILIATIONS})
CHANGELOGS: Final = tuple(topics.STATE_OF.values())
# In these, offsets may be missing: a later record of a key takes the place of the earlier.
COMPACTED: Final = frozenset({topics.RULESETS, *CHANGELOGS})
