"""The compose file, read by docker compose itself where it is installed, and the proxy's by HAProxy where that is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

PROJECT = Path(__file__).resolve().parents[2]
PROXY = PROJECT / "deploy" / "haproxy.cfg"


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
    assert {"kafka", "topics", "rules", "worker", "keys", "gateway", "proxy"} <= services.keys()


def test_what_is_of_stopbank_runs_one_image_of_this_folder(services: dict[str, Any]) -> None:
    ours = [service for service in services.values() if "build" in service]
    assert {service["image"] for service in ours} == {"stopbank"}
    assert {service["build"]["context"] for service in ours} == {str(PROJECT)}


def written() -> dict[str, Any]:
    """The services as they are written, without docker."""
    reader: Any = YAML(typ="safe", pure=True)
    return reader.load(PROJECT / "docker-compose.yml")["services"]


def test_two_gateways_stand_behind_one_port_and_may_be_more() -> None:
    gateway, proxy = written()["gateway"], written()["proxy"]
    assert gateway["deploy"]["replicas"] == 2
    assert not {"container_name", "ports", "hostname"} & set(gateway)
    assert [port.rpartition(":")[2] for port in proxy["ports"]] == ["8080"]


def test_the_proxy_asks_the_gateways_where_they_listen() -> None:
    gateway, said = written()["gateway"], PROXY.read_text(encoding="utf-8")
    listening = set(re.findall(r"server-template \w+ \d+ gateway:(\d+)", said))
    checked = set(re.findall(r"check port (\d+)", said))
    assert listening | checked == set(gateway["expose"])
    assert checked == {gateway["environment"]["STOPBANK_HTTP_PORT"]}
    assert all(int(places) >= 2 for places in re.findall(r"server-template \w+ (\d+)", said))


def test_keys_are_made_where_gateways_read_them_and_gateways_can_not_change_them() -> None:
    keys, gateway = written()["keys"], written()["gateway"]
    (made,), (read,) = keys["volumes"], gateway["volumes"]
    assert read == f"{made}:ro"
    place = Path(made.partition(":")[2])
    assert Path(gateway["environment"]["STOPBANK_GATEWAY_KEYS_FILE"]).parent == place
    assert f"--owner stopbank {place}" in (PROJECT / "deploy" / "Dockerfile").read_text(encoding="utf-8")


def test_the_proxy_logs_nothing_of_what_a_checkout_sends() -> None:
    formats = re.findall(r"^ *log-format (.*)$", PROXY.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(formats) == 1
    # Request line, method with path, path, query and captured headers.
    assert not re.search(r"%(?:r|HU|HP|HPO|HQ|hr|hrl|hs|hsl)\b|%\[", formats[0])
    assert "option httplog" not in PROXY.read_text(encoding="utf-8")


def test_haproxy_accepts_its_file() -> None:
    haproxy = shutil.which("haproxy")
    if haproxy is None:
        pytest.skip("there is no haproxy on the path")
    ran = subprocess.run([haproxy, "-c", "-f", PROXY], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
