"""Programs that are no part of the project: a test that needs one is skipped where it is not on the path."""

from __future__ import annotations

import shutil
import subprocess

import pytest


def program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"there is no {name} on the path")
    return found


def node() -> str:
    found = program("node")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    if tuple(map(int, version.strip().lstrip("v").split(".")[:2])) < (20, 3):
        pytest.skip(f"node {version.strip()} is older than 20.3")
    return found
