"""The change of a rule file to other values, as a unified diff."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import unified_diff
from pathlib import Path

from models.parameter import ParamValue
from rules.language.params import with_values


def patch_of(source: str, values: Mapping[str, ParamValue], name: str) -> str:
    """What `git apply` and `patch -p1` take where `name`, with slashes, leads to the file; `source` is its text."""
    changed = with_values(source, values)
    tab = "\t" if " " in name else ""
    diff = unified_diff(_lines(source), _lines(changed), f"a/{name}{tab}", f"b/{name}{tab}")
    return "".join(_ended(diff))


def name_in_patch(file: Path, directory: Path) -> str:
    """A file's name from a directory that it lies below; its bare name where it lies elsewhere."""
    try:
        return file.resolve().relative_to(directory.resolve()).as_posix()
    except ValueError:
        return file.name


def _lines(text: str) -> list[str]:
    """Lines as patches know them: other characters than a line feed end none."""
    lines = text.split("\n")
    ended = [f"{line}\n" for line in lines[:-1]]
    return [*ended, lines[-1]] if lines[-1] else ended


def _ended(diff: Iterator[str]) -> Iterator[str]:
    for line in diff:
        yield line
        if not line.endswith("\n"):
            yield "\n\\ No newline at end of file\n"
