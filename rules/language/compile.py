"""From a rule file to the function that judges purchases."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Final, NamedTuple

import orjson

from models.decision import Action, Reason
from models.money import CURRENCY_DECIMALS
from models.parameter import ParamValue
from models.purchase_fields import PurchaseFields
from models.ruleset import RulesetDocument
from rules.approval_text import ApprovalText, approval_text
from rules.calendar import PeriodClock, period_clock
from rules.clearing import Clearer, clearers_of
from rules.language.cases import Case, read_cases
from rules.language.codegen import Matches, compile_matches
from rules.language.diagnostics import Diagnostic, ExpressionError, RulesetError
from rules.language.document import RuleFile, read_rule_file
from rules.language.explain import Explainer
from rules.language.facts import Facts
from rules.language.params import asked_in, content_of, overridden, refused_tries
from rules.language.parser import parse_expression
from rules.language.planning import plan_of
from rules.language.syntax import Expression
from rules.language.typecheck import Checker
from rules.language.typed import Condition
from rules.plan import RulesetPlan

_VERSION_CHARS: Final = 16
# What each effect of a rule comes to.
_ACTIONS: Final = {"allow": Action.APPROVE, "flag": Action.FLAG, "block": Action.BLOCK}
# Where the currency itself is wrong: no more is said about the decimals of amounts.
_UNKNOWN_DECIMALS: Final = 4


class Verdict(NamedTuple):
    """What the rules say: the action, whether a final block gave it, and the rules that matched, in file order."""

    action: Action
    final: bool
    reasons: list[Reason]
    shadow: list[Reason]


class _Rule(NamedTuple):
    """What is said of a purchase that a rule matches."""

    id: str
    code: str
    action: Action
    final: bool
    in_shadow: bool
    explainer: Explainer


@dataclass(frozen=True)
class CompiledRuleset:
    """A ruleset ready to judge. `version` is a hash of its content: comments and layout do not change it."""

    id: str
    version: str
    document: RulesetDocument
    plan: RulesetPlan
    conditions: tuple[Condition, ...]
    # Which rules match.
    hits: Matches = field(repr=False)
    clock: PeriodClock = field(repr=False)

    @cached_property
    def approval_text(self) -> ApprovalText:
        """The text of a plain approval, for a purchase and the values of the plan's features."""
        return approval_text(self.id, self.version, self.plan.feature_names)

    def evaluate(
        self,
        purchase: PurchaseFields,
        amount_minor: int,
        values: Sequence[int | None],
        clears: Sequence[Sequence[int | None]],
        anomaly: float | None,
        available_minor: int | None,
        limit_minor: int | None,
    ) -> Verdict:
        """Judge a purchase by the values of the plan's features, in its order; money in the ruleset's currency."""
        hits = self.hits(purchase, amount_minor, values, anomaly, available_minor, limit_minor)
        facts = Facts(purchase, amount_minor, values, clears, anomaly, available_minor, limit_minor, self.clock)
        return self.verdict(hits, facts)

    @cached_property
    def desk_clearers(self) -> tuple[tuple[int, Clearer], ...]:
        """For each feature that is kept with the account: the place of its entity, and what tells when it clears."""
        return tuple(
            (number, clearer) for number, entity in enumerate(self.plan.desk) for clearer in clearers_of(entity)
        )

    @cached_property
    def _rules(self) -> list[_Rule]:
        return [
            _Rule(
                rule.id, rule.code, _ACTIONS[rule.then], rule.final, rule.mode == "shadow",
                Explainer(condition, self.plan),
            )
            for rule, condition in zip(self.document.rules, self.conditions, strict=True)
        ]  # fmt: skip

    def verdict(self, hits: int, facts: Facts) -> Verdict:
        """The verdict where the rules in `hits` (a bit each, in file order) matched."""
        reasons: list[Reason] = []
        shadow: list[Reason] = []
        said: set[Action] = set()
        final = False
        while hits:
            lowest = hits & -hits
            hits ^= lowest
            rule_id, code, action, is_final, in_shadow, explainer = self._rules[lowest.bit_length() - 1]
            reason = Reason(rule_id, code, action, *explainer.why(facts))
            if in_shadow:
                shadow.append(reason)
                continue
            reasons.append(reason)
            said.add(action)
            final = final or is_final
        return Verdict(_action(said, final=final), final, reasons, shadow)


def _action(said: set[Action], *, final: bool) -> Action:
    if final:
        return Action.BLOCK
    if Action.APPROVE in said:
        return Action.APPROVE
    if Action.BLOCK in said:
        return Action.BLOCK
    return Action.FLAG if Action.FLAG in said else Action.APPROVE


