"""`stopbank gateway` where it can't begin: one plain error, which says how to mend it."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from streams.broker.broker import HOST, free_port
from streams.gateway.api_key import KeyScope
from streams.gateway.key_file import KeyFile, new_key
from tests.streams.command import Run, assert_one_error, runner


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Iterator[Run]:
    """The command with a keys file and free ports, and nothing else set."""
    for name in [name for name in os.environ if name.startswith(("KAFKA_", "STOPBANK_"))]:
        monkeypatch.delenv(name)
    key, _ = new_key([KeyScope.DECIDE], datetime.now(UTC))
    KeyFile(tmp_path / "keys.yaml").create(key)
    for name, value in {
        "STOPBANK_GATEWAY_KEYS_FILE": tmp_path / "keys.yaml",
        "STOPBANK_GATEWAY_HOST": HOST,
        "STOPBANK_GATEWAY_PORT": free_port(),
        "STOPBANK_HTTP_PORT": 0,
        "KAFKA_BOOTSTRAP_SERVERS": f"{HOST}:{free_port()}",
    }.items():
        monkeypatch.setenv(name, str(value))
    before = signal.getsignal(signal.SIGTERM)
    yield runner(monkeypatch, capfd, "gateway")
    signal.signal(signal.SIGTERM, before)


def test_without_a_keys_file_it_says_how_to_make_one(gateway: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STOPBANK_GATEWAY_KEYS_FILE")
    assert_one_error(gateway(), "STOPBANK_GATEWAY_KEYS_FILE: needed", "stopbank keys create")


def test_a_keys_file_that_is_not_there_is_named(gateway: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STOPBANK_GATEWAY_KEYS_FILE", str(tmp_path / "none.yaml"))
    assert_one_error(gateway(), "none.yaml can't be read", "stopbank keys create")


@pytest.mark.parametrize("variable", ["STOPBANK_GATEWAY_PORT", "STOPBANK_HTTP_PORT"])
def test_a_port_that_is_taken_is_named_by_its_setting(
    gateway: Run, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv("STOPBANK_HTTP_HOST", HOST)
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setenv(variable, str(port))
        assert_one_error(gateway(), f"{variable}: port {port} on {HOST} can't be listened on")


def test_a_certificate_without_its_key_is_told(gateway: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("no certificate")
    monkeypatch.setenv("STOPBANK_GATEWAY_TLS_CERTFILE", str(tmp_path / "cert.pem"))
    assert_one_error(gateway(), "STOPBANK_GATEWAY_TLS_CERTFILE", "do not go together")
