"""A child process of a benchmark, whose processor time and memory the system tells."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def cpu_s(pid: int) -> float:
    """Processor time of a process so far, user and system, to the nanosecond where /proc counts in ticks of 10 ms."""
    # What clock_getcpuclockid(3) gives, which Python does not have: the clock of all threads of a process.
    return time.clock_gettime(~pid << 3 | 2)


def rss_bytes(pid: int) -> int:
    """Resident memory of a process now."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Process:
    """One Python module that runs until it is ended; what it says is shown where it ends by itself.

    `cores`: those that it may use, where not all of this process's. `python`: of another environment than this one's.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        env: dict[str, str],
        cores: Collection[int] = (),
        python: Path | None = None,
    ) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  # as long as the process
        self._child = subprocess.Popen(
            [python or sys.executable, "-m", *arguments],
            env={**os.environ, **env},
            cwd=ROOT,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        if cores:
            # The interpreter takes far longer to start its first thread, which inherits this.
            os.sched_setaffinity(self._child.pid, cores)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    def cpu_s(self) -> float:
        """Processor time so far, user and system."""
        return cpu_s(self.pid)

    def rss_bytes(self) -> int:
        """Resident memory now."""
        return rss_bytes(self.pid)

    def peak_rss_mb(self) -> float:
        """Peak resident memory."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
        return 0.0

    def said(self) -> str:
        """What it has written so far."""
        # Read beside the process, which writes at the same file's position.
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode(errors="replace")

    @contextmanager
    def stopped(self) -> Generator[None]:
        """The process stands still meanwhile."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def has_succeeded(self) -> bool:
        """Whether it has ended by itself. Raises SystemExit with the log's end where it failed."""
        if self._child.poll() != 0:
            self.verify()
        return self._child.returncode == 0

    def verify(self) -> None:
        """Raises SystemExit with the log's end where the process has ended."""
        if self._child.poll() is not None:
            raise SystemExit(f"a benchmarked process ended with {self._child.returncode}:\n{self.said()[-3_000:]}")

    def end(self) -> None:
        """Terminate it and wait."""
        self._child.terminate()
        try:
            self._child.wait(30)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
