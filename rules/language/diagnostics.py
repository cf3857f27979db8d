"""What is wrong with a rule file, and where: told so that an analyst can mend it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final, Literal

from rules.language.syntax import Span

Severity = Literal["error", "warning"]

# How much of a long line is shown, before and behind the place.
_SHOWN_BEFORE: Final = 120
_SHOWN_BEHIND: Final = 80


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

    severity: Severity
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
        shown, before, length = self._excerpt()
        # Tabs stay tabs, so that the caret stands where the terminal shows the place.
        lead = "".join("\t" if char == "\t" else " " for char in shown[:before])
        lines = [
            f"{self.file}:{self.line}:{self.column}: {self.severity}: {self.message}",
            f" {number} | {shown}",
            f" {gutter} | {lead}{'^' * length}",
        ]
        if self.suggestion:
            lines.append(f" {gutter} = {self.suggestion}")
        return "\n".join(lines)

    def _excerpt(self) -> tuple[str, int, int]:
        """The part of the line that is shown, what of it is before the place, and how many carets fit."""
        start = max(0, self.column - 1 - _SHOWN_BEFORE)
        end = self.column - 1 + _SHOWN_BEHIND
        shown = self.source_line[start:end]
        head, tail = "…" if start else "", "…" if end < len(self.source_line) else ""
        before = len(head) + self.column - 1 - start
        return head + shown + tail, before, max(1, min(self.length, _SHOWN_BEHIND))


class RulesetError(ValueError):
    """A rule file that can't be used; its text shows every error."""

    def __init__(self, diagnostics: Sequence[Diagnostic]) -> None:
        super().__init__("\n\n".join(diagnostic.render() for diagnostic in diagnostics))
        self.diagnostics = tuple(diagnostics)


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """A suggestion of the nearest known word, if one is near."""
    near = get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return f"did you mean `{near[0]}`?" if near else None
