"""Between purchases as records and purchases as columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.purchase import Instalments, Purchase
from rules.columns.table import MISSING, NEVER_MS, TEXT_FIELDS, PurchaseColumns, TextColumn


def columns_of(purchases: Sequence[Purchase], fraud_known_ms: Sequence[int] | None = None) -> PurchaseColumns:
    """Columns of purchases that are in canonical order. `fraud_known_ms` is a time for each, by default NEVER_MS.

    It looks at every field of every purchase: for tests and for the few purchases of a rule's cases.
    """
    return PurchaseColumns(
        event_time_ms=np.array([purchase.event_time for purchase in purchases], np.int64),
        amount_minor=np.array([purchase.amount for purchase in purchases], np.int64),
        texts={field: text_column([getattr(purchase, field) for purchase in purchases]) for field in TEXT_FIELDS},
        instalments=np.array([p.instalments.count if p.instalments is not None else 0 for p in purchases], np.int64),
        attributes=[p.attributes for p in purchases] if any(p.attributes for p in purchases) else None,
        fraud_known_ms=np.array(fraud_known_ms or [NEVER_MS] * len(purchases), np.int64),
    )


def text_column(texts: Sequence[str | None]) -> TextColumn:
    """A column of these texts, None where one is missing."""
    numbers: dict[str, int] = {}
    codes = [MISSING if text is None else numbers.setdefault(text, len(numbers)) for text in texts]
    return TextColumn(np.array(codes, np.int32), list(numbers))


def text_at(table: PurchaseColumns, field: str, row: int) -> str | None:
    """A text of one purchase; None where it has none."""
    column = table.texts[field]
    code = int(column.codes[row])
    return None if code == MISSING else column.texts[code]


def purchase_at(table: PurchaseColumns, row: int) -> Purchase:
    """One purchase, with all that rules look at. The columns were checked when they were made."""
    count = int(table.instalments[row])
    texts: dict[str, Any] = {field: text_at(table, field, row) for field in TEXT_FIELDS}
    return Purchase.model_construct(
        None,
        **texts,
        amount=int(table.amount_minor[row]),
        event_time=int(table.event_time_ms[row]),
        instalments=Instalments.model_construct(count=count, interval_days=30) if count else None,
        attributes=dict(table.attributes[row]) if table.attributes is not None else {},
    )
