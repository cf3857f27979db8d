"""A Kafka that asks for a password over TLS: the settings reach it, and what is wrong with them is told."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from streams.broker.broker import HOST, free_port
from streams.broker.kafka import KafkaBroker
from streams.broker.kafka_jars import why_no_kafka
from streams.broker.kafka_node import KafkaNode
from tests.integration.commands import Stopbank

pytestmark = [
    pytest.mark.broker,
    pytest.mark.timeout(180),
    pytest.mark.skipif(why_no_kafka() is not None, reason=f"no real Apache Kafka: {why_no_kafka()}"),
]
USER, PASSWORD = "stopbank", "open-sesame"
LOGIN: Final = "org.apache.kafka.common.security.plain.PlainLoginModule required"


class SecuredNode(KafkaNode):
    """A node with one more listener, which asks for a password over TLS."""

    tls_address: str = ""

    def _addresses(self) -> dict[str, str]:
        plain = super()._addresses()
        return {
            **plain,
            "listeners": f"{plain['listeners']},SASL_SSL://{self.tls_address}",
            "advertised.listeners": f"{plain['advertised.listeners']},SASL_SSL://{self.tls_address}",
            "listener.security.protocol.map": f"{plain['listener.security.protocol.map']},SASL_SSL:SASL_SSL",
        }


def secured(folder: Path) -> dict[str, str]:
    """Broker settings with a certificate for this address. Skips where there is no openssl to make one."""
    new = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout key.pem -out ca.pem -subj /CN=kafka "
        f"-addext subjectAltName=IP:{HOST}"
    )
    pack = f"openssl pkcs12 -export -in ca.pem -inkey key.pem -out store.p12 -passout pass:{PASSWORD}"
    for command in (new, pack):
        try:
            subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
        except FileNotFoundError:
            pytest.skip("there is no openssl to make a certificate with")
    return {
        "ssl.keystore.type": "PKCS12",
        "ssl.keystore.location": str(folder / "store.p12"),
        "ssl.keystore.password": PASSWORD,
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl_ssl.plain.sasl.jaas.config": f'{LOGIN} user_{USER}="{PASSWORD}";',
    }


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Settings that are right for a broker that runs."""
    folder = tmp_path_factory.mktemp("tls")
    broker = KafkaBroker(settings=secured(folder))
    node = broker.nodes[0]
    node.__class__ = SecuredNode
    assert isinstance(node, SecuredNode)
    node.tls_address = f"{HOST}:{free_port()}"
    with broker:
        yield {
            "KAFKA_BOOTSTRAP_SERVERS": node.tls_address,
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_MECHANISM": "PLAIN",
            "KAFKA_SASL_USERNAME": USER,
            "KAFKA_SASL_PASSWORD": PASSWORD,
            "KAFKA_SSL_CAFILE": str(folder / "ca.pem"),
        }


def test_with_the_right_settings_everything_is_as_without(settings: Mapping[str, str]) -> None:
    stopbank = Stopbank(settings["KAFKA_BOOTSTRAP_SERVERS"], settings)
    assert "created" in stopbank.done("topics", "create", "--partitions", 1)
    assert "nothing was published yet" in stopbank.done("rules", "list")
    assert "by SASL_SSL" in stopbank.run("doctor").stdout


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"KAFKA_SASL_PASSWORD": "wrong"}, "are KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD and KAFKA_SASL_MECHANISM"),
        ({"KAFKA_SASL_MECHANISM": "SCRAM-SHA-256"}, "is KAFKA_SASL_MECHANISM one that the broker offers?"),
        ({"KAFKA_SSL_CAFILE": ""}, "does KAFKA_SSL_CAFILE hold the authority"),
        ({"KAFKA_SECURITY_PROTOCOL": "PLAINTEXT"}, "is KAFKA_SECURITY_PROTOCOL (PLAINTEXT) what this port speaks?"),
        ({"KAFKA_SECURITY_PROTOCOL": "SSL"}, "is KAFKA_SECURITY_PROTOCOL (SSL) what this port speaks?"),
        (
            {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT"},
            "is KAFKA_SECURITY_PROTOCOL (SASL_PLAINTEXT) what this port speaks?",
        ),
    ],
    ids=["password", "mechanism", "authority", "plaintext", "no-sasl", "no-tls"],
)
def test_a_wrong_setting_is_told_as_the_one_to_look_at(
    settings: Mapping[str, str], changed: Mapping[str, str], told: str
) -> None:
    stopbank = Stopbank(settings["KAFKA_BOOTSTRAP_SERVERS"], {**settings, **changed})
    error = stopbank.refused("topics", "create")
    assert told in error
    assert len(error.splitlines()) == 1
    assert PASSWORD not in error
