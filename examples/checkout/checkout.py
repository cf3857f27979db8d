"""A checkout in Python: ask, act on the answer, capture.

    STOPBANK_URL=http://127.0.0.1:8080 STOPBANK_KEY=sb_... python examples/checkout/checkout.py

Several gateways are given with commas between; DEADLINE_MS is how long an answer may take.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
import uuid

from models.purchase import Purchase
from streams.client import ConflictError, StopbankClient, StopbankError, UnavailableError

DEADLINE_MS = int(os.environ.get("DEADLINE_MS", "100"))
# Below this, in minor units, a purchase is approved where no gateway can be reached at all.
SMALL = 20_000


async def pay(stopbank: StopbankClient, purchase: Purchase) -> str:
    """Take a purchase through checkout; returns what the customer is told."""
    try:
        answer = await stopbank.decide(purchase)
    except UnavailableError as error:
        sys.stderr.write(f"{error}\n")
        return "thank you" if purchase.amount < SMALL else "please try again in a moment"
    if answer.degraded:
        # As binding as any other. The full decision follows on `reconciliations`.
        sys.stdout.write(f"answered by {answer.tier}, because of {answer.cause}\n")
    decision = answer.decision
    sys.stdout.write(f"{decision.transaction_id}: {decision.action} {[reason.code for reason in decision.reasons]}\n")
    if decision.action == "block":
        return "this purchase is not possible"
    if decision.action == "flag":
        return "we are checking your order"
    try:
        captured = await stopbank.capture(
            purchase.transaction_id, purchase.account_id, deadline_ms=max(DEADLINE_MS, 2_000)
        )
    except ConflictError as error:
        # Decided otherwise since, or expired: the order stops here.
        return f"we are checking your order ({error.code})"
    sys.stdout.write(f"capture {captured.result.status}\n")
    return "thank you"


async def main() -> None:
    """One purchase."""
    purchase = Purchase(
        # A UUID is never taken for a card number; a long run of digits may be.
        transaction_id=str(uuid.uuid4()),
        account_id="a-python",
        amount=19_900,
        currency="CNY",
        event_time=time.time_ns() // 1_000_000,
        merchant_id="m-1001",
        mcc="5411",
        device_id="d-python",
        ip="203.0.113.7",
    )
    urls = os.environ["STOPBANK_URL"].split(",")
    async with StopbankClient(urls, os.environ["STOPBANK_KEY"], deadline_ms=DEADLINE_MS) as stopbank:
        sys.stdout.write(f"{await pay(stopbank, purchase)}\n")


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except KeyError as unset:
        sys.exit(f"set {unset.args[0]}")
    except StopbankError as refused:
        sys.exit(str(refused))
