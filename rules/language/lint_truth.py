"""Warnings about truth: rules that always or never match, and parts of a rule that always or never hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Final, NamedTuple

from rules.language import syntax
from rules.language.domains import Domains, never_missing
from rules.language.satisfiable import Fate, asked_of, fate_of, possible
from rules.language.syntax import Expression, Span
from rules.language.typed import All, Compare, Condition, Const, Either, IsIn, Negated

_SHOWN_CHARS: Final = 60
# Of an `and` with very many parts no two are named.
_MOST_PARTS: Final = 40


class Finding(NamedTuple):
    """A warning about a part of a condition's text."""

    span: Span
    message: str
    suggestion: str | None


class Cause(NamedTuple):
    """The smallest part that decides, and what it is."""

    span: Span
    said: str
    legend: str | None


Part = tuple[Expression, Condition]


@dataclass(frozen=True)
class TruthLinter:
    """Looks at one condition, whose text is `text`."""

    text: str
    domains: Domains

    def findings(self, node: Expression, condition: Condition) -> Iterator[Finding]:
        """The warning about a whole condition, else those about its parts."""
        fate = fate_of(condition, self.domains)
        if fate is Fate.DEPENDS:
            yield from self._parts(node, condition)
            return
        cause = self._cause((node, condition), holds=fate is Fate.NEVER)
        if fate is Fate.NEVER:
            yield Finding(cause.span, f"this rule never matches: {cause.said}", cause.legend)
        else:
            message = f"this rule always matches{_if_known(condition)}: {cause.said}"
            yield Finding(cause.span, message, cause.legend)

    def _parts(self, node: Expression, condition: Condition) -> Iterator[Finding]:
        for part, operand in parts_of(node, condition):
            fate = fate_of(operand, self.domains)
            if fate is Fate.DEPENDS:
                yield from self._parts(part, operand)
                continue
            cause = self._cause((part, operand), holds=fate is Fate.NEVER)
            advice = cause.legend or "leave it out"
            if fate is Fate.ALWAYS:
                yield Finding(part.span, f"this part is always true{_if_known(operand)}", advice)
            else:
                yield Finding(part.span, f"this part is never true: {cause.said}", advice)

    def _cause(self, part: Part, *, holds: bool) -> Cause:
        """Why a condition can't be true, or (`holds` False) can't be false."""
        node, condition = part
        if isinstance(node, syntax.Not) and isinstance(condition, Negated):
            return self._cause((node.operand, condition.operand), holds=not holds)
        parts = list(parts_of(node, condition))
        if parts and isinstance(condition, All) is holds:
            for inner in parts:
                if not possible([(inner[1], holds)], self.domains):
                    return self._cause(inner, holds=holds)
            return self._together(node, parts, holds=holds)
        said = f"`{self._shown(node.span)}` is {'never' if holds else 'always'} true"
        legends = [self._legend(leaf) for _, leaf in leaves_of(node, condition)]
        return Cause(node.span, said, next((legend for legend in legends if legend), None))

    def _legend(self, leaf: Condition) -> str | None:
        """Why a comparison with something constant is decided, in words."""
        if isinstance(leaf, IsIn):
            return self.domains.legend(leaf.item) if leaf.members else "the list is empty"
        if isinstance(leaf, Compare) and isinstance(leaf.right, Const):
            return self.domains.legend(leaf.left)
        return None

    def _together(self, node: Expression, parts: list[Part], *, holds: bool) -> Cause:
        """Two parts that exclude each other, else all of them."""
        pairs = combinations(parts, 2) if len(parts) <= _MOST_PARTS else ()
        for one, other in pairs:
            if not possible([(one[1], holds), (other[1], holds)], self.domains):
                both = f"`{self._shown(one[0].span)}` and `{self._shown(other[0].span)}`"
                said = f"{both} are never true together" if holds else f"one of {both} is always true"
                return Cause(other[0].span, said, None)
        said = "its parts are never true together" if holds else "one of its parts is always true"
        return Cause(node.span, said, None)

    def _shown(self, span: Span) -> str:
        text = " ".join(self.text[span.start : span.end].split())
        return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…"


def parts_of(node: Expression, condition: Condition) -> Iterator[Part]:
    """The operands of `and`, `or` and `not`, each as it was written and as it is meant."""
    if isinstance(node, syntax.Logic) and isinstance(condition, All | Either):
        yield from zip(node.operands, condition.operands, strict=True)
    elif isinstance(node, syntax.Not) and isinstance(condition, Negated):
        yield node.operand, condition.operand


def leaves_of(node: Expression, condition: Condition) -> Iterator[Part]:
    """The parts of a condition that have no parts, left to right."""
    parts = list(parts_of(node, condition))
    if not parts:
        yield node, condition
    for part in parts:
        yield from leaves_of(*part)


def _if_known(condition: Condition) -> str:
    names: dict[str, None] = {}
    for value in asked_of(condition):
        if not never_missing(value):
            names[value.text] = None
    if not names:
        return ""
    shown = " and ".join(f"`{name}`" for name in names) if len(names) <= 2 else "all that it asks for"
    return f" where {shown} {'is' if len(names) != 2 else 'are'} known"
