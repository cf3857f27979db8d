"""Settings come from the environment, and what is wrong with them is told by variable."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from streams.settings import KafkaSettings, Settings, SettingsError, read_settings


def problem(**env: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read_settings(env)
    return str(caught.value)


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = read_settings({})
    assert settings == Settings()
    assert settings.kafka.client_options() == {
        "bootstrap_servers": "127.0.0.1:9092",
        "client_id": "stopbank",
        "security_protocol": "PLAINTEXT",
    }


def test_an_empty_variable_counts_as_unset() -> None:
    env = {"KAFKA_BOOTSTRAP_SERVERS": "", "STOPBANK_HTTP_PORT": "", "STOPBANK_GROUP_ID": ""}
    assert read_settings(env) == Settings()


def test_the_process_environment_is_read_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOPBANK_HTTP_PORT", "9100")
    assert read_settings().http_port == 9100


def test_several_brokers_may_stand_with_blanks_between() -> None:
    settings = read_settings({"KAFKA_BOOTSTRAP_SERVERS": "kafka-1:9092, [::1]:9093"})
    assert settings.kafka.bootstrap_servers == "kafka-1:9092,[::1]:9093"


def test_names_of_protocols_levels_and_codecs_may_be_in_either_case() -> None:
    settings = read_settings(
        {"KAFKA_SECURITY_PROTOCOL": "ssl", "STOPBANK_LOG_LEVEL": "debug", "STOPBANK_COMPRESSION": "ZSTD"}
    )
    assert (settings.kafka.security_protocol, settings.log_level, settings.compression) == ("SSL", "DEBUG", "zstd")


def test_user_and_password_reach_the_client_and_no_text_of_the_settings() -> None:
    settings = read_settings(
        {
            "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "KAFKA_SASL_USERNAME": "stopbank",
            "KAFKA_SASL_PASSWORD": "s3cret",
        }
    )
    options = settings.kafka.client_options()
    assert options["sasl_mechanism"] == "SCRAM-SHA-512"
    assert (options["sasl_plain_username"], options["sasl_plain_password"]) == ("stopbank", "s3cret")
    assert "s3cret" not in repr(settings)


def test_the_group_is_apart_for_each_prefix() -> None:
    assert read_settings({"STOPBANK_TOPIC_PREFIX": "eu."}).consumer_group == "eu.stopbank"


@pytest.mark.parametrize(
    ("variable", "value", "wanted"),
    [
        ("KAFKA_BOOTSTRAP_SERVERS", "kafka", "host:port"),
        ("KAFKA_BOOTSTRAP_SERVERS", "kafka:port", "host:port"),
        ("KAFKA_BOOTSTRAP_SERVERS", "kafka:99999", "host:port"),
        ("KAFKA_BOOTSTRAP_SERVERS", "kafka-1:9092,,kafka-2:9092", "host:port"),
        ("KAFKA_BOOTSTRAP_SERVERS", "kafka://kafka:9092", "host:port"),
        ("KAFKA_SECURITY_PROTOCOL", "TLS", "one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"),
        ("KAFKA_SASL_MECHANISM", "GSSAPI", "one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"),
        ("KAFKA_SSL_CHECK_HOSTNAME", "perhaps", "true or false"),
        ("STOPBANK_HTTP_PORT", "99999", "a port"),
        ("STOPBANK_HTTP_PORT", "http", "a port"),
        ("STOPBANK_TOPIC_PREFIX", "a b", "letters, digits"),
        ("STOPBANK_RULESET", "Check Out", "the name of a ruleset"),
        ("STOPBANK_SESSION_TIMEOUT_S", "nan", "seconds from 1 to 300"),
        ("STOPBANK_SESSION_TIMEOUT_S", "0.5", "seconds from 1 to 300"),
        ("STOPBANK_LINGER_MS", "2.5", "whole milliseconds"),
        ("STOPBANK_HOLE_PATIENCE_S", "-1", "seconds from 0 to 60"),
        ("STOPBANK_COMPRESSION", "brotli", "one of none, lz4"),
        ("STOPBANK_LOG_FORMAT", "xml", "json or console"),
    ],
)
def test_a_value_that_can_not_be_used_is_named_with_what_is_wanted(variable: str, value: str, wanted: str) -> None:
    told = problem(**{variable: value})
    assert told.startswith(f"{variable}: {value!r} is not ")
    assert wanted in told
    assert "\n" not in told


def test_every_problem_is_told_at_once() -> None:
    told = problem(KAFKA_SECURITY_PROTOCOL="TLS", STOPBANK_HTTP_PORT="x", STOPBANK_LOG_LEVEL="LOUD")
    assert [line.partition(":")[0] for line in told.splitlines()] == [
        "KAFKA_SECURITY_PROTOCOL",
        "STOPBANK_HTTP_PORT",
        "STOPBANK_LOG_LEVEL",
    ]


def test_a_sasl_protocol_without_password_asks_for_it() -> None:
    told = problem(KAFKA_SECURITY_PROTOCOL="SASL_SSL", KAFKA_SASL_USERNAME="stopbank")
    assert told == "KAFKA_SASL_PASSWORD: needed where KAFKA_SECURITY_PROTOCOL is SASL_SSL: set it"


def test_a_key_without_its_certificate_is_refused() -> None:
    assert problem(KAFKA_SSL_KEYFILE="key.pem").startswith("KAFKA_SSL_CERTFILE: needed")


@pytest.mark.parametrize("slip", ["KAFKA_BOOTSTRAP_SERVER", "KAFKA_SASL_USER", "STOPBANK_TOPIC_PREFX"])
def test_a_slip_in_a_name_is_not_passed_over(slip: str) -> None:
    assert problem(**{slip: "x"}).startswith(f"{slip}: no such setting")


def test_a_name_that_is_like_a_setting_is_no_matter_where_that_is_set() -> None:
    read_settings({"KAFKA_SASL_MECHANISMS": "PLAIN", "KAFKA_SASL_MECHANISM": "PLAIN"})


def test_what_other_programs_set_is_no_slip() -> None:
    env = {
        "KAFKA_HEAP_OPTS": "-Xmx1g",
        "KAFKA_HOME": "kafka",
        # What Kubernetes gives to every container beside a service named stopbank.
        "STOPBANK_PORT": "tcp://10.0.0.1:8088",
        "STOPBANK_SERVICE_HOST": "10.0.0.1",
        "STOPBANK_SERVICE_PORT_HTTP": "8088",
        "STOPBANK_PORT_8088_TCP_ADDR": "10.0.0.1",
        "STOPBANK_TEST_BROKER": "kafka",
    }
    assert read_settings(env) == Settings()


# -- certificates -----------------------------------------------------------------------------------


def certificate_problem(**files: Path) -> str:
    settings = KafkaSettings(security_protocol="SSL", **{name: str(path) for name, path in files.items()})  # pyright: ignore[reportArgumentType]
    with pytest.raises(SettingsError) as caught:
        settings.client_options()
    return str(caught.value)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate in `cert.pem`, its key in `key.pem`, the same key under a password in `locked.pem`."""
    folder = tmp_path_factory.mktemp("tls")
    new = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -subj /CN=localhost -days 2"
    lock = "openssl rsa -aes256 -passout pass:open -in key.pem -out locked.pem"
    for command in (new, lock):
        try:
            subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
        except FileNotFoundError:
            pytest.skip("there is no openssl to make a certificate with")
    return folder


