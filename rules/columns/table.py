"""Purchases as columns: one array a field, in canonical order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Codes = NDArray[np.int32]
Bools = NDArray[np.bool_]

# The code of a missing text.
MISSING: Final = -1
# The time at which a label becomes known that never does: after every event time.
NEVER_MS: Final = 2**62
# The fields of a purchase that hold text, in the order of the model.
TEXT_FIELDS: Final = (
    "transaction_id",
    "account_id",
    "currency",
    "merchant_id",
    "mcc",
    "card_id",
    "device_id",
    "ip",
    "country",
    "channel",
)


@dataclass(frozen=True, slots=True)
class TextColumn:
    """Texts by code: row i holds `texts[codes[i]]`, or nothing where `codes[i]` is MISSING.

    The texts differ from each other; they belong to this table alone, so that codes of two tables do not compare.
    """

    codes: Codes
    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class PurchaseColumns:
    """n purchases in canonical order, each transaction once, none malformed.

    `event_time_ms` never falls from one row to the next, nor from one table of a run to the next.
    `amount_minor` is as sent, in minor units of `texts["currency"]`. `instalments` is the number of
    instalments, 0 where there are none. `attributes` is None where no purchase has any, else one mapping a row.
    `fraud_known_ms` is when a purchase became known as fraud, NEVER_MS where it did not.
    """

    event_time_ms: Ints
    amount_minor: Ints
    texts: Mapping[str, TextColumn]
    instalments: Ints
    attributes: Sequence[Mapping[str, str | int | float | bool]] | None
    fraud_known_ms: Ints

    def __len__(self) -> int:
        return len(self.event_time_ms)
