"""What is tried, and how many that may be."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from math import comb

import pytest

from models.parameter import Param
from rules.language.compile import compile_ruleset
from streams.tune.candidates import candidates_of
from streams.tune.errors import TuneError
from tests.streams.tune.story import RULES


def params(**tried: Sequence[object]) -> dict[str, Param]:
    return {name: Param.model_validate({"value": values[0], "try": values}) for name, values in tried.items()}


def test_the_file_as_it_is_then_each_value_alone_then_two_together() -> None:
    candidates = candidates_of(compile_ruleset(RULES).document.params, "rules.yaml", 100)
    alone = [("burst", Decimal(number)) for number in (1, 2, 3, 8)]
    large = [("large", Decimal("300.00")), ("large", Decimal("400.00"))]
    together = [dict([one, other]) for one in alone for other in large]
    assert list(candidates.changes) == [{}, *(dict([each]) for each in (*alone, *large)), *together]


def test_a_value_that_is_written_in_two_ways_is_tried_once() -> None:
    candidates = candidates_of(params(a=[Decimal(5), Decimal("5.00"), Decimal(3), Decimal("3.0")]), "rules.yaml", 10)
    assert candidates.changes == ({}, {"a": Decimal(3)})


def test_durations_stand_by_length_and_texts_as_they_are_written() -> None:
    length, name = candidates_of(params(a=["1h", "90m", "5s"], b=["x", "c", "d"]), "rules.yaml", 100).swept
    assert length.values == ("5s", "1h", "90m")
    assert name.values == ("x", "c", "d")


def test_too_many_are_counted_and_refused() -> None:
    many = params(**{f"p{number}": list(range(11)) for number in range(9)})
    count = 1 + 9 * 10 + comb(9, 2) * 100
    assert len(candidates_of(many, "rules.yaml", count)) == count
    with pytest.raises(TuneError, match=rf"rules.yaml: {count:,} candidates.* are more than 3,690 .*shorten `try`"):
        candidates_of(many, "rules.yaml", count - 1)


@pytest.mark.parametrize("given", [{}, params(a=[Decimal(5)]), {"a": Param.model_validate({"value": 5})}])
def test_without_a_value_to_try_an_example_is_given(given: dict[str, Param]) -> None:
    with pytest.raises(TuneError, match="no parameter has other values to `try`") as error:
        candidates_of(given, "rules.yaml", 10)
    example = f"ruleset: checkout\n{str(error.value).split('For example:')[1]}"
    assert candidates_of(compile_ruleset(example).document.params, "rules.yaml", 10).swept
