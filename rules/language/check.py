"""Checking the text of a rule file: every error, or the linter's warnings."""

from __future__ import annotations

from typing import NamedTuple

from rules.language.cases import Case
from rules.language.compile import CompiledRuleset, check_rule_file, compile_checked
from rules.language.diagnostics import Diagnostic, RulesetError
from rules.language.lint import lint


class CheckResult(NamedTuple):
    """What was found; `compiled` is None where there are errors."""

    diagnostics: tuple[Diagnostic, ...]
    compiled: CompiledRuleset | None
    cases: tuple[Case, ...] = ()


def check_text(source: str, filename: str) -> CheckResult:
    """Check a rule file's text."""
    try:
        checked = check_rule_file(source, filename)
    except RulesetError as error:
        return CheckResult(error.diagnostics, None)
    return CheckResult(tuple(lint(checked)), compile_checked(checked), checked.cases)
