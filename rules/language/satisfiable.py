"""Whether a condition can be true, and whether it can be false: told of rules before any purchase comes.

A search over cases (an analytic tableau): a condition is taken apart into what must hold together, `or` into
cases, and each case narrows what its values can be until nothing is left. It errs on one side: what it calls
impossible is impossible, what it calls possible may not be.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import Final

from rules.language.assumptions import Assumptions
from rules.language.domains import Domains
from rules.language.planning import values_of
from rules.language.typed import All, Computed, Condition, Either, IsMissing, Negated, Value

# How many cases are looked at before a condition is taken to be possible.
_MAX_CASES: Final = 256

_Claim = tuple[Condition, bool]


class Fate(Enum):
    """What is known of a condition before any purchase comes."""

    NEVER = "never true"
    ALWAYS = "never false"
    DEPENDS = "depends"


def fate_of(condition: Condition, domains: Domains) -> Fate:
    """The fate of a condition: what is always true may still be unknown where a value is missing."""
    if not possible([(condition, True)], domains):
        return Fate.NEVER
    assumed = Assumptions(domains)
    # Never false because never all known, as where an attribute is asked for as a text and as a number: that says
    # nothing.
    can_be_known = all(assumed.know(value) for value in asked_of(condition))
    return Fate.ALWAYS if can_be_known and not possible([(condition, False)], domains) else Fate.DEPENDS


def asked_of(condition: Condition) -> Iterator[Value]:
    """The values without which a condition, or a part of it, is unknown."""
    if isinstance(condition, Negated):
        yield from asked_of(condition.operand)
    elif isinstance(condition, All | Either):
        for operand in condition.operands:
            yield from asked_of(operand)
    elif not isinstance(condition, IsMissing):
        yield from (value for value in values_of(condition) if not isinstance(value, Computed))


def possible(claims: list[_Claim], domains: Domains) -> bool:
    """Whether conditions can have the truth values claimed of them, all at once."""
    return _Search().case(list(claims), [], Assumptions(domains))


class _Search:
    def __init__(self) -> None:
        self._cases = 0

    def case(self, claims: list[_Claim], choices: list[list[_Claim]], assumed: Assumptions) -> bool:
        """Whether one of the cases in which all claims hold, and one of each choice, is possible."""
        self._cases += 1
        if self._cases > _MAX_CASES:
            return True
        while claims:
            condition, holds = claims.pop()
            if isinstance(condition, Negated):
                claims.append((condition.operand, not holds))
            elif isinstance(condition, All | Either):
                parts = [(operand, holds) for operand in condition.operands]
                if isinstance(condition, All) is holds:
                    claims += parts
                else:
                    choices = [*choices, parts]
            elif not assumed.take(condition, holds=holds):
                return False
        if not choices:
            return True
        first, rest = choices[0], choices[1:]
        return any(self.case([claim], rest, assumed.copy()) for claim in first)