class CheckedFile(NamedTuple):
    """A rule file without errors: its conditions typed, as they were written too, and the lists that they ask."""

    rule_file: RuleFile
    document: RulesetDocument
    written: tuple[Expression, ...]
    conditions: tuple[Condition, ...]
    used_lists: set[str]
    cases: tuple[Case, ...]


def check_rule_file(source: str, filename: str, params: Mapping[str, ParamValue] | None = None) -> CheckedFile:
    """Read a rule file, type every condition and read every case. Raises RulesetError with every error found.

    `params` gives values for some of the parameters instead of those in the file.
    """
    rule_file = overridden(read_rule_file(source, filename), params or {})
    conditions = _Conditions(rule_file)
    cases, problems = read_cases(rule_file)
    errors = [*rule_file.problems, *conditions.errors]
    if not errors:
        errors += refused_tries(rule_file, conditions.typed)
    errors += problems
    if errors or rule_file.document is None:
        raise RulesetError(sorted(errors, key=lambda error: (error.line, error.column)))
    return CheckedFile(
        rule_file,
        rule_file.document,
        tuple(conditions.written),
        tuple(conditions.meant),
        conditions.used_lists,
        cases,
    )


class _Conditions:
    """The conditions of a rule file, typed, with the errors that are in them."""

    def __init__(self, rule_file: RuleFile) -> None:
        currency = rule_file.content.get("currency", "CNY")
        known = CURRENCY_DECIMALS.get(currency) if isinstance(currency, str) else None
        self._decimals = known if known is not None else _UNKNOWN_DECIMALS
        self._lists = rule_file.lists()
        self.used_lists: set[str] = set()
        self.written: list[Expression] = []
        self.meant: list[Condition] = []
        self.errors = list(self._read(rule_file))

    def typed(self, when: str, values: Mapping[str, ParamValue]) -> tuple[Expression, Condition]:
        """A condition as it was written and as it is meant. Raises ExpressionError."""
        written = parse_expression(when, values)
        return written, Checker(when, self._decimals, self._lists, self.used_lists, values).condition(written)

    def _read(self, rule_file: RuleFile) -> Iterator[Diagnostic]:
        params = rule_file.params()
        values = {name: param.value for name, param in params.items() if param is not None}
        for index, when in rule_file.conditions():
            if asked_in(when) & (params.keys() - values.keys()):
                # What is wrong is said at the parameter.
                continue
            try:
                written, meant = self.typed(when, values)
            except ExpressionError as error:
                yield rule_file.rule_diagnostic("error", error.message, index, "when", error.span, error.suggestion)
                continue
            self.written.append(written)
            self.meant.append(meant)


def compile_ruleset(
    source: str, filename: str = "<rules>", params: Mapping[str, ParamValue] | None = None
) -> CompiledRuleset:
    """Compile the text of a rule file. Raises RulesetError, whose text shows every error with its place.

    `params` gives values for some of the parameters instead of those in the file.
    """
    return compile_checked(check_rule_file(source, filename, params))


def compile_checked(checked: CheckedFile) -> CompiledRuleset:
    """Compile a rule file that was checked."""
    return _compiled(checked.document, checked.conditions, _version(checked.document))


def part_of(ruleset: CompiledRuleset, wanted: Callable[[Condition], bool]) -> CompiledRuleset:
    """The rules of a ruleset whose conditions are wanted, maybe none, under the id and version of the whole.

    Its plan asks for no more than they do.
    """
    rules = [
        (rule, condition)
        for rule, condition in zip(ruleset.document.rules, ruleset.conditions, strict=True)
        if wanted(condition)
    ]
    document = ruleset.document.model_copy(update={"rules": [rule for rule, _ in rules]})
    return _compiled(document, tuple(condition for _, condition in rules), ruleset.version)


def _compiled(document: RulesetDocument, conditions: tuple[Condition, ...], version: str) -> CompiledRuleset:
    plan = plan_of(document, conditions)
    slots = {name: slot for slot, name in enumerate(plan.feature_names)}
    clock = period_clock(document.time_zone)
    return CompiledRuleset(
        id=document.ruleset,
        version=version,
        document=document,
        plan=plan,
        conditions=conditions,
        hits=compile_matches(conditions, slots, clock),
        clock=clock,
    )


def _version(document: RulesetDocument) -> str:
    content = document.model_dump(mode="json", exclude={"params", "cases", "reservations"})
    if document.reservations is not None:
        content["reservations"] = document.reservations.model_dump(mode="json")
    if document.params:
        content["params"] = content_of(document.params)
    return sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()[:_VERSION_CHARS]
