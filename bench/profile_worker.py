"""Where a worker's processor time goes, by part, while it drains a topic of purchases on a real Kafka.

`make bench-profile`. py-spy samples the worker from outside; the share of each part, times what a purchase costs, is
what the part costs. The worker stands still for each sample, so it is slower than otherwise; samples that don't stop
it are wrong about what runs in C. Where the system allows nobody to look into another process
(`kernel.yama.ptrace_scope` above 0), run it as root.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import orjson

from bench.components import shares
from bench.stage import Bench, kafka, purchases_ending_now
from streams.topics import DECISIONS

COUNT: Final = {"account_only": 120_000, "twelve_rules": 60_000}
QUICK_SHARE: Final = 4
# Each takes the worker some milliseconds.
SAMPLES_PER_S: Final = 100
_STOP_WAIT_S: Final = 30


class Sampler:
    """py-spy on one process, from the beginning until `stop`."""

    def __init__(self, pid: int, output: Path) -> None:
        self._output = output
        tool = Path(sys.executable).with_name("py-spy")
        arguments = [tool, "record", "--pid", str(pid), "--rate", str(SAMPLES_PER_S), "--format", "raw"]
        self._child = subprocess.Popen(
            [*arguments, "--output", output, "--duration", "unlimited"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    def stop(self) -> list[str]:
        """The samples. Raises SystemExit where py-spy took none."""
        self._child.send_signal(signal.SIGINT)
        _, said = self._child.communicate(timeout=_STOP_WAIT_S)
        if not self._output.exists():
            raise SystemExit(f"py-spy took no samples:\n{said.decode(errors='replace')[-2_000:]}")
        return self._output.read_text().splitlines()


async def profile(bench: Bench, rules: str, count: int, folder: Path) -> dict[str, Any]:
    """One drain: purchases a second, what each costs, and what of that each part takes, in microseconds."""
    settings = await bench.prepare(rules)
    await bench.fill(settings, purchases_ending_now(count))
    worker = bench.worker(settings)
    sampler = Sampler(worker.pid, folder / f"{rules}.raw")
    try:
        drain = await bench.drained(settings.topic_prefix + DECISIONS, worker, count)
        samples = sampler.stop()
    finally:
        worker.end()
    # What the interpreter does before it takes purchases is nobody's part.
    working = [line for line in samples if "_find_and_load" not in line]
    return {
        "purchases_per_s": round(drain.purchases_per_s),
        "cpu_us": round(drain.cpu_us, 1),
        "parts_us": {name: round(share * drain.cpu_us, 1) for name, share in shares(working).items()},
    }


async def profile_all(servers: str, share: int) -> dict[str, Any]:
    """Both rulesets of `bench.pipeline`."""
    bench, results = Bench(servers), dict[str, Any]()
    with tempfile.TemporaryDirectory() as folder:
        for rules, count in COUNT.items():
            results[rules] = found = await profile(bench, rules, count // share, Path(folder))
            print(f"{rules}: {found['purchases_per_s']} a second, {found['cpu_us']} us each", flush=True)
            for name, part_us in found["parts_us"].items():
                print(f"  {part_us:6.1f} us  {name}", flush=True)
    return results


def main() -> None:
    """Run, and print the parts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a quarter of the purchases")
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    options = parser.parse_args()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores", flush=True)
    with kafka() as servers:
        results = asyncio.run(profile_all(servers, QUICK_SHARE if options.quick else 1))
    if options.json:
        print(orjson.dumps(results).decode())


if __name__ == "__main__":
    main()
