"""Settings from the environment: Kafka's under its usual names, Stopbank's own under `STOPBANK_`."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal, Self

from aiokafka.helpers import create_ssl_context
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from models.problem import Wanted
from models.ruleset import Slug
from streams.settings_errors import SettingsError, misspelt, problems_of, read_model, verify_readable

__all__ = ["KAFKA_PREFIX", "STOPBANK_PREFIX", "KafkaSettings", "Settings", "SettingsError", "read_settings"]

KAFKA_PREFIX: Final = "KAFKA_"
STOPBANK_PREFIX: Final = "STOPBANK_"


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _addresses(servers: str) -> str:
    """Addresses without blanks. Raises ValueError for one that is no `host:port`."""
    addresses = [address.strip() for address in servers.split(",")]
    for address in addresses:
        host, colon, port = address.rpartition(":")
        if "/" in address or not colon or not host or not port.isdecimal() or not 0 < int(port) < 65_536:
            raise ValueError(address)
    return ",".join(addresses)


Servers = Annotated[
    str, AfterValidator(_addresses), Wanted("host:port, or several of them with commas between, e.g. kafka-1:9092")
]
Protocol = Annotated[
    Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"],
    BeforeValidator(_upper),
    Wanted("one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"),
]
Mechanism = Annotated[
    Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"],
    BeforeValidator(_upper),
    Wanted("one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"),
]
Prefix = Annotated[
    str, Field(pattern=r"^[a-zA-Z0-9._-]*$", max_length=100), Wanted("up to 100 letters, digits, dots, _ and -")
]
RulesetName = Annotated[Slug, Wanted("the name of a ruleset: small letters, digits and -")]
Port = Annotated[int, Field(ge=0, le=65_535), Wanted("a port: from 1 to 65535, or 0 for none")]
Switch = Annotated[bool, Wanted("true or false")]
SessionSeconds = Annotated[float, Field(ge=1, le=300, allow_inf_nan=False), Wanted("seconds from 1 to 300")]
FetchWait = Annotated[int, Field(ge=1, le=5_000), Wanted("whole milliseconds from 1 to 5000")]
Linger = Annotated[int, Field(ge=0, le=1_000), Wanted("whole milliseconds from 0 to 1000")]
Patience = Annotated[float, Field(ge=0, le=60, allow_inf_nan=False), Wanted("seconds from 0 to 60")]
Ahead = Annotated[int, Field(ge=0, le=86_400), Wanted("whole seconds from 0 to 86400")]
Compression = Annotated[
    Literal["none", "lz4", "zstd", "gzip", "snappy"],
    BeforeValidator(_lower),
    Wanted("one of none, lz4, zstd, gzip, snappy"),
]
LogFormat = Annotated[Literal["json", "console"], BeforeValidator(_lower), Wanted("json or console")]
LogLevel = Annotated[
    Literal["DEBUG", "INFO", "WARNING", "ERROR"],
    BeforeValidator(_upper),
    Wanted("one of DEBUG, INFO, WARNING, ERROR"),
]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class KafkaSettings(_Settings):
    """How the broker is reached. The descriptions are the help of `stopbank settings`."""

    bootstrap_servers: Annotated[Servers, Field(description="where the brokers are")] = "127.0.0.1:9092"
    client_id: Annotated[str, Field(description="name in the brokers' logs and quotas")] = "stopbank"
    security_protocol: Annotated[
        Protocol, Field(description="PLAINTEXT, SSL (which is TLS), SASL_PLAINTEXT or SASL_SSL")
    ] = "PLAINTEXT"
    sasl_mechanism: Annotated[Mechanism, Field(description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512")] = "PLAIN"
    sasl_username: Annotated[str | None, Field(description="user, with a SASL protocol")] = None
    sasl_password: Annotated[SecretStr | None, Field(description="its password")] = None
    ssl_cafile: Annotated[
        str | None, Field(description="authorities that sign the brokers' certificates (PEM); the system's by default")
    ] = None
    ssl_certfile: Annotated[str | None, Field(description="certificate to show the brokers (PEM)")] = None
    ssl_keyfile: Annotated[str | None, Field(description="its key (PEM), where the certificate's file lacks it")] = None
    ssl_key_password: Annotated[SecretStr | None, Field(description="password of an encrypted key")] = None
    ssl_check_hostname: Annotated[Switch, Field(description="whether certificates must name the host")] = True

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.security_protocol.startswith("SASL"):
            absent = [name for name in ("sasl_username", "sasl_password") if getattr(self, name) is None]
            if absent:
                names = " and ".join(KAFKA_PREFIX + name.upper() for name in absent)
                raise ValueError(f"{names}: needed where KAFKA_SECURITY_PROTOCOL is {self.security_protocol}: set it")
        if self.ssl_keyfile is not None and self.ssl_certfile is None:
            raise ValueError("KAFKA_SSL_CERTFILE: needed where KAFKA_SSL_KEYFILE is set: name the key's certificate")
        return self

    def client_options(self) -> dict[str, Any]:
        """The options that every aiokafka client takes. Raises SettingsError for unreadable certificates."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers,
            "client_id": self.client_id,
            "security_protocol": self.security_protocol,
        }
        if self.security_protocol.startswith("SASL") and self.sasl_password is not None:
            options |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.sasl_username,
                "sasl_plain_password": self.sasl_password.get_secret_value(),
            }
        if self.security_protocol.endswith("SSL"):
            options["ssl_context"] = self._ssl_context()
        return options

    def _ssl_context(self) -> ssl.SSLContext:
        files = {
            "KAFKA_SSL_CAFILE": self.ssl_cafile,
            "KAFKA_SSL_CERTFILE": self.ssl_certfile,
            "KAFKA_SSL_KEYFILE": self.ssl_keyfile,
        }
        for name, path in files.items():
            if path is not None:
                verify_readable(name, path)
        certfile = self.ssl_certfile
        try:
            context = create_ssl_context(cafile=self.ssl_cafile)
        except (OSError, ValueError) as error:
            raise SettingsError(f"KAFKA_SSL_CAFILE: {self.ssl_cafile} holds no certificates (PEM): {error}") from None
        if certfile is not None:
            try:
                context.load_cert_chain(certfile, self.ssl_keyfile, self._key_password)
            except SettingsError:
                raise
            except (OSError, ValueError) as error:
                raise SettingsError(
                    "KAFKA_SSL_CERTFILE, KAFKA_SSL_KEYFILE, KAFKA_SSL_KEY_PASSWORD: the certificate, its key and "
                    f"the key's password do not go together (all PEM): {error}"
                ) from None
        context.check_hostname = self.ssl_check_hostname
        return context

    def _key_password(self) -> str:
        """Asked of an encrypted key only: without an answer, OpenSSL would ask at the terminal."""
        if self.ssl_key_password is None:
            raise SettingsError("KAFKA_SSL_KEY_PASSWORD: needed, the key is encrypted: set it")
        return self.ssl_key_password.get_secret_value()


