"""Golden files: decisions as they were found right, one a line, and now and then written anew."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import pytest

from models.decision import Decision, encode_decision
from streams.pytest_plugin.comparison import Fields, compare, parse
from streams.whole_file import write_whole

_ENDINGS: Final = (".jsonl", ".jsonl.gz")
_ADVICE: Final = "run pytest with --update-golden"


class Golden:
    """Compares decisions with golden files, or, where an update is asked for, writes these."""

    def __init__(self, root: Path, *, update: bool, note: Callable[[str], object]) -> None:
        """Paths are relative to `root`. `note` hears of each file that was written."""
        self._root = root
        self._update = update
        self._note = note

    def check(self, decisions: Iterable[Decision], path: str | os.PathLike[str]) -> None:
        """Fail where the decisions are not byte for byte those of the golden file, in its order.

        The file is JSON lines, gzipped where its name ends in `.gz`.
        """
        __tracebackhide__ = True
        shown = os.fspath(path)
        if not shown.endswith(_ENDINGS):
            pytest.fail(f"{shown}: the name of a golden file ends in {' or '.join(_ENDINGS)}", pytrace=False)
        file, lines = self._root / path, [encode_decision(decision) for decision in decisions]
        found = _read(file)
        if found == lines:
            return
        if self._update:
            self._write(file, shown, lines)
        elif isinstance(found, str):
            pytest.fail(f"{shown}: {found}: {_ADVICE} to write it", pytrace=False)
        else:
            pytest.fail(f"{shown}: {_difference(found, lines)}\n{_ADVICE} if it is right so", pytrace=False)

    def _write(self, file: Path, shown: str, lines: Sequence[bytes]) -> None:
        __tracebackhide__ = True
        text = b"".join(line + b"\n" for line in lines)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            # Without a time in it, so that equal decisions give equal files.
            write_whole(file, gzip.compress(text, mtime=0) if file.suffix == ".gz" else text)
        except OSError as error:
            said = f"{shown} can't be written: {error.strerror or error}"
            raise pytest.fail.Exception(said, pytrace=False) from None
        self._note(shown)


def _read(file: Path) -> list[bytes] | str:
    """The lines of a golden file, or why there are none."""
    try:
        content = file.read_bytes()
        text = gzip.decompress(content) if file.suffix == ".gz" else content
    except FileNotFoundError:
        return "no such golden file"
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        return f"the gzip data is damaged ({error})"
    except OSError as error:
        return f"can't be read ({error.strerror or error})"
    lines = text.splitlines()
    bad = next((number for number, line in enumerate(lines, 1) if parse(line) is None), None)
    return lines if bad is None else f"line {bad} is no decision"


def _difference(golden: Sequence[bytes], now: Sequence[bytes]) -> str:
    return compare(_parsed(golden), _parsed(now)) or "the same decisions, written otherwise"


def _parsed(lines: Sequence[bytes]) -> list[Fields]:
    return [fields for line in lines if (fields := parse(line)) is not None]
