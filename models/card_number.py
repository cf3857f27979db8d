"""Card numbers where none belong: what passes the Luhn check with as many digits as a card number has."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, Final, NamedTuple, cast

from stdnum import luhn

from models.fields import MAX_EVENT_TIME_MS, MIN_EVENT_TIME_MS

# ISO/IEC 7812 allows up to 19 digits; no scheme issues fewer than 13.
MIN_DIGITS: Final = 13
MAX_DIGITS: Final = 19

_EVENT_TIME: Final = "event_time"
_MAX_SHOWN_CHARS: Final = 40
# Enough digits for a card number, with any separators that may stand between them.
_ENOUGH: Final = re.compile(rf"\d(?:[ \t./_-]{{0,2}}\d){{{MIN_DIGITS - 1}}}", re.ASCII)
_GROUPS: Final = re.compile(r"\d+(?:[ \t-]\d+)*", re.ASCII)
_WIDE_GROUPS: Final = re.compile(r"\d+(?:[ \t./_-]{1,2}\d+)+", re.ASCII)
_GROUP: Final = re.compile(r"\d+", re.ASCII)
# UUIDs of RFC 9562, and digests in hexadecimal: ids that hold many digits by chance, and no card number.
_IDS: Final = re.compile(
    r"(?<![0-9A-Za-z])(?:"
    r"[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
    r"|(?=\d*[a-f])[0-9a-f]{32,}"
    r")(?![0-9A-Za-z])",
    re.ASCII | re.IGNORECASE,
)
# Of these that many in a row never all fail by chance: who sends them looks for work to be done, or for a way around.
_MOST_TRIED: Final = 2_000
_ZERO_WIDTH: Final = "Cf"
_ALIKE: Final = {"Pd": "-", "Zs": " ", _ZERO_WIDTH: ""}
_SIGNS: Final = {"\u2212": "-", "\uff0e": ".", "\uff0f": "/", "\uff3f": "_"}
# How many digits stand together where a card number is written out: by fours, one by one, or as some schemes print it.
_LENGTHS: Final = range(MIN_DIGITS, MAX_DIGITS + 1)
_SHAPES: Final = frozenset(
    (
        *((4,) * (digits // 4) + ((digits % 4,) if digits % 4 else ()) for digits in _LENGTHS),
        *((1,) * digits for digits in _LENGTHS),
        (4, 6, 5),
        (4, 6, 4),
        (4, 4, 5),
    )
)


class CardNumberPlace(NamedTuple):
    """Where a card number is: the field's path, "" for the record itself, and whether its name or its value is one."""

    path: str
    in_name: bool

    def __str__(self) -> str:
        """The place in words, without the number."""
        if self.in_name:
            return f"a field's name in {self.path}" if self.path else "a field's name"
        return self.path or "the record"


def holds_card_number(text: str) -> bool:
    """Whether 13 to 19 digits in a row pass the Luhn check.

    Single blanks and dashes may stand between them, anywhere. Between groups as cards show them (by fours, 4-6-5,
    4-6-4, 4-4-5) and between single digits there may be one or two of blank, dash, dot, slash and underscore.
    Elsewhere these would make card numbers of times, addresses and versions. Digits of every script count. What is
    longer than a card number holds none, unless separators part it. UUIDs and hexadecimal digests hold none.
    """
    return _Search().holds(text)


def find_card_number(record: Any) -> CardNumberPlace | None:
    """A place in decoded JSON where a card number stands, in a value or in a name; None where there is none.

    Numbers count as the digits before their point. An `event_time` of the record itself that is a time in epoch
    milliseconds does not.
    """
    search = _Search()
    waiting: list[tuple[str, Any]] = [("", record)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, dict):
            for name, entry in cast("dict[str, Any]", value).items():
                if search.holds(name):
                    return CardNumberPlace(path, in_name=True)
                if path or name != _EVENT_TIME or not _is_time(entry):
                    waiting.append((f"{path}.{_shown(name)}" if path else _shown(name), entry))
        elif isinstance(value, list):
            waiting += [
                (f"{path}.{index}" if path else str(index), entry)
                for index, entry in enumerate(cast("list[Any]", value))
            ]
        elif search.holds(value):
            return CardNumberPlace(path, in_name=False)
    return None


class _Search:
    """A search through one record, which tries so many numbers and no more."""

    def __init__(self) -> None:
        self._left = _MOST_TRIED

    def holds(self, value: object) -> bool:
        """Whether a text or a number is or holds a card number; nothing else does."""
        kind = type(value)
        if kind is str:
            text = cast(str, value)
            return len(text) >= MIN_DIGITS and any(self._passes(digits) for digits in _in_text(text))
        if kind is float:
            number = cast(float, value)
            return math.isfinite(number) and self._is_one(int(number))
        return kind is int and self._is_one(cast(int, value))

    def _is_one(self, number: int) -> bool:
        return 10 ** (MIN_DIGITS - 1) <= abs(number) < 10**MAX_DIGITS and self._passes(str(abs(number)))

    def _passes(self, digits: str) -> bool:
        self._left -= 1
        return self._left < 0 or luhn.is_valid(digits)


def _is_time(value: object) -> bool:
    return type(value) is int and MIN_EVENT_TIME_MS <= value <= MAX_EVENT_TIME_MS


def _in_text(text: str) -> Iterator[str]:
    """Digits of as many neighbouring groups as make a card number's length."""
    plain = text if text.isascii() else _plain(text)
    if _ENOUGH.search(plain) is None:
        return
    without_ids = _IDS.sub("x", plain)
    for run in _GROUPS.finditer(without_ids):
        groups = _GROUP.findall(run[0])
        for start in range(len(groups)):
            yield from _joined(groups[start : start + MAX_DIGITS])
    for run in _WIDE_GROUPS.finditer(without_ids):
        # What has single blanks and dashes alone was tried above.
        if _GROUPS.fullmatch(run[0]) is None:
            yield from _shaped(_GROUP.findall(run[0]))


def _joined(groups: Sequence[str]) -> Iterator[str]:
    for digits in accumulate(groups):
        if len(digits) > MAX_DIGITS:
            return
        if len(digits) >= MIN_DIGITS:
            yield digits


def _shaped(groups: Sequence[str]) -> Iterator[str]:
    """The digits of neighbouring groups that are as long as those of a card number that is written out."""
    lengths = tuple(map(len, groups))
    for start, length in enumerate(lengths):
        if length not in (1, 4):
            continue
        for end, digits in enumerate(accumulate(groups[start : start + MAX_DIGITS]), start + 1):
            if len(digits) > MAX_DIGITS:
                break
            if len(digits) >= MIN_DIGITS and lengths[start:end] in _SHAPES:
                yield digits


def _plain(text: str) -> str:
    """The text with ASCII digits and separators for whatever looks like them; what has no width goes."""
    if sum(map(str.isdigit, text)) < MIN_DIGITS:
        return ""
    return "".join(map(_plain_char, text))


def _plain_char(char: str) -> str:
    if char.isascii():
        return char
    if char.isdigit():
        return str(unicodedata.digit(char))
    return _SIGNS.get(char) or _ALIKE.get(unicodedata.category(char), char)


def _shown(name: str) -> str:
    line = name if name.isprintable() else name.encode("unicode_escape").decode("ascii")
    return line if len(line) <= _MAX_SHOWN_CHARS else line[:_MAX_SHOWN_CHARS] + "…"
