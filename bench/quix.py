"""Where Quix Streams is installed for the benchmark, if it is."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final, NamedTuple

from bench.process import ROOT

PYTHON: Final = ROOT / ".venv-bench" / "bin" / "python"
_ASK: Final = "import importlib.metadata, quixstreams; print(importlib.metadata.version('quixstreams'))"
_WAIT_S: Final = 60.0


class Quix(NamedTuple):
    """The interpreter of its environment, and its version."""

    python: Path
    version: str


def find_quix(python: Path = PYTHON) -> Quix | None:
    """Quix Streams in the environment that `make bench-pipeline` sets up; None where it isn't, or doesn't load."""
    try:
        asked = subprocess.run([python, "-c", _ASK], capture_output=True, text=True, check=True, timeout=_WAIT_S)
    except (OSError, subprocess.SubprocessError):
        return None
    return Quix(python, asked.stdout.strip())
