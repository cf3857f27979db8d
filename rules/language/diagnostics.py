"""What is wrong with a rule file, and where: told so that an analyst can mend it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from rules.language.syntax import Span


class ExpressionError(Exception):
    """Something wrong inside one expression; the span is in its text."""

    def __init__(self, message: str, span: Span, suggestion: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.span = span
        self.suggestion = suggestion


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """An error or a warning. Lines and columns count from 1; `length` is in characters."""

    severity: Literal["error", "warning"]
    message: str
    file: str
    line: int
    column: int
    length: int
    source_line: str
    suggestion: str | None = None

    def render(self) -> str:
        """The diagnostic with its line, a caret under the place, and the suggestion."""
        number = str(self.line)
        gutter = " " * len(number)
        # Tabs stay tabs, so that the caret stands where the terminal shows the place.
        lead = "".join("\t" if char == "\t" else " " for char in self.source_line[: self.column - 1])
        lines = [
            f"{self.file}:{self.line}:{self.column}: {self.severity}: {self.message}",
            f" {number} | {self.source_line}",
            f" {gutter} | {lead}{'^' * max(1, self.length)}",
        ]
        if self.suggestion:
            lines.append(f" {gutter} = {self.suggestion}")
        return "\n".join(lines)


class RulesetError(ValueError):
    """A rule file that can't be used; its text shows every error."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        super().__init__("\n\n".join(diagnostic.render() for diagnostic in diagnostics))
        self.diagnostics = tuple(diagnostics)


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A suggestion of the nearest known word, if one is near."""
    near = get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return f"did you mean `{near[0]}`?" if near else None
