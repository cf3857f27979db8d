"""The compose file, read by docker compose itself where it is installed."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    if shutil.which("docker") is None:
        pytest.skip("there is no docker client on the path")
    version = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    if version.returncode:
        pytest.skip("the docker client has no compose plugin")
    told = subprocess.run(
        ["docker", "compose", "--profile", "*", "config", "--format", "json"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)["services"]


def test_compose_accepts_the_file(services: dict[str, Any]) -> None:
    assert {"kafka", "topics", "rules", "worker"} <= services.keys()


def test_what_is_of_stopbank_runs_one_image_of_this_folder(services: dict[str, Any]) -> None:
    ours = [service for service in services.values() if "build" in service]
    assert {service["image"] for service in ours} == {"stopbank"}
    assert {service["build"]["context"] for service in ours} == {str(PROJECT)}
