"""The demo as its audience runs it: it ends by itself, says what was caught, and leaves nothing running."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from models.decision import decode_decision
from streams.broker.embedded import why_no_embedded
from tests.integration.commands import PROJECT, wait_until

pytestmark = [
    pytest.mark.broker,
    pytest.mark.timeout(180),
    pytest.mark.skipif(why_no_embedded() is not None, reason=f"no demo: {why_no_embedded()}"),
]
# Not among Stopbank's settings: those do not reach the demo's processes.
MARK = "DEMO_UNDER_TEST"


def running(mark: str) -> list[str]:
    """The command lines of all processes that inherited this mark, in whatever session they are."""
    found: list[str] = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            marked = f"{MARK}={mark}".encode() in (folder / "environ").read_bytes().split(b"\0")
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if marked and command:
            found.append(command)
    return found


@pytest.fixture
def mark(tmp_path: Path) -> str:
    """A mark in the environment, by which a demo's processes are known from others'."""
    if not Path("/proc/self/environ").exists():
        pytest.skip("processes are found by /proc")
    return tmp_path.name


@contextmanager
def demo(mark: str, *options: str) -> Generator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "streams.cli", "demo", *options],
        cwd=PROJECT,
        # Settings for some other broker, which are no matter here.
        env={**os.environ, MARK: mark, "KAFKA_BOOTSTRAP_SERVERS": "nowhere", "COLUMNS": "120"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            # Not killed: it would leave all that it started.
            process.terminate()
            process.wait(60)


def test_the_demo_ends_by_itself_with_a_summary_and_leaves_nothing(mark: str) -> None:
    with demo(mark, "--rate", "3000") as process:
        wait_until(lambda: len(running(mark)) >= 5, "the broker, two workers and the gateway", process)
        out, err = process.communicate(timeout=150)
    assert process.returncode == 0, out + err
    assert err == ""
    caught = re.search(r"Fraud caught: (\d+) of (\d+)", out)
    assert caught is not None
    assert int(caught[1]) > int(caught[2]) / 2
    assert re.search(r"Latency from the broker's timestamp to the decision: p50 [\d,]+ ms, p99 [\d,]+ ms", out)
    out = " ".join(out.split())
    over_http = re.search(r"Over HTTP, with \d+ ms for each: ([\d,]+) purchases; p50 [\d,]+ ms, p99 [\d,]+ ms; ", out)
    assert over_http is not None
    assert int(over_http[1].replace(",", "")) > 500
    assert re.search(r"degraded [\d.]+%( \(.*\))?; breaker (closed|open|half-open)\.", out)
    assert "12,000 of 12,000 decided" in out
    assert running(mark) == []


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl on the path")
def test_the_request_that_a_demo_leaves_its_reader_with_is_answered(mark: str) -> None:
    with demo(mark, "--rate", "3000", "--keep") as process:
        assert process.stdout is not None
        said: list[str] = []
        while not said or "curl.sh" not in said[-1]:
            said.append(process.stdout.readline())
            assert said[-1], "".join(said)
        lines = [line.strip() for line in said]
        commands = [line for line in lines if line.startswith(("export STOPBANK_URL", "curl "))]
        assert len(commands) == 2
        ran = subprocess.run(["sh", "-c", "\n".join(commands)], capture_output=True, text=True, timeout=60, check=False)
    assert decode_decision(ran.stdout.encode()).transaction_id == "t-by-hand", ran.stderr
    assert running(mark) == []


@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)], ids=lambda s: str(s)
)
def test_a_demo_that_is_ended_in_the_middle_leaves_nothing(mark: str, sent: signal.Signals, code: int) -> None:
    with demo(mark, "--rate", "100") as process:
        wait_until(lambda: len(running(mark)) >= 5, "the broker, two workers and the gateway", process)
        process.send_signal(sent)
        out, err = process.communicate(timeout=60)
    assert process.returncode == code, out + err
    assert "Traceback" not in err
    assert running(mark) == []


def test_a_reader_that_has_enough_ends_the_demo(mark: str) -> None:
    with demo(mark, "--rate", "3000") as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.stdout.close()
        assert process.wait(120) == 1
    assert running(mark) == []


def test_workers_that_can_not_begin_end_the_demo_with_their_reason(mark: str, tmp_path: Path) -> None:
    """As where a package is broken: the demo does not wait in vain."""
    broken = tmp_path / "sitecustomize.py"
    broken.write_text(
        "import sys\nif sys.orig_argv[-1] == 'worker':\n    print('no such library', file=sys.stderr); sys.exit(3)\n"
    )
    path = os.pathsep.join([str(tmp_path), str(PROJECT)])
    ran = subprocess.run(
        [sys.executable, "-m", "streams.cli", "demo"],
        cwd=PROJECT,
        env={**os.environ, MARK: mark, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 1
    assert "worker 1 ended with code" in ran.stderr or "worker 2 ended with code" in ran.stderr
    assert "no such library" in ran.stderr
    assert running(mark) == []
