"""What a purchase costs, what an idle account takes and how fast state is read back, by the number of accounts.

`make bench-scale ARGS="--quick --json"`. Rules over the account alone, one worker on a real Kafka. It finds the state
of all accounts in its changelog, is ready, and then gets the same number of purchases, whatever the number of accounts;
the sizes take turns in each round.

What differs between sizes is the number of accounts and nothing else (bench/customers.py): every account buys equally
often in event time, so that its logs are of one length; the purchases are of as many accounts as there are purchases,
drawn from all, or of all; all are approved. Where state is read back, an account's logs are read only when it first
buys. So each of these accounts buys once before, and what that costs is told apart: it is what purchases cost at first
after a restart. What is kept beside the logs grows with each purchase for months (a reservation), so a size that would
get more purchases in all rounds than its accounts have behind them begins anew in each round.

Memory is told twice: of the worker that has read the state back, and of the processes that let the accounts buy. The
latter are Python, the folds and their state alone; the former's peak, while it reads, is in its memory too.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

import orjson
import uvloop

from bench.customers import Customers
from bench.figures import Spread, spread
from bench.known_accounts import Known, write_known_accounts
from bench.machine import Cores, Placement, cpu_model, pinned_to, place, usable_cores
from bench.rig import Worker, drain_at_once, quieten, records_in
from bench.stage import RULES, Bench, Drain, Record, kafka
from streams.settings import Settings
from streams.topics import ASSESSMENTS_STATE

ACCOUNT_RULES: Final = "account_only"
# By the rows that an account's log has: with many, so many accounts can be made in the time there is.
SIZES: Final = {1: (1_000, 10_000, 100_000, 1_000_000), 32: (1_000, 10_000)}
QUICK_SIZES: Final = {1: (1_000, 10_000, 100_000)}
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
    """A number of accounts, and what was measured with them; `firsts` where each purchase was an account's first."""

    accounts: int
    rows: int
    firsts: list[Drain] = field(default_factory=list[Drain])
    drains: list[Drain] = field(default_factory=list[Drain])
    recoveries: list[Recovery] = field(default_factory=list[Recovery])
    known: list[Known] = field(default_factory=list[Known])
    shop: Shop | None = None

    def document(self, smallest: Size, empty_rss_bytes: int) -> dict[str, Any]:
        """For JSON. Ratios are to the smallest size in the same round; `empty_rss_bytes`: a worker without accounts."""
        figures: dict[str, Any] = {
            "accounts": self.accounts,
            "rows_in_reach": self.rows,
            "cpu_us": spread(drain.cpu_us for drain in self.drains).document(1),
            "cpu_ratio": self.cpu_ratio(smallest).document(),
            "purchases_per_s": spread(drain.purchases_per_s for drain in self.drains).document(0),
            "recovery_records": self.recoveries[0].records,
            "recovery_s": spread(each.seconds for each in self.recoveries).document(2),
            "recovery_records_per_s": self.recovery_rate.document(0),
        }
        if self.firsts:
            figures["first_cpu_us"] = spread(drain.cpu_us for drain in self.firsts).document(1)
        if self.accounts >= _MEMORY_FROM:
            figures["bytes_per_idle_account"] = self.bytes_per_account(empty_rss_bytes)
        return figures

    def text(self, smallest: Size, empty_rss_bytes: int) -> str:
        """For people."""
        cpu = spread(drain.cpu_us for drain in self.drains)
        text = (
            f"{self.accounts:>9,} accounts with {self.rows:>2} row(s): {cpu.text(1)} us CPU a purchase, "
            f"{self.cpu_ratio(smallest).text(3)} of the smallest's; "
            f"{self.recoveries[0].records:,} records read back at {self.recovery_rate.text()} a second"
        )
        if self.firsts:
            first = spread(drain.cpu_us for drain in self.firsts)
            text += f"\n{'':>9} {first.text(1)} us for an account's first purchase since its state was read back"
        if self.accounts < _MEMORY_FROM:
            return text
        memory = self.bytes_per_account(empty_rss_bytes)
        return (
            f"{text}\n{'':>9} memory of an idle account: {memory['recovered']:,} bytes where it was read back, "
            f"{memory['bought']:,} where it bought"
        )

    def cpu_ratio(self, smallest: Size) -> Spread:
        """What a purchase costs beside what it costs with the fewest accounts."""
        return spread(mine.cpu_us / its.cpu_us for mine, its in zip(self.drains, smallest.drains, strict=True))

    @property
    def recovery_rate(self) -> Spread:
        """Records a second."""
        return spread(each.records / each.seconds for each in self.recoveries)

    def bytes_per_account(self, empty_rss_bytes: int) -> dict[str, int]:
        """In a worker that has read the state back, and in the processes in which they bought."""
        recovered = statistics.median(each.rss_bytes for each in self.recoveries) - empty_rss_bytes
        bought = sum(known.memory_bytes for known in self.known)
        return {"recovered": round(recovered / self.accounts), "bought": round(bought / self.accounts)}


