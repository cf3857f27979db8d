"""A rule file under many values, against compiling it anew each time."""

from __future__ import annotations

from decimal import Decimal
from itertools import product

import pytest

from rules.language.compile import compile_ruleset
from rules.language.diagnostics import RulesetError
from rules.language.variants import Variants

RULES = """
ruleset: checkout
params:
  burst: {value: 5, try: [3, 4]}
  reach: {value: 10m, try: [1h]}
  large: 500.00
  shop: m-1
rules:
  - {id: burst, when: "count(device_id, $reach) > $burst and amount > $large", then: block}
  - {id: shop, when: "merchant_id == $shop or amount > $large", then: flag}
  - {id: plain, when: "count(account_id, 1h) > 3", then: flag}
"""


@pytest.mark.parametrize(
    "values",
    [
        {**first, **second}
        for first, second in product(
            [{}, {"burst": Decimal(3)}, {"reach": "1h"}, {"burst": Decimal(4), "reach": "48h"}],
            [{}, {"large": Decimal("12.50")}, {"shop": "m-2"}],
        )
    ],
    ids=str,
)
def test_it_is_what_compiling_makes_of_the_values(values: dict[str, Decimal | str]) -> None:
    variants = Variants(RULES)
    # What was made before must not show.
    variants.of({"burst": Decimal(3), "large": Decimal(1), "shop": "m-3"})
    made, expected = variants.of(values), compile_ruleset(RULES, params=values)
    assert made.version == expected.version
    assert made.conditions == expected.conditions
    assert made.plan.feature_names == expected.plan.feature_names
    assert made.plan.features == expected.plan.features
    assert made.document == expected.document


def test_values_that_a_condition_can_not_have_are_told_with_their_place() -> None:
    with pytest.raises(RulesetError, match=r"<rules>:9:.*decimals"):
        Variants(RULES).of({"large": Decimal("1.005")})
    with pytest.raises(RulesetError, match="a window is 1s to 90d long"):
        Variants(RULES).of({"reach": "91d"})
    with pytest.raises(RulesetError, match=r"(?s)unknown parameter `bust`.*did you mean `burst`\?"):
        Variants(RULES).of({"bust": Decimal(1)})
    with pytest.raises(RulesetError, match="amuont"):
        Variants(RULES.replace("amount", "amuont"))
