"""The text of a rule file, and how its offsets, lines and columns belong together."""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import Final

from rules.language.diagnostics import Diagnostic, Severity

# What ends a line in YAML 1.1, which the YAML library counts lines by.
_LINE_END: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
# How many characters a double-quoted scalar's escapes have, where it is not two.
_ESCAPE_CHARS: Final = {"x": 4, "u": 6, "U": 10}


class SourceText:
    """The text of one file."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        ends = list(_LINE_END.finditer(text))
        self._starts = [0, *(end.end() for end in ends)]
        self._ends = [*(end.start() for end in ends), len(text)]

    def offset(self, line: int, column: int) -> int:
        """The offset of a line and column, both counted from 0."""
        return self._starts[min(line, len(self._starts) - 1)] + column

    def diagnostic(
        self, severity: Severity, message: str, offset: int, length: int, suggestion: str | None = None
    ) -> Diagnostic:
        """A diagnostic at an offset; its caret stays within the line."""
        offset = min(offset, len(self.text))
        line = bisect_right(self._starts, offset) - 1
        shown = self.text[self._starts[line] : self._ends[line]]
        # Between the two characters of a line's end there is no place.
        column = min(offset - self._starts[line], len(shown))
        length = max(1, min(length, len(shown) - column))
        return Diagnostic(severity, message, self.file, line + 1, column + 1, length, shown, suggestion)

    def places(self, start: int, value: str) -> list[int]:
        """For each character of a scalar's value, its offset: quotes, folding and indentation are stepped over."""
        style = self.text[start : start + 1]
        position = start
        if style in ("|", ">"):
            position = self.text.find("\n", start) + 1
        elif style in ("'", '"'):
            position = start + 1
        places: list[int] = []
        for char in value:
            place, position = self._step(char, position, style)
            places.append(place)
        return places

    def _step(self, char: str, position: int, style: str) -> tuple[int, int]:
        """Where the next character of a value is, and where the one after it is looked for."""
        if char.isspace() and self.text[position : position + 1] != "\\":
            return position, position + self.text[position : position + 1].isspace()
        while self.text[position : position + 1].isspace():
            position += 1
        if style == '"' and self.text[position : position + 1] == "\\":
            return position, position + _ESCAPE_CHARS.get(self.text[position + 1 : position + 2], 2)
        found = self.text.find(char, position)
        place = found if found >= 0 else position
        # Within single quotes, a single quote is written twice.
        return place, place + (2 if style == char == "'" else 1)
