"""Reading a rule file: YAML to a checked document, every problem with its line and column."""

# ruamel.yaml is typed in part only.
# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any, Final

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from models.ruleset import RuleDocument, RulesetDocument
from rules.language.diagnostics import Diagnostic, RulesetError, did_you_mean
from rules.language.syntax import Span

MAX_SOURCE_CHARS: Final = 1_000_000


@dataclass(frozen=True)
class RuleFile:
    """A checked document with the text it was read from."""

    document: RulesetDocument
    source: SourceText
    root: CommentedMap

    def rule_diagnostic(
        self,
        severity: Any,
        message: str,
        index: int,
        key: str,
        span: Span | None,
        suggestion: str | None = None,
    ) -> Diagnostic:
        """A diagnostic on a rule's key; the span is within its value."""
        rule = self.root["rules"][index]
        line, column = rule.lc.value(key) if key in rule else rule.lc.key(next(iter(rule)))
        start = self.source.offset(line, column)
        if span is None or key not in rule:
            return self.source.diagnostic(severity, message, start, 1, suggestion)
        text = str(rule[key])
        places = self.source.places(start, text)
        first = places[min(span.start, len(places) - 1)] if places else start
        last = places[min(max(span.end - 1, span.start), len(places) - 1)] if places else start
        return self.source.diagnostic(severity, message, first, last - first + 1, suggestion)


class SourceText:
    """The text of a file, and how its offsets, lines and columns belong together."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self.lines = text.split("\n")
        self._starts = [0]
        for line in self.lines:
            self._starts.append(self._starts[-1] + len(line) + 1)

    def offset(self, line: int, column: int) -> int:
        """The offset of a line and column, both counted from 0."""
        return self._starts[min(line, len(self.lines) - 1)] + column

    def diagnostic(
        self, severity: Any, message: str, offset: int, length: int, suggestion: str | None = None
    ) -> Diagnostic:
        """A diagnostic at an offset; its caret stays within the line."""
        offset = min(offset, len(self.text))
        line = self.text.count("\n", 0, offset)
        column = offset - self._starts[line]
        shown = self.lines[line].rstrip("\r")
        length = max(1, min(length, len(shown) - column))
        return Diagnostic(severity, message, self.file, line + 1, column + 1, length, shown, suggestion)

    def places(self, start: int, text: str) -> list[int]:
        """For each character of a scalar's value, its offset: quotes, folding and indentation are stepped over."""
        position = start
        if self.text[start : start + 1] in ("|", ">"):
            position = self.text.find("\n", start) + 1
        elif self.text[start : start + 1] in ("'", '"'):
            position = start + 1
        places: list[int] = []
        for char in text:
            if not char.isspace():
                found = self.text.find(char, position)
                position = found if found >= 0 else position
            places.append(position)
            if not char.isspace() or self.text[position : position + 1].isspace():
                position += 1
        return places


def read_rule_file(text: str, file: str) -> RuleFile:
    """Read a rule file. Raises RulesetError with every problem that was found."""
    source = SourceText(text, file)
    if len(text) > MAX_SOURCE_CHARS:
        raise RulesetError([source.diagnostic("error", f"a rule file has at most {MAX_SOURCE_CHARS} characters", 0, 1)])
    root = _load(source)
    if not isinstance(root, CommentedMap):
        suggestion = "begin with `ruleset: NAME`"
        raise RulesetError([source.diagnostic("error", "a rule file is a mapping", 0, 1, suggestion)])
    try:
        document = RulesetDocument.model_validate(_plain(root))
    except ValidationError as error:
        raise RulesetError(_problems(error, source, root)) from None
    rule_file = RuleFile(document, source, root)
    repeated = _repeated_ids(rule_file)
    if repeated:
        raise RulesetError(repeated)
    return rule_file


