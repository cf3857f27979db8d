"""What is tried: each parameter alone over its values, and each two of them together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import prod
from typing import Final

from models.parameter import Param, ParamValue, kind_of
from rules.language.params import literal_text
from rules.language.parser import duration_ms
from streams.tune.errors import TuneError

_EXAMPLE: Final = """\
params:
  burst: {value: 5, try: [3, 4, 5, 6, 8]}
rules:
  - id: device-burst
    when: count(device_id, 10m) > $burst
    then: block"""

Values = Mapping[str, ParamValue]


@dataclass(frozen=True)
class Swept:
    """A parameter that is tried: its present value, and all its values in order, the present one among them."""

    name: str
    present: ParamValue
    values: tuple[ParamValue, ...]
    description: str = ""

    @property
    def others(self) -> tuple[ParamValue, ...]:
        """The values that are not the present one."""
        return tuple(value for value in self.values if value != self.present)


class Candidates:
    """All that is tried, numbered: the file as it is first, then one change each, then two.

    `changes` has for each candidate the values that are not the file's.
    """

    def __init__(self, swept: Sequence[Swept]) -> None:
        self.swept = tuple(swept)
        self.changes: tuple[Values, ...] = tuple(_changes(self.swept))
        self._numbers = {_key(changes): number for number, changes in enumerate(self.changes)}

    def __len__(self) -> int:
        return len(self.changes)

    def number(self, values: Values) -> int:
        """The number of the candidate with these values for one or two parameters, the others as in the file."""
        present = {each.name: each.present for each in self.swept}
        return self._numbers[_key({name: value for name, value in values.items() if value != present[name]})]


def candidates_of(params: Mapping[str, Param], file: str, most: int) -> Candidates:
    """What the parameters of a rule file ask to be tried.

    Raises TuneError where none has a value to try, and where that comes to more than `most` candidates.
    """
    swept = [_swept(name, param) for name, param in params.items() if param.try_]
    swept = [each for each in swept if each.others]
    if not swept:
        raise TuneError(f"{file}: no parameter has other values to `try`. For example:\n\n{_EXAMPLE}")
    counts = [len(each.others) for each in swept]
    count = 1 + sum(counts) + sum(prod(pair) for pair in combinations(counts, 2))
    if count > most:
        tried = ", ".join(f"{each.name} {len(each.values)}" for each in swept)
        raise TuneError(
            f"{file}: {count:,} candidates, alone and in pairs, are more than {most:,} (values tried: {tried}): "
            "shorten `try`, or allow more with --max-candidates"
        )
    return Candidates(swept)


def _swept(name: str, param: Param) -> Swept:
    values = list(dict.fromkeys([param.value, *(param.try_ or ())]))
    return Swept(name, param.value, tuple(_ordered(values)), param.description)


def _ordered(values: list[ParamValue]) -> list[ParamValue]:
    """Numbers and durations by size; texts as they stand."""
    if kind_of(values[0]) == "text":
        return values
    return sorted(values, key=lambda value: duration_ms(value) if isinstance(value, str) else value)


def _changes(swept: Sequence[Swept]) -> Iterator[Values]:
    yield {}
    for each in swept:
        for value in each.others:
            yield {each.name: value}
    for one, other in combinations(swept, 2):
        for first in one.others:
            for second in other.others:
                yield {one.name: first, other.name: second}


def _key(values: Values) -> frozenset[tuple[str, ParamValue]]:
    return frozenset(values.items())


def told(value: ParamValue) -> str:
    """A value as a person reads it: as in a condition, texts without quotes."""
    return value if isinstance(value, str) else literal_text(value)
