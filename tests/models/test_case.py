"""What a case may say of a purchase is what a purchase is."""

from __future__ import annotations

from typing import Any, Optional, get_type_hints

from models.case import CasePurchase
from models.purchase import Purchase

# Amounts of cases are in major units of currencies of their own, and their times may be told from the purchase before.
TOLD_OTHERWISE = {"amount", "currency", "event_time"}


def test_a_case_can_say_all_of_a_purchase_and_in_the_same_words() -> None:
    case: dict[str, Any] = get_type_hints(CasePurchase, include_extras=True)
    purchase: dict[str, Any] = get_type_hints(Purchase, include_extras=True)
    for name, field in Purchase.model_fields.items():
        if name in TOLD_OTHERWISE:
            assert name in case or {"at", "after"} <= case.keys()
        elif field.is_required():
            # In a case it has a default, or is made up.
            assert case[name] in (purchase[name], Optional[purchase[name]]), name  # noqa: UP045  # made at run time
        else:
            assert case[name] == purchase[name], name
            assert CasePurchase.model_fields[name].metadata == field.metadata, name
