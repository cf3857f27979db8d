"""Reading a rule file: YAML to a checked document, every problem with its line and column."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from models.case import CaseAccount, CaseDocument, CasePurchase, Expectation
from models.parameter import Param, ParamEntry
from models.purchase import Instalments, Location
from models.ruleset import ReservationsDocument, RuleDocument, RulesetDocument
from rules.language.diagnostics import Diagnostic, Severity, did_you_mean
from rules.language.source import SourceText
from rules.language.syntax import Span
from rules.language.yaml_text import as_list, as_mapping, load_yaml, place_of, plain

RuleKey = Literal["id", "when", "then", "final"]
_PARAM: Final[TypeAdapter[Param]] = TypeAdapter(ParamEntry)


@dataclass(frozen=True)
class RuleFile:
    """What a text holds, with the place of each part; `document` is None where there are `problems`."""

    source: SourceText
    root: Any
    content: dict[str, Any]
    document: RulesetDocument | None
    problems: tuple[Diagnostic, ...]

    def conditions(self) -> Iterator[tuple[int, str]]:
        """The number of each rule, and its condition: of those that have one, in a document with problems too."""
        for index, rule in enumerate(as_list(self.content.get("rules"))):
            when = as_mapping(rule).get("when")
            if isinstance(when, str) and when:
                yield index, when

    def lists(self) -> dict[str, list[str | int]]:
        """The lists, as far as they are lists."""
        if self.document is not None:
            return self.document.lists
        return {
            name: [value for value in as_list(values) if isinstance(value, str | int)]
            for name, values in as_mapping(self.content.get("lists")).items()
        }

    def params(self) -> dict[str, Param | None]:
        """The parameters; None for one that can't be read, in a document with problems."""
        if self.document is not None:
            return dict(self.document.params)
        return {name: _param_of(entry) for name, entry in as_mapping(self.content.get("params")).items()}

    def line_of(self, path: list[str | int]) -> int:
        """The line of the value that a path leads to, from 1."""
        return self.part_diagnostic("error", "", path, None, at_key=False).line

    def rule_diagnostic(
        self,
        severity: Severity,
        message: str,
        index: int,
        key: RuleKey,
        span: Span,
        suggestion: str | None = None,
    ) -> Diagnostic:
        """A diagnostic on a rule's key; the span is within its value."""
        start, _ = place_of(self.source, self.root, ["rules", index, key], at_key=False)
        places = self.source.places(start, self.content["rules"][index][key])
        first = places[min(span.start, len(places) - 1)]
        last = places[min(max(span.end - 1, span.start), len(places) - 1)]
        if span.start >= len(places):
            first = last = last + 1
        return self.source.diagnostic(severity, message, first, last - first + 1, suggestion)

    def part_diagnostic(
        self, severity: Severity, message: str, path: list[str | int], suggestion: str | None, *, at_key: bool
    ) -> Diagnostic:
        """A diagnostic on the value that a path leads to, or on its key."""
        offset, length = place_of(self.source, self.root, path, at_key=at_key)
        return self.source.diagnostic(severity, message, offset, length, suggestion)


def read_rule_file(text: str, file: str) -> RuleFile:
    """Read a rule file, its problems with it. Raises RulesetError where the text is no YAML mapping."""
    # Some editors begin a file with a byte order mark.
    source = SourceText(text.removeprefix("\ufeff"), file)
    root = load_yaml(source)
    content = plain(root)
    try:
        document = RulesetDocument.model_validate(content)
    except ValidationError as error:
        return RuleFile(source, root, content, None, tuple(_problems(error, source, root)))
    rule_file = RuleFile(source, root, content, document, ())
    repeated = tuple(_repeated_ids(rule_file, document))
    return RuleFile(source, root, content, None, repeated) if repeated else rule_file


def _param_of(entry: Any) -> Param | None:
    try:
        return _PARAM.validate_python(entry)
    except ValidationError:
        return None


def _problems(error: ValidationError, source: SourceText, root: Any) -> list[Diagnostic]:
    found: dict[tuple[int, str], Diagnostic] = {}
    for problem in error.errors(include_url=False):
        path, at_key = _path(problem)
        offset, length = place_of(source, root, path, at_key=at_key)
        message, suggestion = _said(problem, path)
        found.setdefault((offset, message), source.diagnostic("error", message, offset, length, suggestion))
    return [found[place] for place in sorted(found)]


