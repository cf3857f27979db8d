"""The gateway's settings: what they are, what is wrong with them, and that workers have nothing to do with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.gateway.serve import read_keys_file, verify_certificate
from streams.gateway.settings import GatewaySettings, read_gateway_settings
from streams.settings import Settings, SettingsError, read_settings


def problem(**env: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read_gateway_settings({f"STOPBANK_GATEWAY_{name}": value for name, value in env.items()})
    return str(caught.value)


def test_an_empty_environment_gives_the_defaults() -> None:
    own = read_gateway_settings({})
    assert own == GatewaySettings()
    assert (own.port, own.deadline_ms, own.margin_ms, own.breaker_failures) == (8080, 100, 10, 5)


def test_an_empty_variable_counts_as_unset() -> None:
    assert read_gateway_settings({"STOPBANK_GATEWAY_PORT": ""}) == GatewaySettings()


def test_the_edge_is_given_its_share() -> None:
    own = GatewaySettings(deadline_ms=250, key_rate_per_s=7, key_max_in_flight=3, max_body_bytes=2_000)
    edge = own.edge(Settings(max_ahead_s=60))
    assert (edge.deadline_ms, edge.key_rate_per_s, edge.key_max_in_flight) == (250, 7, 3)
    assert (edge.max_body_bytes, edge.max_ahead_s) == (2_000, 60)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("PORT", "0", "'0' is not a port: from 1 to 65535"),
        ("PORT", "tcp://10.0.0.1:8080", "is not a port"),
        ("DEADLINE_MS", "0", "'0' is not whole milliseconds from 1 to 60000"),
        ("DEADLINE_MS", "1.5", "is not whole milliseconds"),
        ("MAX_QUEUED", "none", "is not a whole number"),
        ("REPLY_PARTITION", "-1", "is not a partition's number"),
        ("DRAIN_S", "inf", "is not seconds from 0 to 600"),
        ("DEFAULT_ANSWERS", "approve<200", "the last band"),
        ("DEFAULT_ANSWERS", "maybe", "is no amount band"),
        ("TLS_KEYFILE", "/key.pem", "STOPBANK_GATEWAY_TLS_CERTFILE: needed where"),
        ("TLS_CERTFILE", "/no/such.pem", "can't be read"),
    ],
)
def test_what_cannot_be_used_is_told_by_variable(name: str, value: str, told: str) -> None:
    said = problem(**{name: value})
    assert said.startswith("STOPBANK_GATEWAY_")
    assert told in said


@pytest.mark.parametrize("slip", ["STOPBANK_GATEWAY_DEADLINE", "STOPBANK_GATWAY_DEADLINE_MS"])
def test_a_slip_in_a_name_is_found(slip: str) -> None:
    with pytest.raises(SettingsError, match=f"{slip}: no such setting, and STOPBANK_GATEWAY_DEADLINE_MS is not set"):
        read_gateway_settings({slip: "50"})


def test_workers_are_not_disturbed_by_what_is_wrong_there() -> None:
    assert read_settings({"STOPBANK_GATEWAY_PORT": "no port", "STOPBANK_GATEWAY_HOTS": "x"}) == Settings()


def test_what_a_cluster_sets_for_a_service_is_no_slip() -> None:
    env = {"STOPBANK_GATEWAY_SERVICE_HOST": "10.0.0.1", "STOPBANK_GATEWAY_PORT_8080_TCP": "tcp://10.0.0.1:8080"}
    assert read_gateway_settings(env) == GatewaySettings()


def test_a_gateway_without_a_keys_file_is_refused_and_told_how_to_make_one() -> None:
    with pytest.raises(SettingsError, match=r"STOPBANK_GATEWAY_KEYS_FILE: needed.*`stopbank keys create`"):
        read_keys_file(GatewaySettings())


def test_a_file_that_holds_no_certificate_is_told(tmp_path: Path) -> None:
    (tmp_path / "cert.pem").write_text("no certificate")
    with pytest.raises(SettingsError, match="do not go together"):
        verify_certificate(GatewaySettings(tls_certfile=str(tmp_path / "cert.pem")))
