"""The labelled sets that detection is measured on. They are not part of the project: see `data_directory`."""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

DATA_VARIABLE: Final = "STOPBANK_DATA"
HANDBOOK_FILE: Final = "handbook_2018-06-04_2018-08-14.csv.gz"
ECOMMERCE_FILE: Final = "fraud_ecom_51689.csv.gz"

_BESIDE_THE_REPOSITORY: Final = Path(__file__).resolve().parents[2] / "shared" / "data"


class CardPayment(NamedTuple):
    """A payment of the Fraud Detection Handbook's simulated set (Le Borgne et al., ULB and Worldline)."""

    time_ms: int
    card: str
    terminal: str
    amount_minor: int
    is_fraud: bool


class FirstPurchase(NamedTuple):
    """A user's first purchase in the e-commerce set; times are read as UTC, the value as whole dollars."""

    time_ms: int
    user: str
    device: str
    ip: str
    amount_minor: int
    is_fraud: bool


def data_directory() -> Path:
    """Where the sets are: what STOPBANK_DATA names, else `shared/data` beside the repository."""
    named = os.environ.get(DATA_VARIABLE)
    return Path(named) if named else _BESIDE_THE_REPOSITORY


def is_available(file: str) -> bool:
    """Whether a set is here to be measured on."""
    return (data_directory() / file).is_file()


def read_handbook() -> list[CardPayment]:
    """All payments in order of time."""
    return [
        CardPayment(
            _epoch_ms(row["TX_DATETIME"]),
            row["CUSTOMER_ID"],
            row["TERMINAL_ID"],
            round(float(row["TX_AMOUNT"]) * 100),
            row["TX_FRAUD"] == "1",
        )
        for row in _rows(HANDBOOK_FILE)
    ]


def read_ecommerce() -> list[FirstPurchase]:
    """All purchases in order of time; those of one moment in the order of the file."""
    purchases = [
        FirstPurchase(
            _epoch_ms(row["purchase_time"]),
            row["user_id"],
            row["device_id"],
            row["ip_address"],
            round(float(row["purchase_value"]) * 100),
            row["class"] == "1",
        )
        for row in _rows(ECOMMERCE_FILE)
    ]
    return sorted(purchases, key=lambda purchase: purchase.time_ms)


def _rows(file: str) -> Iterator[dict[str, str]]:
    with gzip.open(data_directory() / file, "rt", encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines)


def _epoch_ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000