def _path(problem: ErrorDetails) -> tuple[list[str | int], bool]:
    """The path to what is wrong, and whether the key is meant, not the value."""
    loc, kind = problem["loc"], problem["type"]
    if loc[:1] == ("rules",) and kind == "value_error":
        return [*loc[:2], "final"], True
    # Behind the item of a list pydantic adds which part of a union it tried.
    path = [part for part in (loc[:3] if loc[:1] == ("lists",) else loc) if part != "[key]"]
    return path, kind == "extra_forbidden" or "[key]" in loc


def _said(problem: ErrorDetails, path: list[str | int]) -> tuple[str, str | None]:
    """What is wrong, and what to do about it."""
    name, kind = str(path[-1]) if path else "", problem["type"]
    if kind == "extra_forbidden":
        return f"unknown key `{name}`", _instead(name, path)
    if kind == "missing":
        return f"`{name}` is missing", _HINTS.get(name)
    if path[:1] == ["lists"] and len(path) == 3:
        return "a list holds texts and whole numbers of at most 64 bits", "write it in quotes"
    if path and isinstance(path[-1], int):
        # An item of a list: a rule or a case by its number, another by the list's name.
        name = f"{str(path[0])[:-1]} number {path[-1] + 1}" if len(path) == 2 else str(path[-2])
    message = problem["msg"].removeprefix("Value error, ")
    if "`" in message:
        return message, None
    plain = _KINDS.get(kind, f"{message[:1].lower()}{message[1:]}")
    in_quotes = "write it in quotes" if kind == "string_type" and problem["input"] is not None else None
    return f"`{name}`: {plain}", _HINTS.get(name, in_quotes)


def _instead(name: str, path: list[str | int]) -> str:
    if path[:1] == ["rules"] and not name.replace("_", "").isalnum():
        return 'in braces, put the condition in quotes: {when: "…", …}'
    fields = [field.alias or name for name, field in _model_of(path).model_fields.items()]
    return did_you_mean(name, fields) or f"known here: {', '.join(fields)}"


def _model_of(path: list[str | int]) -> type[BaseModel]:
    """What the last key of a path was looked for in."""
    above = [str(part) for part in path[:-1]]
    return next((_MODELS[part] for part in reversed(above) if part in _MODELS), RulesetDocument)


# What stands under a key.
_MODELS: Final[dict[str, type[BaseModel]]] = {
    "rules": RuleDocument,
    "params": Param,
    "cases": CaseDocument,
    "reservations": ReservationsDocument,
    "accounts": CaseAccount,
    "purchases": CasePurchase,
    "expect": Expectation,
    "location": Location,
    "instalments": Instalments,
}


# Where pydantic's words are for programmers.
_KINDS: Final = {
    "string_type": "is not a text",
    "string_unicode": "holds half a character",
    "string_pattern_mismatch": "is not in the right form",
    "string_too_short": "is empty",
    "list_type": "is not a list",
    "dict_type": "is not a mapping",
    "model_type": "is not a mapping",
    "bool_type": "is not true or false",
    "int_type": "is not a whole number",
    "decimal_type": "is not a number",
    "too_short": "is empty",
}
_HINTS: Final = {
    "then": "one of allow, flag, block",
    "mode": "one of live, shadow",
    "final": "true or false",
    "id": "lower case letters, digits and dashes, like `device-burst`",
    "ruleset": "lower case letters, digits and dashes, like `checkout`",
    "reason": "upper case letters, digits and underscores, like `DEVICE_BURST`",
    "when": "a condition, like `amount > 500.00`",
    "allowed_lateness": "a duration like `24h`",
    "expire_after": "a duration like `7d`, of 90d at most",
    "reservations": "like `{expire_after: 7d}`",
    "rules": "a list of rules, each with id, when, then",
    "action": "one of approve, flag, block",
    "at": "like `2026-01-05T12:00:00+08:00`; without an offset, in the ruleset's time zone",
    "after": "a duration like `30s`",
    "expect": "like `{action: block, reasons: [DEVICE_BURST]}`",
    "purchases": "a list of purchases, each with its amount",
    "reasons": "reason codes like `[DEVICE_BURST]`",
    "shadow": "reason codes like `[DEVICE_BURST]`",
}


def _repeated_ids(rule_file: RuleFile, document: RulesetDocument) -> Iterator[Diagnostic]:
    seen: dict[str, int] = {}
    for index, rule in enumerate(document.rules):
        if rule.id in seen:
            message = f"rule `{rule.id}` is here twice: the first is rule number {seen[rule.id] + 1}"
            span = Span(0, len(rule.id))
            yield rule_file.rule_diagnostic("error", message, index, "id", span, "give it an id of its own")
        seen.setdefault(rule.id, index)
