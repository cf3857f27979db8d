"""What is read of a purchase, whether the model holds it or what reads it fast."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class LocationFields(Protocol):
    """See `models.purchase.Location`."""

    @property
    def lat(self) -> float: ...  # noqa: D102  # named by the model
    @property
    def lon(self) -> float: ...  # noqa: D102


class InstalmentsFields(Protocol):
    """See `models.purchase.Instalments`."""

    @property
    def count(self) -> int: ...  # noqa: D102
    @property
    def interval_days(self) -> int: ...  # noqa: D102


class PurchaseFields(Protocol):
    """See `models.purchase.Purchase`."""

    @property
    def transaction_id(self) -> str: ...  # noqa: D102
    @property
    def account_id(self) -> str: ...  # noqa: D102
    @property
    def amount(self) -> int: ...  # noqa: D102
    @property
    def currency(self) -> str: ...  # noqa: D102
    @property
    def event_time(self) -> int: ...  # noqa: D102
    @property
    def merchant_id(self) -> str: ...  # noqa: D102
    @property
    def mcc(self) -> str: ...  # noqa: D102
    @property
    def card_id(self) -> str | None: ...  # noqa: D102
    @property
    def device_id(self) -> str | None: ...  # noqa: D102
    @property
    def ip(self) -> str | None: ...  # noqa: D102
    @property
    def country(self) -> str | None: ...  # noqa: D102
    @property
    def channel(self) -> str | None: ...  # noqa: D102
    @property
    def location(self) -> LocationFields | None: ...  # noqa: D102
    @property
    def instalments(self) -> InstalmentsFields | None: ...  # noqa: D102
    @property
    def attributes(self) -> Mapping[str, str | int | float | bool]: ...  # noqa: D102
