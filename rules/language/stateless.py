"""Rules that need no state: what they ask is in the purchase itself, in lists and parameters, or is the time of day."""

from __future__ import annotations

from typing import Final

from rules.language.compile import CompiledRuleset, part_of
from rules.language.planning import values_of
from rules.language.typed import Condition, FieldValue, Measured

# Fields that are not the purchase's but its account's.
_KEPT: Final = frozenset({"anomaly", "available_credit", "credit_limit"})


def needs_state(condition: Condition) -> bool:
    """Whether a condition asks for anything that is kept, even if only whether it is missing."""
    return any(
        isinstance(value, Measured) or (isinstance(value, FieldValue) and value.name in _KEPT)
        for value in values_of(condition)
    )


def stateless_part(ruleset: CompiledRuleset) -> CompiledRuleset:
    """The rules of a ruleset that need no state, maybe none, under the id and version of the whole."""
    return part_of(ruleset, lambda condition: not needs_state(condition))
