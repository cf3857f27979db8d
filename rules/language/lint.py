"""The linter: what a rule file can be published with, though it is hardly what was meant."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Final

from models.ruleset import MAX_ROWS, RuleDocument
from rules.language import syntax
from rules.language.assumptions import key_of
from rules.language.compile import CheckedFile
from rules.language.diagnostics import Diagnostic
from rules.language.domains import Domains, buyer_controls, domains_of, is_evidence
from rules.language.lint_truth import Finding, TruthLinter, leaves_of
from rules.language.params import asked_in
from rules.language.parser import duration_ms
from rules.language.planning import values_of
from rules.language.satisfiable import Fate, fate_of
from rules.language.syntax import Expression, Span
from rules.language.typed import (
    All,
    Compare,
    Condition,
    Const,
    Either,
    IsIn,
    IsMissing,
    IsTrue,
    Measured,
    Negated,
)
from rules.plan import Aggregate

# By precedence: what comes first decides, whatever else matches.
_RANK: Final = ("final block", "allow", "block", "flag")


def lint(checked: CheckedFile) -> list[Diagnostic]:
    """The warnings about a rule file without errors, in the order of the text."""
    document, domains = checked.document, domains_of(checked.document)
    warnings = [*_unused_lists(checked), *_unused_params(checked), *_early_expiry(checked)]
    warnings += [*_odd_members(checked, domains), *_repeated_conditions(checked)]
    for index, rule in enumerate(document.rules):
        node, condition = checked.written[index], checked.conditions[index]
        findings = [
            *TruthLinter(rule.when, domains).findings(node, condition),
            *_odd_literals(node, condition, domains),
            *_beyond_the_cap(node, condition, document.max_rows),
            *_open_door(rule, condition),
        ]
        warnings += [
            checked.rule_file.rule_diagnostic(
                "warning", finding.message, index, "when", finding.span, finding.suggestion
            )
            for finding in findings
        ]
    return sorted(warnings, key=lambda warning: (warning.line, warning.column))


def _unused_lists(checked: CheckedFile) -> Iterator[Diagnostic]:
    for name in checked.document.lists:
        if name not in checked.used_lists:
            message = f"no rule uses the list `{name}`"
            yield checked.rule_file.part_diagnostic(
                "warning", message, ["lists", name], "take it out, or ask `in @…`", at_key=True
            )


def _unused_params(checked: CheckedFile) -> Iterator[Diagnostic]:
    asked = {name for rule in checked.document.rules for name in asked_in(rule.when)}
    for name in checked.document.params:
        if name not in asked:
            yield checked.rule_file.part_diagnostic(
                "warning",
                f"no rule asks for the parameter `{name}`",
                ["params", name],
                f"take it out, or ask for `${name}`",
                at_key=True,
            )


def _early_expiry(checked: CheckedFile) -> Iterator[Diagnostic]:
    """Reservations that may expire before their purchase, which was late, is even decided."""
    document = checked.document
    if document.reservations is None:
        return
    expire_after = document.reservations.expire_after
    if duration_ms(expire_after) < duration_ms(document.allowed_lateness):
        yield checked.rule_file.part_diagnostic(
            "warning",
            f"a purchase may be {document.allowed_lateness} late, and its reservation expires as it is decided",
            ["reservations", "expire_after"],
            "make it longer than `allowed_lateness`",
            at_key=False,
        )


def _odd_members(checked: CheckedFile, domains: Domains) -> Iterator[Diagnostic]:
    """Members of the ruleset's lists that are not of the form of what is looked for among them."""
    said: set[tuple[str, int]] = set()
    for node, condition in _memberships(checked):
        if not isinstance(node.members, syntax.ListName):
            continue
        name = node.members.name
        for place, member in enumerate(checked.document.lists[name]):
            if (name, place) not in said and not _fits(condition, str(member), domains):
                said.add((name, place))
                message = f"`{condition.item.text}` is never {str(member)!r}"
                legend = domains.legend(condition.item)
                yield checked.rule_file.part_diagnostic(
                    "warning", message, ["lists", name, place], legend, at_key=False
                )


def _memberships(checked: CheckedFile) -> Iterator[tuple[syntax.Membership, IsIn]]:
    for written, condition in zip(checked.written, checked.conditions, strict=True):
        for node, leaf in leaves_of(written, condition):
            if isinstance(node, syntax.Membership) and isinstance(leaf, IsIn):
                yield node, leaf


