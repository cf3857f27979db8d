"""Reading a rule file: YAML to a checked document, every problem with its line and column."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from pydantic import ValidationError

from models.ruleset import RuleDocument, RulesetDocument
from rules.language.diagnostics import Diagnostic, Severity, did_you_mean
from rules.language.source import SourceText
from rules.language.syntax import Span
from rules.language.yaml_text import load_yaml, place_of, plain

RuleKey = Literal["id", "when", "then", "final"]


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
        rules = self.content.get("rules")
        for index, rule in enumerate(rules if isinstance(rules, list) else []):
            when = rule.get("when") if isinstance(rule, dict) else None
            if isinstance(when, str) and when:
                yield index, when

    def lists(self) -> dict[str, list[str | int]]:
        """The lists, as far as they are lists."""
        if self.document is not None:
            return self.document.lists
        lists = self.content.get("lists")
        named = lists.items() if isinstance(lists, dict) else ()
        return {
            name: [value for value in values if isinstance(value, str | int)] if isinstance(values, list) else []
            for name, values in named
        }

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

    def key_diagnostic(self, severity: Severity, message: str, path: list[str | int], suggestion: str) -> Diagnostic:
        """A diagnostic on the key that a path leads to."""
        offset, length = place_of(self.source, self.root, path, at_key=True)
        return self.source.diagnostic(severity, message, offset, length, suggestion)


def read_rule_file(text: str, file: str) -> RuleFile:
    """Read a rule file, its problems with it. Raises RulesetError where the text is no YAML mapping."""
    source = SourceText(text, file)
    root = load_yaml(source)
    content = plain(root)
    try:
        document = RulesetDocument.model_validate(content)
    except ValidationError as error:
        return RuleFile(source, root, content, None, tuple(_problems(error, source, root)))
    rule_file = RuleFile(source, root, content, document, ())
    repeated = tuple(_repeated_ids(rule_file, document))
    return RuleFile(source, root, content, None, repeated) if repeated else rule_file


def _problems(error: ValidationError, source: SourceText, root: Any) -> list[Diagnostic]:
    found: dict[tuple[int, str], Diagnostic] = {}
    for problem in error.errors(include_url=False, include_context=False):
        in_key = "[key]" in problem["loc"]
        # The parts of a union are in a path too, as names of types.
        path = [part for part in problem["loc"] if part not in ("[key]", "str", "int")]
        unknown = problem["type"] == "extra_forbidden"
        offset, length = place_of(source, root, path, at_key=unknown or in_key)
        name = str(path[-1]) if path else ""
        if unknown:
            suggestion = _instead(name, in_rule=path[:1] == ["rules"])
            diagnostic = source.diagnostic("error", f"unknown key `{name}`", offset, length, suggestion)
        elif problem["type"] == "missing":
            diagnostic = source.diagnostic("error", f"`{name}` is missing", offset, length)
        else:
            said = "a list holds texts and whole numbers" if path[:1] == ["lists"] and len(path) == 3 else None
            message = said or _said(name, problem["msg"])
            diagnostic = source.diagnostic("error", message, offset, length, _HINTS.get(name))
        found.setdefault((offset, diagnostic.message), diagnostic)
    return [found[place] for place in sorted(found)]


def _instead(name: str, *, in_rule: bool) -> str:
    fields = RuleDocument.model_fields if in_rule else RulesetDocument.model_fields
    if in_rule and not name.replace("_", "").isalnum():
        return 'in braces, put the condition in quotes: {when: "…", …}'
    return did_you_mean(name, fields) or f"known here: {', '.join(fields)}"


def _said(name: str, message: str) -> str:
    message = message.removeprefix("Value error, ")
    return f"`{name}`: {message[:1].lower()}{message[1:]}" if name and "`" not in message else message


_HINTS: Final = {
    "then": "one of allow, flag, block",
    "mode": "one of live, shadow",
    "final": "true or false",
    "id": "lower case letters, digits and dashes, like `device-burst`",
    "ruleset": "lower case letters, digits and dashes, like `checkout`",
    "reason": "upper case letters, digits and underscores, like `DEVICE_BURST`",
    "allowed_lateness": "a duration like `24h`",
    "rules": "a list of rules, each with id, when, then",
}


def _repeated_ids(rule_file: RuleFile, document: RulesetDocument) -> Iterator[Diagnostic]:
    seen: dict[str, int] = {}
    for index, rule in enumerate(document.rules):
        if rule.id in seen:
            message = f"rule `{rule.id}` is here twice: the first is rule number {seen[rule.id] + 1}"
            span = Span(0, len(rule.id))
            yield rule_file.rule_diagnostic("error", message, index, "id", span, "give it an id of its own")
        seen.setdefault(rule.id, index)
