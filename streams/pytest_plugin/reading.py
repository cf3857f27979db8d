"""Rule files as tests read them."""

from __future__ import annotations

from pathlib import Path


class UnreadableFileError(Exception):
    """A file that can't be read; the message says why."""


def read_rules(path: Path, shown: str) -> str:
    """The text of a rule file. Raises UnreadableFileError, which names it as `shown`."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        said = f"line {line} is not UTF-8: save it in that encoding"
    except OSError as error:
        said = error.strerror or str(error)
    raise UnreadableFileError(f"{shown} can't be read: {said}")