class Settings(_Settings):
    """What a Stopbank process needs to know. The descriptions are the help of `stopbank settings`."""

    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    topic_prefix: Annotated[Prefix, Field(description="before the name of every topic and of the group")] = ""
    group_id: Annotated[str, Field(description="consumer group that the workers share")] = "stopbank"
    group_instance_id: Annotated[
        str | None, Field(description="name of this worker that outlives it, for static group membership")
    ] = None
    ruleset: Annotated[RulesetName, Field(description="ruleset that decides")] = "checkout"
    http_host: Annotated[str, Field(description="address for probes and metrics")] = "0.0.0.0"  # noqa: S104  # they come from outside the container
    http_port: Annotated[Port, Field(description="port for /livez, /readyz and /metrics; 0 for none")] = 8088
    session_timeout_s: Annotated[
        SessionSeconds, Field(description="seconds of silence after which a worker counts as dead")
    ] = 10.0
    fetch_wait_ms: Annotated[FetchWait, Field(description="how long a broker may wait for records, ms")] = 50
    linger_ms: Annotated[Linger, Field(description="how long records may wait for company, ms")] = 0
    idempotent: Annotated[Switch, Field(description="producers that write nothing twice; needs a real Kafka")] = True
    hole_patience_s: Annotated[
        Patience, Field(description="how long a hole in a topic is read again; for the embedded broker")
    ] = 0.0
    compression: Annotated[Compression, Field(description="of what is written: none, lz4, zstd, gzip, snappy")] = "none"
    max_ahead_s: Annotated[
        Ahead, Field(description="seconds that a purchase's time may be after the broker's clock")
    ] = 300
    log_format: Annotated[LogFormat, Field(description="json or console")] = "json"
    log_level: Annotated[LogLevel, Field(description="DEBUG, INFO, WARNING or ERROR")] = "INFO"

    @property
    def consumer_group(self) -> str:
        """The group of the workers, apart for each topic prefix."""
        return self.topic_prefix + self.group_id


def read_settings(env: Mapping[str, str] | None = None) -> Settings:
    """The settings of an environment, by default this process's; an empty variable counts as unset.

    Raises SettingsError, which names each variable that can't be used, says why and how to mend it.
    """
    found: Mapping[str, str] = os.environ if env is None else env
    problems = list(_misspelt(found))
    kafka = read_model(KafkaSettings, KAFKA_PREFIX, found)
    own = read_model(Settings, STOPBANK_PREFIX, found, without="kafka")
    problems += problems_of(kafka) + problems_of(own)
    if problems or not isinstance(kafka, KafkaSettings) or not isinstance(own, Settings):
        raise SettingsError("\n".join(problems))
    return own.model_copy(update={"kafka": kafka})


def _misspelt(env: Mapping[str, str]) -> Iterator[str]:
    for prefix, model in ((KAFKA_PREFIX, KafkaSettings), (STOPBANK_PREFIX, Settings)):
        yield from misspelt(prefix, {name.upper() for name in model.model_fields} - {"KAFKA"}, env)