def _fits(condition: IsIn, member: str, domains: Domains) -> bool:
    return member not in condition.members or domains.admits(condition.item, member)


def _odd_literals(node: Expression, condition: Condition, domains: Domains) -> Iterator[Finding]:
    """The same of lists that are written out, unless nothing in them fits, which is said already."""
    for written, leaf in leaves_of(node, condition):
        if not (isinstance(written, syntax.Membership) and isinstance(leaf, IsIn)):
            continue
        if isinstance(written.members, syntax.ListName) or fate_of(leaf, domains) is not Fate.DEPENDS:
            continue
        for literal in written.members.items:
            if isinstance(literal, syntax.Text) and not _fits(leaf, literal.value, domains):
                message = f"`{leaf.item.text}` is never {literal.value!r}"
                yield Finding(literal.span, message, domains.legend(leaf.item))


def _beyond_the_cap(node: Expression, condition: Condition, max_rows: int) -> Iterator[Finding]:
    """Counts compared with more than a window log holds singly."""
    for written, leaf in leaves_of(node, condition):
        if not (isinstance(leaf, Compare) and isinstance(leaf.left, Measured) and isinstance(leaf.right, Const)):
            continue
        threshold, aggregate = leaf.right.value, leaf.left.feature.aggregate
        if aggregate not in (Aggregate.COUNT, Aggregate.DISTINCT) or isinstance(threshold, str):
            continue
        if threshold < max_rows:
            continue
        advice = f"set `max_rows` above it, up to {MAX_ROWS}" if threshold < MAX_ROWS else "take a shorter window"
        kept = f"`max_rows` is {max_rows}: of an entity with more purchases the old ones are merged"
        if aggregate is Aggregate.COUNT:
            message = f"{kept}, and a count may be over by those at the window's edge"
        else:
            message = f"{kept}, and not all different values are counted"
        yield Finding(written.span, message, advice)


def _open_door(rule: RuleDocument, condition: Condition) -> Iterator[Finding]:
    """An `allow` that a fraudster can bring about."""
    if rule.then != "allow":
        return
    values = list(values_of(condition))
    chosen = [value for value in values if buyer_controls(value)]
    if chosen and not any(is_evidence(value) for value in values):
        names = ", ".join(dict.fromkeys(f"`{value.text}`" for value in chosen))
        yield Finding(
            Span(0, len(rule.when)),
            f"this allows whoever sends the right values: the buyer's side controls {names}",
            "ask for something of the account as well, like `age(account_id) > 30d`",
        )


def _repeated_conditions(checked: CheckedFile) -> Iterator[Diagnostic]:
    """Rules with the condition of an earlier one, where one of the two decides nothing."""
    earlier: dict[Hashable, list[RuleDocument]] = {}
    for index, rule in enumerate(checked.document.rules):
        same = earlier.setdefault(_meaning(checked.conditions[index]), [])
        message = next((said for other in same if (said := _said_of_pair(other, rule))), None)
        if message is not None:
            yield checked.rule_file.rule_diagnostic(
                "warning", message, index, "when", Span(0, len(rule.when)), "leave one of the two out"
            )
        same.append(rule)


def _said_of_pair(first: RuleDocument, second: RuleDocument) -> str | None:
    if first.mode != second.mode:
        return None
    one, other = _rank(first), _rank(second)
    if one == other:
        return f"rule `{first.id}` has the same condition and the same effect"
    if first.mode == "shadow":
        return None
    stronger, weaker = (first, second) if one < other else (second, first)
    return f"`{first.id}` has the same condition: where both match, `{stronger.id}` decides, and `{weaker.id}` nothing"


def _rank(rule: RuleDocument) -> int:
    return _RANK.index("final block" if rule.final else rule.then)


def _meaning(condition: Condition) -> Hashable:
    """What two conditions have in common that say the same; the order of `and` and `or` does not matter."""
    if isinstance(condition, Compare):
        return ("compare", condition.op, key_of(condition.left), key_of(condition.right))
    if isinstance(condition, IsIn):
        return ("in", key_of(condition.item), condition.members, condition.negated)
    if isinstance(condition, IsMissing | IsTrue):
        return (type(condition).__name__, key_of(condition.value))
    if isinstance(condition, Negated):
        return ("not", _meaning(condition.operand))
    assert isinstance(condition, All | Either)
    return (type(condition).__name__, frozenset(_meaning(operand) for operand in condition.operands))
