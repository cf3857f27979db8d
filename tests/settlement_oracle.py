"""An oracle of settlements: each purchase a record in a dict, each settlement an if, all time walked through.

It knows nothing of rows, blocks, agendas and bounds. What it is told to do with credit and outcomes is left to
whoever asks it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from models.money import MoneyError
from models.purchase import Purchase
from models.settlement import Settlement, SettlementResult

DAY_MS = 86_400_000
RELEASED = "released"
_CAPTURED_AT_ONCE = ("captured", "refunded")


@dataclass
class Bought:
    """A purchase that was decided, and what became of it. Amounts are in the ruleset's currency."""

    purchase: Purchase
    reserved: int
    state: str
    forgotten_ms: int
    expires_ms: int | None = None
    turned: bool = False
    captured: int = 0
    refunded: int = 0
    refunds: dict[str, int] = field(default_factory=dict[str, int])


class SettlementOracle:
    """What every settlement should come to, where everything arrives in one partition in the order given.

    `convert` gives an amount in the ruleset's currency, `credit` is told of what is used (or freed, below 0) of an
    account's credit, `outcome` of the log that a purchase belongs to from now on.
    """

    def __init__(
        self,
        convert: Callable[[int, str], int],
        currency: str,
        expire_after_ms: int | None,
        credit: Callable[[str, int], None],
        outcome: Callable[[Purchase, str], None],
    ) -> None:
        self.results: list[SettlementResult] = []
        self.now_ms = 0
        self._convert, self._currency, self._expire_after_ms = convert, currency, expire_after_ms
        self._credit, self._outcome = credit, outcome
        self._bought: dict[tuple[str, str], Bought] = {}
        self._waiting: list[tuple[int, Settlement]] = []
        # Nothing expires or is forgotten before.
        self._due_ms = 0
        self._told: set[tuple[str, str]] = set()
        # First decisions as they are kept: oldest first, for a day.
        self._decided: list[tuple[int, tuple[str, str]]] = []

    def pass_time(self, now_ms: int) -> None:
        """Event time passes: before a purchase is decided, to the latest that was seen, itself included."""
        self.now_ms = max(self.now_ms, now_ms)
        # To look through all for each purchase would take minutes on a long stream.
        if self.now_ms < self._due_ms:
            return
        for (account_id, _), bought in list(self._bought.items()):
            if bought.expires_ms is not None and bought.expires_ms <= self.now_ms:
                event_time = bought.expires_ms
                bought.expires_ms, bought.state = None, "expired"
                bought.forgotten_ms = self.now_ms + DAY_MS
                self._credit(account_id, -bought.reserved)
                self._outcome(bought.purchase, RELEASED)
                named = {"transaction_id": bought.purchase.transaction_id, "account_id": account_id, "kind": "expire"}
                self._say({**named, "event_time": event_time}, bought, bought.reserved)
        for key in [key for key, bought in self._bought.items() if bought.forgotten_ms <= self.now_ms]:
            del self._bought[key]
        for until_ms, settlement in self._waiting:
            if until_ms <= self.now_ms:
                bought = self._bought.get(_key(settlement))
                self._refuse(settlement, "unknown_transaction" if bought is None else "not_approved", bought)
        self._waiting = [each for each in self._waiting if each[0] > self.now_ms]
        due = [bought.forgotten_ms for bought in self._bought.values()] + [until_ms for until_ms, _ in self._waiting]
        due += [bought.expires_ms for bought in self._bought.values() if bought.expires_ms is not None]
        # What comes by later than this moment, but for reservations, stays for a day at least.
        self._due_ms = min([*due, self.now_ms + DAY_MS])

    def decided(self, purchase: Purchase, amount: int, *, approved: bool) -> None:
        """A purchase is decided, and its outcome and credit are entered; what waited for it follows."""
        key = (purchase.account_id, purchase.transaction_id)
        expires = approved and self._expire_after_ms is not None
        self._bought[key] = Bought(
            purchase,
            amount,
            "reserved" if approved else "declined",
            purchase.event_time + 180 * DAY_MS,
            purchase.event_time + (self._expire_after_ms or 0) if expires else None,
            turned=not approved,
        )
        bought = self._bought[key]
        self._due_ms = min(self._due_ms, bought.forgotten_ms, bought.expires_ms or bought.forgotten_ms)
        self._decided.append((purchase.event_time, key))
        while len(self._decided) > 1 and self._decided[0][0] < self.now_ms - DAY_MS:
            self._decided.pop(0)
        self._call(key)

    def tell(self, account_id: str, transaction_id: str) -> None:
        """A gateway has told the checkout by itself to go ahead."""
        self._told.add((account_id, transaction_id))
        self._call((account_id, transaction_id))

    def settle(self, settlement: Settlement) -> None:
        """A settlement arrives, or its turn has come."""
        bought = self._bought.get(_key(settlement))
        if bought is not None and not self._awaits_answer(bought):
            try:
                code, released = getattr(self, f"_{settlement.kind}")(settlement, bought)
            except MoneyError:
                code, released = "no_rate", 0
            if code is not None:
                self._refuse(settlement, code, bought)
            else:
                self._say(_named(settlement), bought, released)
        elif bought is None and _key(settlement) in [key for _, key in self._decided]:
            self._refuse(settlement, "unknown_transaction")
        else:
            asked = _asked(settlement)
            if asked not in [_asked(each) for _, each in self._waiting]:
                self._waiting.append((max(self.now_ms, settlement.event_time) + DAY_MS, settlement))
            self._say(_named(settlement), bought, 0, "waiting")

    def _awaits_answer(self, bought: Bought) -> bool:
        key = (bought.purchase.account_id, bought.purchase.transaction_id)
        return bought.state == "declined" and key not in self._told

    def _call(self, key: tuple[str, str]) -> None:
        """What waits for a purchase follows, unless it is declined and nobody was told otherwise."""
        bought = self._bought.get(key)
        if bought is None or self._awaits_answer(bought):
            return
        called = [settlement for _, settlement in self._waiting if _key(settlement) == key]
        self._waiting = [each for each in self._waiting if _key(each[1]) != key]
        for settlement in called:
            self.settle(settlement)

    def _capture(self, settlement: Settlement, bought: Bought) -> tuple[str | None, int]:
        amount = self._amount(settlement, bought, bought.reserved)
        released = 0 if bought.turned else bought.reserved - amount
        if bought.state in _CAPTURED_AT_ONCE:
            return (None, released) if amount == bought.captured else ("already_captured", 0)
        if bought.state in ("voided", "expired"):
            return f"already_{bought.state}", 0
        if amount > bought.reserved:
            return "exceeds_reserved", 0
        if bought.turned:
            self._credit(settlement.account_id, amount)
            self._outcome(bought.purchase, "approved")
        else:
            self._credit(settlement.account_id, -released)
        bought.state, bought.captured, bought.expires_ms = "captured", amount, None
        bought.forgotten_ms = self.now_ms + 180 * DAY_MS
        return None, released

    def _void(self, settlement: Settlement, bought: Bought) -> tuple[str | None, int]:
        released = 0 if bought.turned else bought.reserved
        if bought.state == "voided":
            return None, released
        if bought.state in _CAPTURED_AT_ONCE:
            return "already_captured", 0
        if bought.state == "expired":
            return "already_expired", 0
        if not bought.turned:
            self._credit(settlement.account_id, -released)
            self._outcome(bought.purchase, RELEASED)
        bought.state, bought.expires_ms, bought.forgotten_ms = "voided", None, self.now_ms + DAY_MS
        return None, released

    def _refund(self, settlement: Settlement, bought: Bought) -> tuple[str | None, int]:
        assert settlement.refund_id is not None
        given = bought.refunds.get(settlement.refund_id)
        left = bought.captured - bought.refunded
        amount = self._amount(settlement, bought, left if given is None else given)
        if given is not None:
            return (None, given) if amount == given else ("refund_id_used", 0)
        if bought.state == "refunded":
            return "exceeds_captured", 0
        if bought.state != "captured":
            return "not_captured", 0
        if amount > left:
            return "exceeds_captured", 0
        self._credit(settlement.account_id, -amount)
        bought.refunds[settlement.refund_id] = amount
        bought.refunded += amount
        if bought.refunded == bought.captured:
            bought.state, bought.forgotten_ms = "refunded", self.now_ms + DAY_MS
            self._outcome(bought.purchase, RELEASED)
        return None, amount

    def _amount(self, settlement: Settlement, bought: Bought, whole: int) -> int:
        if settlement.amount is None or settlement.currency is None:
            return whole
        if settlement.currency == bought.purchase.currency != self._currency:
            share = Decimal(bought.reserved) * settlement.amount / bought.purchase.amount
            return int(share.quantize(Decimal(1), rounding=ROUND_HALF_EVEN))
        return self._convert(settlement.amount, settlement.currency)

    def _refuse(self, settlement: Settlement, code: str, bought: Bought | None = None) -> None:
        self._say({**_named(settlement), "code": code}, bought, 0, "refused")

    def _say(self, named: dict[str, Any], bought: Bought | None, released: int, status: str = "applied") -> None:
        if bought is not None:
            named |= {"state": bought.state, "reserved": bought.reserved, "captured": bought.captured}
            named |= {"refunded": bought.refunded, "released": released, "currency": self._currency}
        self.results.append(SettlementResult.model_validate({**named, "status": status}))


def _key(settlement: Settlement) -> tuple[str, str]:
    return settlement.account_id, settlement.transaction_id


def _asked(settlement: Settlement) -> dict[str, Any]:
    return settlement.model_dump(exclude={"event_time"})


def _named(settlement: Settlement) -> dict[str, Any]:
    return settlement.model_dump(exclude={"amount", "currency"})
