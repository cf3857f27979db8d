"""A child process of a benchmark, whose processor time and memory are read from /proc."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """Processor time of a process so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


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

    def peak_rss_mb(self) -> float:
        """Peak resident memory."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
        return 0.0

    def has_succeeded(self) -> bool:
        """Whether it has ended by itself. Raises SystemExit with the log's end where it failed."""
        if self._child.poll() != 0:
            self.verify()
        return self._child.returncode == 0

    def verify(self) -> None:
        """Raises SystemExit with the log's end where the process has ended."""
        if self._child.poll() is not None:
            self._log.seek(0)
            tail = self._log.read().decode(errors="replace")[-3_000:]
            raise SystemExit(f"a benchmarked process ended with {self._child.returncode}:\n{tail}")

    def end(self) -> None:
        """Terminate it and wait."""
        self._child.terminate()
        try:
            self._child.wait(30)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