def _load(source: SourceText) -> Any:
    try:
        return YAML(typ="rt").load(StringIO(source.text))
    except DuplicateKeyError as error:
        raise RulesetError([_marked(source, error, "this key is here twice")]) from None
    except MarkedYAMLError as error:
        raise RulesetError([_marked(source, error, f"not YAML: {error.problem or error.context}")]) from None
    except (YAMLError, ValueError, RecursionError) as error:
        message = f"not YAML: {str(error).splitlines()[0]}"
        raise RulesetError([source.diagnostic("error", message, 0, 1)]) from None


def _marked(source: SourceText, error: MarkedYAMLError, message: str) -> Diagnostic:
    mark: Any = error.problem_mark or error.context_mark
    offset = source.offset(mark.line, mark.column) if mark is not None else 0
    return source.diagnostic("error", message, offset, 1)


def _plain(node: Any) -> Any:
    """Plain Python values of what the YAML library read."""
    if isinstance(node, dict):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    if isinstance(node, bool) or node is None:
        return node
    for kind in (int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return str(node)


def _problems(error: ValidationError, source: SourceText, root: CommentedMap) -> list[Diagnostic]:
    found: list[Diagnostic] = []
    for problem in error.errors(include_url=False, include_context=False):
        loc = [part for part in problem["loc"] if part != "[key]"]
        unknown = problem["type"] == "extra_forbidden"
        offset, length = _place(source, root, loc, at_key=unknown or "[key]" in problem["loc"])
        name = str(loc[-1]) if loc else ""
        if unknown:
            fields = RuleDocument.model_fields if "rules" in loc[:1] else RulesetDocument.model_fields
            suggestion = did_you_mean(name, fields) or f"known here: {', '.join(fields)}"
            found.append(source.diagnostic("error", f"unknown key `{name}`", offset, length, suggestion))
        elif problem["type"] == "missing":
            found.append(source.diagnostic("error", f"`{name}` is missing", offset, length))
        else:
            found.append(source.diagnostic("error", _said(name, problem), offset, length, _hint(name)))
    return found


def _said(name: str, problem: Any) -> str:
    message = problem["msg"].removeprefix("Value error, ")
    return f"`{name}`: {message[:1].lower()}{message[1:]}" if name and "`" not in message else message


_HINTS: Final = {
    "then": "one of allow, flag, block",
    "mode": "one of live, shadow",
    "id": "lower case letters, digits and dashes, like `device-burst`",
    "ruleset": "lower case letters, digits and dashes, like `checkout`",
    "reason": "upper case letters, digits and underscores, like `DEVICE_BURST`",
    "allowed_lateness": "a duration like `24h`",
    "rules": "a list of rules, each with id, when, then",
}


def _hint(name: str) -> str | None:
    return _HINTS.get(name)


def _place(source: SourceText, root: Any, loc: Sequence[Any], *, at_key: bool) -> tuple[int, int]:
    """Offset and length of the value (or the key) that a path leads to; of the nearest parent that is there."""
    node, offset, length = root, 0, 1
    for depth, part in enumerate(loc):
        last = depth == len(loc) - 1
        if isinstance(node, CommentedMap) and part in node:
            line, column = node.lc.key(part) if last and at_key else node.lc.value(part)
        elif isinstance(node, CommentedSeq) and isinstance(part, int) and part < len(node):
            line, column = node.lc.item(part)
        else:
            break
        offset, node = source.offset(line, column), node[part]
        shown = part if last and at_key else node
        length = len(str(shown)) if isinstance(shown, str | int | float) else 1
    return offset, length


def _repeated_ids(rule_file: RuleFile) -> list[Diagnostic]:
    seen: dict[str, int] = {}
    found: list[Diagnostic] = []
    for index, rule in enumerate(rule_file.document.rules):
        if rule.id in seen:
            message = f"rule `{rule.id}` is here twice: the first is rule number {seen[rule.id] + 1}"
            span = Span(0, len(rule.id))
            found.append(rule_file.rule_diagnostic("error", message, index, "id", span, "give it an id of its own"))
        seen.setdefault(rule.id, index)
    return found