def test_a_missing_certificate_is_named(tmp_path: Path) -> None:
    told = certificate_problem(ssl_cafile=tmp_path / "ca.pem")
    assert told == f"KAFKA_SSL_CAFILE: {tmp_path / 'ca.pem'} can't be read: No such file or directory"


def test_a_folder_is_no_certificate(tmp_path: Path) -> None:
    assert certificate_problem(ssl_certfile=tmp_path).startswith(f"KAFKA_SSL_CERTFILE: {tmp_path} can't be read")


def test_a_file_without_certificates_is_named(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    assert "holds no certificates (PEM)" in certificate_problem(ssl_cafile=tmp_path / "ca.pem")


def test_a_locked_key_without_password_is_an_error_and_no_question_at_the_terminal(certificate: Path) -> None:
    told = certificate_problem(ssl_certfile=certificate / "cert.pem", ssl_keyfile=certificate / "locked.pem")
    assert told == "KAFKA_SSL_KEY_PASSWORD: needed, the key is encrypted: set it"


def test_a_certificate_whose_key_is_missing_is_named(certificate: Path) -> None:
    assert "do not go together" in certificate_problem(ssl_certfile=certificate / "cert.pem")


def test_certificate_key_and_password_together_make_a_context(certificate: Path) -> None:
    env = {
        "KAFKA_SECURITY_PROTOCOL": "SSL",
        "KAFKA_SSL_CAFILE": str(certificate / "cert.pem"),
        "KAFKA_SSL_CERTFILE": str(certificate / "cert.pem"),
        "KAFKA_SSL_KEYFILE": str(certificate / "locked.pem"),
        "KAFKA_SSL_KEY_PASSWORD": "open",
        "KAFKA_SSL_CHECK_HOSTNAME": "false",
    }
    context = read_settings(env).kafka.client_options()["ssl_context"]
    assert context.check_hostname is False
