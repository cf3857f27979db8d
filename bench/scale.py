"""What a purchase costs, what an idle account takes and how fast state is read back, by the number of accounts.

`make bench-scale ARGS="--quick --json"`. Rules over the account alone, one worker on a real Kafka. It finds the state
of all accounts in its changelog, is ready, and then gets the same number of purchases, whatever the number of accounts;
the sizes take turns in each round.

What differs between sizes is the number of accounts and nothing else (bench/customers.py): every account buys equally
often in event time, so that its logs are of one length; each purchase is of another account, so that nothing is warm
because it was just used; all purchases are approved. What is kept beside the logs grows with each purchase for months
(a reservation), so a size that would get more purchases in all rounds than its accounts have behind them begins anew
in each round.

Memory is told twice: of the worker that has read the state back, and of the processes that let the accounts buy. The
latter are Python, the folds and their state alone; the former's peak, while it reads, is in its memory too.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

import orjson

from bench.customers import Customers, account_id
from bench.known_accounts import Known, write_known_accounts
from bench.rig import Drain, Rig, Sent, Worker
from bench.stage import kafka
from streams.settings import Settings
from streams.topics import ASSESSMENTS_STATE

RULES: Final = "account-only.yaml"
PARTITIONS: Final = 4
# By the rows that an account's log has: with many, so many accounts can be made in the time there is.
SIZES: Final = {1: (1_000, 10_000, 100_000, 1_000_000), 32: (1_000, 10_000)}
QUICK_SIZES: Final = {1: (1_000, 10_000, 100_000)}
# Before what counts: a new process runs slowly until its code and its connections are in use.
_WARM_UP: Final = 2_000
# Below, an account's part of a process's memory can't be told from the rest.
_MEMORY_FROM: Final = 100_000
# The last purchase is older than the broker's clock by so much.
_BEHIND_MS: Final = 60_000


class Recovery(NamedTuple):
    """A worker that has read its state back: from how many records, in what time, at what resident memory."""

    records: int
    seconds: float
    rss_bytes: int


@dataclass
class Shop:
    """The topics of some customers, and how much they have bought there beyond their first day."""

    settings: Settings
    customers: Customers
    bought: int = 0


@dataclass
class Size:
    """A number of accounts, and what was measured with them."""

    accounts: int
    rows: int
    drains: list[Drain] = field(default_factory=list[Drain])
    recoveries: list[Recovery] = field(default_factory=list[Recovery])
    known: list[Known] = field(default_factory=list[Known])
    shop: Shop | None = None


class Scale:
    """The rounds on one broker; each sends `purchases` to every size."""

    def __init__(self, servers: str, purchases: int, rounds: int) -> None:
        self._rig = Rig(servers, PARTITIONS)
        self._purchases = purchases
        self._rounds = rounds
        self._in_all = (_WARM_UP + purchases) * rounds
        self._empty_rss_bytes = 0

    async def measure(self, sizes: Sequence[Size]) -> None:
        """All rounds."""
        empty = await self._rig.prepare(RULES)
        _, recovery = await self._turn(empty, ())
        self._empty_rss_bytes = recovery.rss_bytes
        for number in range(self._rounds):
            for size in sizes:
                await self._take_turn(size)
                cost, recovery = size.drains[-1].cpu_us, size.recoveries[-1]
                print(
                    f"round {number + 1}, {size.accounts} accounts, {size.rows} rows: {cost:.1f} us a purchase; "
                    f"{recovery.records} records read back in {recovery.seconds:.2f} s",
                    flush=True,
                )

    async def _take_turn(self, size: Size) -> None:
        shop = size.shop
        if shop is None or self._in_all > size.accounts * size.rows:
            shop = size.shop = await self._open(size)
        first = shop.customers.history + shop.bought
        shop.bought += _WARM_UP + self._purchases
        bought = shop.customers.purchases(first, shop.customers.history + shop.bought)
        drain, recovery = await self._turn(
            shop.settings, [Sent(account_id(each.account), each.value) for each in bought]
        )
        size.drains.append(drain)
        size.recoveries.append(recovery)

    async def _open(self, size: Size) -> Shop:
        """New topics, and accounts with one day behind them."""
        settings, end_ms = await self._rig.prepare(RULES), int(time.time() * 1000) - _BEHIND_MS
        customers = Customers.until(size.accounts, size.rows, self._in_all, end_ms)
        size.known = await asyncio.to_thread(
            write_known_accounts, self._rig.servers, settings.topic_prefix, RULES, customers, PARTITIONS
        )
        return Shop(settings, customers)

    async def _turn(self, settings: Settings, purchases: Sequence[Sent]) -> tuple[Drain, Recovery]:
        records = await self._rig.records(settings, [ASSESSMENTS_STATE])
        worker = Worker(settings)
        try:
            await worker.ready()
            recovery = Recovery(records, _recovery_s(worker), worker.rss_bytes())
            drain = Drain(0.0, 0.0)
            for sent in filter(None, (purchases[:_WARM_UP], purchases[_WARM_UP:])):
                drain = await self._rig.drain(settings, [worker], sent)
        finally:
            worker.end()
        return drain, recovery

    def figures(self, size: Size, smallest: Size) -> dict[str, Any]:
        """What a size's rounds add up to; ratios are to the smallest size in the same round."""
        costs = [drain.cpu_us for drain in size.drains]
        ratios = [cost / drain.cpu_us for cost, drain in zip(costs, smallest.drains, strict=True)]
        figures: dict[str, Any] = {
            "accounts": size.accounts,
            "rows_in_reach": size.rows,
            "cpu_us": round(statistics.median(costs), 1),
            "purchases_per_s": round(statistics.median(drain.purchases_per_s for drain in size.drains)),
            "ratio": round(statistics.median(ratios), 3),
            "ratio_spread": [round(min(ratios), 3), round(max(ratios), 3)],
            "recovery_records": size.recoveries[0].records,
            "recovery_s": round(statistics.median(each.seconds for each in size.recoveries), 2),
            "recovery_records_per_s": round(statistics.median(each.records / each.seconds for each in size.recoveries)),
        }
        if size.accounts >= _MEMORY_FROM:
            recovered = statistics.median(each.rss_bytes for each in size.recoveries) - self._empty_rss_bytes
            bought = sum(known.memory_bytes for known in size.known)
            figures["bytes_per_idle_account"] = {
                "recovered": round(recovered / size.accounts),
                "bought": round(bought / size.accounts),
            }
        return figures


