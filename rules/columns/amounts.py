"""Amounts of many purchases in a ruleset's currency."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import numpy as np

from models.money import MoneyError, convert_minor
from rules.columns.table import Bools, Ints, PurchaseColumns


def converted(table: PurchaseColumns, currency: str, rates: Mapping[str, Decimal]) -> tuple[Ints, Bools]:
    """Each amount in minor units of `currency`, and whether it could be converted (it is 0 where not)."""
    column, amounts = table.texts["currency"], table.amount_minor.copy()
    own = np.fromiter((text == currency for text in column.texts), np.bool_, len(column.texts))
    ok = own[column.codes] if len(own) else np.zeros(len(table), np.bool_)
    for code in np.unique(column.codes[~ok]).tolist():
        rows = np.flatnonzero(column.codes == code)
        values, inverse = np.unique(amounts[rows], return_inverse=True)
        source = str(column.texts[code])
        results = [_converted(value, source, currency, rates) for value in values.tolist()]
        amounts[rows] = np.array([result or 0 for result in results], np.int64)[inverse]
        ok[rows] = np.array([result is not None for result in results], np.bool_)[inverse]
    return amounts, ok


def _converted(amount_minor: int, source: str, target: str, rates: Mapping[str, Decimal]) -> int | None:
    try:
        return convert_minor(amount_minor, source, target, rates)
    except MoneyError:
        return None
