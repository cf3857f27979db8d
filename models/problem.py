"""What is wrong with a record, in one line for the person who has to mend it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, ErrorDetails, core_schema

_MAX_SHOWN_CHARS: Final = 40


@dataclass(frozen=True, slots=True)
class Wanted:
    """Marks a field's type with what it wants, in words that fit after 'is not', e.g. 'four digits'."""

    phrase: str

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.custom_error_schema(
            handler(source),
            custom_error_type="wanted",
            custom_error_message="is not {phrase}",
            custom_error_context={"phrase": self.phrase},
        )


@dataclass(frozen=True, slots=True)
class OneOf:
    """Marks a text as one of a few."""

    texts: tuple[str, ...]

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.literal_schema(list(self.texts))


def first_problem(error: ValidationError, what: str) -> str:
    """One line: the record, its first wrong field, what is wrong with it, how many more problems it has."""
    problems = error.errors(include_url=False)
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{what}: {_where(problems[0]) or 'the record'}: {_sentence(problems[0])}{more}"


def field_problems(error: ValidationError) -> list[tuple[str, str]]:
    """Each wrong field's path, "" for the record itself, and what is wrong with it."""
    return [(_where(problem), _sentence(problem)) for problem in error.errors(include_url=False)]


def _where(problem: ErrorDetails) -> str:
    return _shown(".".join(str(part) for part in problem["loc"] if part != "[key]"), 80)


def _sentence(problem: ErrorDetails) -> str:
    explain = _SENTENCES.get(problem["type"])
    if explain is None:
        return problem["msg"].replace("Input", _literal(problem["input"]), 1)
    return explain(problem["input"], problem.get("ctx", {}))


def _is_not_wanted(value: object, context: Mapping[str, Any]) -> str:
    return f"{_literal(value)} is not {context['phrase']}"


def _is_no_object(value: object, context: Mapping[str, Any]) -> str:
    return f"{_literal(value)} is not a JSON object: send the fields in braces"


def _is_no_array(value: object, context: Mapping[str, Any]) -> str:
    return f"{_literal(value)} is not a JSON array: send the entries in brackets"


def _is_missing(value: object, context: Mapping[str, Any]) -> str:
    return "is required but missing: add it"


def _is_unknown(value: object, context: Mapping[str, Any]) -> str:
    return "is not a field of this record: correct its name or leave it out"


def _is_too_long(value: object, context: Mapping[str, Any]) -> str:
    return f"has more than {context['max_length']} entries: leave some out"


def _is_no_json(value: object, context: Mapping[str, Any]) -> str:
    return f"is not valid JSON in UTF-8: {context.get('error', 'it cannot be read')}"


_SENTENCES: Final[Mapping[str, Callable[[object, Mapping[str, Any]], str]]] = {
    "wanted": _is_not_wanted,
    "model_type": _is_no_object,
    "dict_type": _is_no_object,
    "list_type": _is_no_array,
    "tuple_type": _is_no_array,
    "missing": _is_missing,
    "extra_forbidden": _is_unknown,
    "too_long": _is_too_long,
    "json_invalid": _is_no_json,
}


def _literal(value: object) -> str:
    """A value as it stands in JSON or nearly so, cut to fit in a line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and abs(value) >= 10**_MAX_SHOWN_CHARS:
        return "a number this large"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    return _shown(repr(value), _MAX_SHOWN_CHARS)


def _shown(text: str, max_chars: int) -> str:
    line = text.encode("unicode_escape").decode("ascii") if not text.isprintable() else text
    return line if len(line) <= max_chars else line[:max_chars] + "…"