class Scale:
    """The rounds on one broker; each sends `purchases` to every size. State is made on `cores`."""

    def __init__(self, bench: Bench, cores: Cores, purchases: int, rounds: int) -> None:
        self._bench = bench
        self._cores = cores
        self._purchases = purchases
        self._rounds = rounds
        self._in_all = 2 * purchases * rounds

    async def empty_rss_bytes(self) -> int:
        """Resident memory of a worker that knows no account."""
        worker = Worker(await self._bench.prepare(ACCOUNT_RULES), self._bench.cores)
        try:
            await worker.ready()
            return worker.rss_bytes()
        finally:
            worker.end()

    async def measure(self, sizes: Sequence[Size]) -> None:
        """All rounds."""
        for number in range(self._rounds):
            for size in sizes:
                await self._take_turn(size)
                cost, recovery = size.drains[-1].cpu_us, size.recoveries[-1]
                print(
                    f"round {number + 1}, {size.accounts:,} accounts, {size.rows} row(s): {cost:.1f} us a purchase, "
                    f"{recovery.records:,} records read back in {recovery.seconds:.2f} s",
                    flush=True,
                )

    async def _take_turn(self, size: Size) -> None:
        shop = size.shop
        if shop is None or self._in_all > size.accounts * size.rows:
            shop = size.shop = await self._open(size)
        first, again = self._purchases_of(shop)
        records = await records_in(self._bench, shop.settings, [ASSESSMENTS_STATE])
        worker = Worker(shop.settings, self._bench.cores)
        try:
            await worker.ready()
            size.recoveries.append(Recovery(records, _recovery_s(worker), worker.rss_bytes()))
            drain = await drain_at_once(self._bench, shop.settings, [worker], first)
            # Of fewer, the start of a new process would be measured.
            if len(first) == self._purchases:
                size.firsts.append(drain)
            size.drains.append(await drain_at_once(self._bench, shop.settings, [worker], again))
        finally:
            worker.end()

    def _purchases_of(self, shop: Shop) -> tuple[list[Record], list[Record]]:
        """The first purchases of the accounts that are active in a round, and those that they make then."""
        customers, begin = shop.customers, shop.customers.history + shop.bought
        active = customers.active(self._purchases, begin)
        middle, end = begin + len(active), begin + len(active) + self._purchases
        shop.bought += end - begin
        first, again = (
            [Record(bought.key, bought.value) for bought in customers.purchases(*span, active)]
            for span in ((begin, middle), (middle, end))
        )
        return first, again

    async def _open(self, size: Size) -> Shop:
        """New topics, and accounts with one day behind them."""
        settings, end_ms = await self._bench.prepare(ACCOUNT_RULES), int(time.time() * 1000) - _BEHIND_MS
        customers = Customers.until(size.accounts, size.rows, self._in_all, end_ms)
        with pinned_to(self._cores):
            size.known = write_known_accounts(settings, RULES[ACCOUNT_RULES], customers, self._bench.partitions)
        return Shop(settings, customers)


def _recovery_s(worker: Worker) -> float:
    """Seconds from the assignment of its partitions until the last that has state is read back."""
    took_over = max(_logged_at(worker.events("took over")))
    return max(_logged_at(worker.events("recovered"))) - took_over


def _logged_at(events: Iterable[dict[str, Any]]) -> list[float]:
    return [datetime.fromisoformat(event["timestamp"]).timestamp() for event in events]


async def measure(
    servers: str, placement: Placement, sizes: Mapping[int, Sequence[int]], purchases: int, rounds: int
) -> list[dict[str, Any]]:
    """The figures of every size, printed when all are there."""
    every = placement.broker | placement.load | placement.measured
    scale = Scale(Bench(servers, placement.measured), every, purchases, rounds)
    measured = [Size(accounts, rows) for rows, numbers in sizes.items() for accounts in numbers]
    empty_rss_bytes = await scale.empty_rss_bytes()
    await scale.measure(measured)
    smallest = {size.rows: size for size in reversed(measured)}
    for size in measured:
        print(size.text(smallest[size.rows], empty_rss_bytes), flush=True)
    return [size.document(smallest[size.rows], empty_rss_bytes) for size in measured]


def main() -> None:
    """Run, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of fewer purchases and accounts, within 90 s")
    parser.add_argument("--accounts", type=int, help="one round of fewer purchases, with so many accounts alone")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    options = parser.parse_args()
    if options.accounts is not None and options.accounts < 1:
        parser.error(f"--accounts {options.accounts}: give it a number of accounts, 1 or more")
    quieten()
    begun_s = time.monotonic()
    is_quick = options.quick or options.accounts is not None
    sizes, purchases, rounds = (QUICK_SIZES, 10_000, 1) if is_quick else (SIZES, 30_000, 3)
    if options.accounts is not None:
        sizes = {1: (options.accounts,)}
    placement = place(usable_cores(), pin=True)
    print(
        f"{cpu_model()}, Python {platform.python_version()}; {placement.said}; {purchases:,} purchases to each size in "
        f"{rounds} round(s), account rules",
        flush=True,
    )
    with kafka(placement.broker) as servers, pinned_to(placement.load):
        results = uvloop.run(measure(servers, placement, sizes, purchases, rounds))
    print(f"In {time.monotonic() - begun_s:.0f} s.", flush=True)
    if options.json:
        print(orjson.dumps(results).decode())


if __name__ == "__main__":
    main()
