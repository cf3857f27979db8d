"""Labels in a file: CSV with the header `transaction_id,verdict,known_at`, or JSON lines as on the labels topic."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from models.fields import EventTimeMs, Identifier
from models.label import InvalidLabel, decode_label
from models.problem import Wanted, first_problem
from streams.errors import PlainError

GENUINE: Final = 1
FRAUD: Final = 2
VERDICTS: Final = {"genuine": GENUINE, "fraud": FRAUD, "chargeback": FRAUD}

HEADER: Final = ("transaction_id", "verdict", "known_at")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class LabelFileError(PlainError):
    """A file of labels that can't be used; the message names the line, what is wrong and how to mend it."""


class KnownLabel(NamedTuple):
    """One label: GENUINE or FRAUD, known at `event_time_ms`. `line` is where a file has it, 0 where none does."""

    transaction_id: str
    verdict: int
    event_time_ms: int
    line: int


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    transaction_id: Identifier
    verdict: Annotated[Literal["fraud", "chargeback", "genuine"], Wanted("fraud, chargeback or genuine")]
    known_at: EventTimeMs


_rows = TypeAdapter(_Row)


def read_label_file(path: Path) -> Iterator[KnownLabel]:
    """The labels of a file, one after the other. Raises LabelFileError."""
    try:
        with path.open("rb") as file:
            lines = _lines(file, path)
            first = next(lines, None)
            if first is None:
                raise LabelFileError(f"{path}: is empty: begin it with the header {','.join(HEADER)}")
            is_json = first[1].startswith("{")
            yield from (_json_labels if is_json else _csv_labels)(chain([first], lines), path)
    except OSError as error:
        raise LabelFileError(f"{path}: {error.strerror}: name a file of labels that can be read") from None


def _lines(file: Iterable[bytes], path: Path) -> Iterator[tuple[int, str]]:
    """The lines that are not blank, each with its number, which begins at 1."""
    for number, line in enumerate(file, start=1):
        try:
            text = (line.removeprefix(_BYTE_ORDER_MARK) if number == 1 else line).decode().strip()
        except UnicodeDecodeError:
            raise LabelFileError(f"{path}:{number}: is not UTF-8: save the file as UTF-8") from None
        if text:
            yield number, text


def _json_labels(lines: Iterator[tuple[int, str]], path: Path) -> Iterator[KnownLabel]:
    for number, text in lines:
        try:
            label = decode_label(text.encode())
        except InvalidLabel as error:
            raise LabelFileError(f"{path}:{number}: {error}: mend this line") from None
        yield KnownLabel(label.transaction_id, VERDICTS[label.verdict], label.event_time, number)


def _csv_labels(lines: Iterator[tuple[int, str]], path: Path) -> Iterator[KnownLabel]:
    header = _header(*next(lines), path)
    for number, text in lines:
        cells = _cells(text, number, path)
        if len(cells) != len(header):
            raise LabelFileError(f"{path}:{number}: {len(cells)} values, the header has {len(header)}: mend this line")
        yield _known(dict(zip(header, cells, strict=True)), number, path)


def _header(number: int, text: str, path: Path) -> list[str]:
    header = _cells(text, number, path)
    if sorted(header) != sorted(HEADER):
        raise LabelFileError(
            f"{path}:{number}: {text[:80]!r} is neither the header {','.join(HEADER)} of CSV nor a label as JSON: "
            "put the header first"
        )
    return header


def _cells(text: str, number: int, path: Path) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([text], strict=True))]
    except csv.Error as error:
        raise LabelFileError(f"{path}:{number}: is not CSV: {error}: mend this line") from None


def _known(cells: dict[str, str], number: int, path: Path) -> KnownLabel:
    moment = cells["known_at"]
    # Digits are epoch milliseconds; whatever else is there has to be RFC 3339.
    known_at: str | int = int(moment) if moment.isascii() and moment.isdigit() and len(moment) < 20 else moment
    try:
        row = _rows.validate_python({**cells, "known_at": known_at})
    except ValidationError as error:
        raise LabelFileError(f"{path}:{number}: {first_problem(error, 'label')}: mend this line") from None
    return KnownLabel(row.transaction_id, VERDICTS[row.verdict], row.known_at, number)
