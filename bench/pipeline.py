"""Throughput, cost, latency and state of one worker process on a real Kafka, beside what else could do the job.

`make bench-pipeline ARGS="--quick --json"`. Compared with: a bare aiokafka loop with the same rules and windows, the
least code that gives such answers, Quix Streams with the same four account rules, and, for latency, the broker alone.
Everything takes turns in one run; a figure is the median of the turns, and beside it stands the range of them.
"""

from __future__ import annotations

import argparse
import logging
import platform
import time
from typing import Any, Final, NamedTuple

import orjson
import uvloop

from bench.latency import Latency, measure_latency
from bench.machine import Placement, cpu_model, pinned_to, place, usable_cores
from bench.quix import Quix, find_quix
from bench.stage import RULES, Bench, kafka, own_kafka_version, purchases_ending_now
from bench.throughput import (
    WORKER,
    WORKER_OF_SIXTY,
    Throughput,
    measure_account_rules,
    measure_entity_rules,
    measure_state_bytes,
)
from rules.language.compile import compile_ruleset

# The state's bytes are asked for with so many purchases in an account's log, on average over those that count.
LOG_PURCHASES: Final = 50
LOG_BEFORE: Final = 45
LOG_AFTER: Final = 55


class Size(NamedTuple):
    """How much is measured."""

    account_purchases: int
    entity_purchases: int
    turns: int
    latency_rounds: int
    latency_s: float
    log_accounts: int


FULL: Final = Size(120_000, 60_000, 5, 3, 10.0, 800)
QUICK: Final = Size(40_000, 12_000, 1, 1, 3.0, 400)


def head(size: Size, placement: Placement, quix: Quix | None) -> dict[str, Any]:
    """What the figures are of: machine, versions, sizes."""
    return {
        "cpu": cpu_model(),
        "cores": len(usable_cores()),
        "placement": placement.said,
        "python": platform.python_version(),
        "kafka": own_kafka_version() or "of KAFKA_BOOTSTRAP_SERVERS, its version and place not known",
        "quix_streams": quix.version if quix else "not measured: not installed; `make bench-pipeline` installs it",
        "rules": {name: _rule_count(name) for name in RULES},
        "size": size._asdict(),
    }


def _rule_count(name: str) -> str:
    ruleset = compile_ruleset(RULES[name].read_text(), RULES[name].name)
    return f"{len(ruleset.conditions)} rules, {len(ruleset.plan.features)} features"


async def measure(servers: str, size: Size, placement: Placement, quix: Quix | None) -> dict[str, Any]:
    """All figures, printed as they come."""
    bench = Bench(servers, placement.measured)
    # A broker that has just started runs slowly until its code is compiled.
    await bench.fill(await bench.prepare("account_only"), purchases_ending_now(size.entity_purchases))
    account = await measure_account_rules(bench, purchases_ending_now(size.account_purchases), size.turns, quix)
    print(f"\nAccount rules:\n{account.text()}", flush=True)
    entities = await measure_entity_rules(bench, purchases_ending_now(size.entity_purchases), size.turns)
    print(f"\nTwelve rules over account, device, address and merchant:\n{entities.text()}", flush=True)
    sixty = entities.cpu_ratio(WORKER_OF_SIXTY, WORKER)
    print(f"  sixty rules cost {sixty.text(2)} times as much processor time as twelve", flush=True)
    purchases = purchases_ending_now(size.log_accounts * LOG_AFTER, LOG_AFTER)
    in_log = await measure_state_bytes(bench, purchases, size.log_accounts * LOG_BEFORE)
    print(f"\nState written, bytes a purchase:\n{_state_text(account, entities, in_log)}", flush=True)
    latency = await measure_latency(bench, placement.load, size.latency_rounds, size.latency_s)
    print(f"\nLatency from when each purchase was due:\n{latency.text()}", flush=True)
    return _document(account, entities, in_log, latency)


def _state_text(account: Throughput, entities: Throughput, in_log: float) -> str:
    return (
        f"  account rules {account.state_bytes:.0f}, twelve rules {entities.state_bytes:.0f}\n"
        f"  account rules with {LOG_PURCHASES} purchases in the log: {in_log:.0f}"
    )


def _document(account: Throughput, entities: Throughput, in_log: float, latency: Latency) -> dict[str, Any]:
    return {
        "account_only": account.document(),
        "twelve_rules": {
            **entities.document(),
            "sixty_to_twelve_cpu": entities.cpu_ratio(WORKER_OF_SIXTY, WORKER).document(),
        },
        f"state_bytes_per_purchase_{LOG_PURCHASES}_in_log": round(in_log, 1),
        "latency_ms": latency.document(),
    }


def main() -> None:
    """Run, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short turn of each, within two minutes")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    parser.add_argument("--no-pin", action="store_true", help="let all processes use all cores, however many there are")
    options = parser.parse_args()
    # Of topics that were just created clients say that nobody leads them yet, and try again.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    begun_s = time.monotonic()
    size = QUICK if options.quick else FULL
    placement, quix = place(usable_cores(), not options.no_pin), find_quix()
    about = head(size, placement, quix)
    for name, value in about.items():
        print(f"{name}: {value}", flush=True)
    with kafka(placement.broker) as servers, pinned_to(placement.load):
        results = uvloop.run(measure(servers, size, placement, quix))
    print(f"\nIn {time.monotonic() - begun_s:.0f} s.", flush=True)
    if options.json:
        print(orjson.dumps({"head": about, **results}).decode())


if __name__ == "__main__":
    main()