def _recovery_s(worker: Worker) -> float:
    """Seconds from the assignment of its partitions until the last that has state is read back."""
    took_over = max(_logged_at(worker.events("took over")))
    return max(_logged_at(worker.events("recovered"))) - took_over


def _logged_at(events: Iterable[dict[str, Any]]) -> list[float]:
    return [datetime.fromisoformat(event["timestamp"]).timestamp() for event in events]


def _told(figures: dict[str, Any]) -> str:
    lines = [
        f"{figures['accounts']:>9} accounts of {figures['rows_in_reach']:>2} rows: {figures['cpu_us']} us CPU a "
        f"purchase, {figures['ratio']} of the smallest {figures['ratio_spread']}; read back "
        f"{figures['recovery_records']} records in {figures['recovery_s']} s, {figures['recovery_records_per_s']}/s"
    ]
    if "bytes_per_idle_account" in figures:
        memory = figures["bytes_per_idle_account"]
        lines.append(
            f"{'':>9} memory of an idle account: {memory['recovered']} bytes where it was read back, "
            f"{memory['bought']} where it bought"
        )
    return "\n".join(lines)


async def measure(servers: str, sizes: dict[int, Sequence[int]], purchases: int, rounds: int) -> list[dict[str, Any]]:
    """The figures of every size."""
    scale = Scale(servers, purchases, rounds)
    measured = [Size(accounts, rows) for rows, numbers in sizes.items() for accounts in numbers]
    await scale.measure(measured)
    smallest = {size.rows: size for size in reversed(measured)}
    return [scale.figures(size, smallest[size.rows]) for size in measured]


def main() -> None:
    """Run, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of fewer purchases and accounts, within 90 s")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    options = parser.parse_args()
    sizes, purchases, rounds = (QUICK_SIZES, 10_000, 1) if options.quick else (SIZES, 30_000, 3)
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, {purchases} purchases to each size in "
        f"{rounds} round(s), rules of {RULES}",
        flush=True,
    )
    with kafka() as servers:
        results = asyncio.run(measure(servers, dict(sizes), purchases, rounds))
    for figures in results:
        print(_told(figures), flush=True)
    if options.json:
        print(orjson.dumps(results).decode())


if __name__ == "__main__":
    main()
