"""Parameters of a ruleset: their names in conditions, other values in their place, and those a sweep may try."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Final

from pydantic import TypeAdapter, ValidationError

from models.parameter import Kind, Param, ParamValue, kind_of
from rules.language.diagnostics import Diagnostic, ExpressionError, RulesetError, did_you_mean
from rules.language.document import RuleFile, read_rule_file
from rules.language.yaml_text import extent_of

# A name, unless it stands in a text in quotes.
_NAME: Final = re.compile(r"\"[^\"\n]*\"|'[^'\n]*'|\$([A-Za-z_][A-Za-z0-9_]*)")
_VALUE: Final[TypeAdapter[Decimal | str]] = TypeAdapter(ParamValue)
_A_KIND: Final[dict[Kind, str]] = {"number": "a number", "duration": "a duration", "text": "a text"}


def asked_in(when: str) -> set[str]:
    """The names of the parameters that a condition's text asks for."""
    return {found[1] for found in _NAME.finditer(when) if found[1] is not None}


def with_literals(text: str, values: Mapping[str, ParamValue]) -> str:
    """A piece of a condition's text with literals in place of parameters."""

    def literal(found: re.Match[str]) -> str:
        return literal_text(values[found[1]]) if found[1] is not None else found[0]

    return _NAME.sub(literal, text) if "$" in text else text


def literal_text(value: ParamValue) -> str:
    """A value as a condition would have it: `500.00`, `10m`, `"m-1"`."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if kind_of(value) == "duration":
        return value
    return f"'{value}'" if '"' in value else f'"{value}"'


def content_of(params: Mapping[str, Param]) -> dict[str, tuple[Kind, str]]:
    """What of the parameters belongs to a ruleset's version: their values, however a number was written."""
    return {name: (kind_of(param.value), _canonical(param.value)) for name, param in params.items()}


def _canonical(value: ParamValue) -> str:
    return f"{value.normalize():f}" if isinstance(value, Decimal) else value


def overridden(rule_file: RuleFile, values: Mapping[str, ParamValue]) -> RuleFile:
    """A rule file with other values for some of its parameters, its text unchanged.

    Raises RulesetError for a name that is no parameter, and for a value of another kind than the parameter's.
    """
    document = rule_file.document
    if document is None:
        return rule_file
    params = dict(document.params)
    problems: list[Diagnostic] = []
    for name, value in values.items():
        param = params.get(name)
        if param is None:
            problems.append(_unknown(rule_file, name, params))
            continue
        try:
            changed = _VALUE.validate_python(value)
        except ValidationError as error:
            said = error.errors()[0]["msg"].removeprefix("Value error, ")
            problems.append(_at(rule_file, ["params", name], f"`{name}`: {said}"))
            continue
        if kind_of(changed) != kind_of(param.value):
            problems.append(_at(rule_file, ["params", name], _other_kind(name, param, changed)))
        params[name] = param.model_copy(update={"value": changed})
    if problems:
        raise RulesetError(problems)
    return replace(rule_file, document=document.model_copy(update={"params": params}))


def _unknown(rule_file: RuleFile, name: str, known: Mapping[str, Param]) -> Diagnostic:
    named = f"known here: {', '.join(known)}" if known else "this file has no `params:`"
    message, suggestion = f"unknown parameter `{name}`", did_you_mean(name, known) or named
    return rule_file.part_diagnostic("error", message, ["params"], suggestion, at_key=True)


def _at(rule_file: RuleFile, path: list[str | int], message: str) -> Diagnostic:
    return rule_file.part_diagnostic("error", message, path, None, at_key=len(path) == 2)


def _other_kind(name: str, param: Param, value: ParamValue) -> str:
    here, there = kind_of(param.value), kind_of(value)
    return f"`{name}` is {_A_KIND[here]}, and {literal_text(value)} is {_A_KIND[there]}"


def refused_tries(
    rule_file: RuleFile, check: Callable[[str, Mapping[str, ParamValue]], object]
) -> Iterator[Diagnostic]:
    """What is wrong with the values that a sweep may try.

    `check` types a condition under values of the parameters; it raises ExpressionError.
    """
    params = rule_file.document.params if rule_file.document is not None else {}
    values = {name: param.value for name, param in params.items()}
    for name, param in params.items():
        for place, tried in enumerate(param.try_ or ()):
            path: list[str | int] = ["params", name, "try", place]
            if kind_of(tried) != kind_of(param.value):
                yield _at(rule_file, path, _other_kind(name, param, tried))
                continue
            try:
                for _, when in rule_file.conditions():
                    if name in asked_in(when):
                        check(when, {**values, name: tried})
            except ExpressionError as error:
                message = f"`${name}` can't be {literal_text(tried)}: {error.message}"
                yield rule_file.part_diagnostic("error", message, path, error.suggestion, at_key=False)


def with_values(source: str, values: Mapping[str, ParamValue]) -> str:
    """The text of a rule file with other values for some parameters; comments and layout stay as they are.

    Raises RulesetError where the text is no rule file, for a name that is no parameter, and for a value of
    another kind than the parameter's.
    """
    rule_file = read_rule_file(source, "<rules>")
    if rule_file.document is None:
        raise RulesetError(rule_file.problems)
    document = overridden(rule_file, values).document
    assert document is not None
    text = rule_file.source.text
    pieces: list[tuple[int, int, str]] = []
    for name in values:
        is_long = isinstance(rule_file.content["params"][name], dict)
        path = ["params", name, "value"] if is_long else ["params", name]
        start, end = extent_of(rule_file.source, path)
        scalar = _yaml_scalar(document.params[name].value, grouped="_" in text[start:end])
        pieces.append((start, end, scalar))
    # From behind, so that the places of what comes before stay right.
    for start, end, scalar in sorted(pieces, reverse=True):
        text = text[:start] + scalar + text[end:]
    return source[: len(source) - len(rule_file.source.text)] + text


def _yaml_scalar(value: ParamValue, *, grouped: bool) -> str:
    """A value as it is written in the file; with `grouped`, thousands are told apart as they were before."""
    if isinstance(value, Decimal) and grouped:
        return f"{value:,f}".replace(",", "_")
    if isinstance(value, Decimal) or kind_of(value) == "duration":
        return literal_text(value)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in escaped) + '"'
