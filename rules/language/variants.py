"""One rule file under many values of its parameters: only what asks for a changed one is typed anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from models.money import CURRENCY_DECIMALS
from models.parameter import ParamValue
from rules.language.compile import CompiledRuleset, check_rule_file, compile_checked
from rules.language.diagnostics import ExpressionError, RulesetError
from rules.language.params import asked_in, overridden
from rules.language.parser import parse_expression
from rules.language.syntax import Expression
from rules.language.typecheck import Checker
from rules.language.typed import Condition

# A rule's number, and the values of the parameters that it asks for.
_Asked = tuple[int, tuple[tuple[str, ParamValue], ...]]


class Variants:
    """A rule file that was checked once."""

    def __init__(self, source: str, filename: str = "<rules>") -> None:
        """Raises RulesetError with every error of the file."""
        self._checked: Final = check_rule_file(source, filename)
        self._asks = [asked_in(when) for _, when in self._checked.rule_file.conditions()]
        self._typed: dict[_Asked, tuple[Expression, Condition]] = {}

    @property
    def as_written(self) -> CompiledRuleset:
        """The ruleset with the values of the file."""
        return self.of({})

    def of(self, values: Mapping[str, ParamValue]) -> CompiledRuleset:
        """The ruleset with these values in place of the file's: what `compile_ruleset` makes of them.

        Raises RulesetError for a name that is no parameter, a value of another kind, and a condition that makes no
        sense with these values together.
        """
        checked = self._checked
        rule_file = overridden(checked.rule_file, values)
        document = rule_file.document
        assert document is not None, "it was checked"
        written, meant = list(checked.written), list(checked.conditions)
        current = {name: param.value for name, param in document.params.items()}
        for number, asks in enumerate(self._asks):
            if asks & values.keys():
                written[number], meant[number] = self._condition(number, asks, current)
        return compile_checked(
            checked._replace(rule_file=rule_file, document=document, written=tuple(written), conditions=tuple(meant))
        )

    def _condition(self, number: int, asks: set[str], values: Mapping[str, ParamValue]) -> tuple[Expression, Condition]:
        key = number, tuple((name, values[name]) for name in sorted(asks))
        if key not in self._typed:
            self._typed[key] = self._type(number, values)
        return self._typed[key]

    def _type(self, number: int, values: Mapping[str, ParamValue]) -> tuple[Expression, Condition]:
        document, rule_file = self._checked.document, self._checked.rule_file
        when = document.rules[number].when
        try:
            expression = parse_expression(when, values)
            decimals = CURRENCY_DECIMALS[document.currency]
            return expression, Checker(when, decimals, document.lists, set(), values).condition(expression)
        except ExpressionError as error:
            problem = rule_file.rule_diagnostic("error", error.message, number, "when", error.span, error.suggestion)
            raise RulesetError([problem]) from error
