"""Settings from the environment: Kafka's under its usual names, Stopbank's own under `STOPBANK_`."""

from __future__ import annotations

import ssl
from typing import Annotated, Any, Literal, Self

from aiokafka.helpers import create_ssl_context
from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class SettingsError(ValueError):
    """The environment holds a setting that can't be used; the message names it and says how to mend it."""


class KafkaSettings(BaseSettings):
    """How the broker is reached."""

    model_config = SettingsConfigDict(env_prefix="KAFKA_", extra="ignore")

    bootstrap_servers: str = "127.0.0.1:9092"
    client_id: str = "stopbank"
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_cafile: str | None = None
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None
    ssl_key_password: SecretStr | None = None
    ssl_check_hostname: bool = True

    @model_validator(mode="after")
    def _sasl_is_whole(self) -> Self:
        if self.security_protocol.startswith("SASL") and not (self.sasl_username and self.sasl_password):
            raise ValueError(
                f"security_protocol {self.security_protocol} needs KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"
            )
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
        try:
            context = create_ssl_context(
                cafile=self.ssl_cafile,
                certfile=self.ssl_certfile,
                keyfile=self.ssl_keyfile,
                password=self.ssl_key_password.get_secret_value() if self.ssl_key_password else None,
            )
        except (OSError, ssl.SSLError) as error:
            raise SettingsError(f"KAFKA_SSL_*: the certificates can't be read: {error}") from None
        context.check_hostname = self.ssl_check_hostname
        return context


class Settings(BaseSettings):
    """What a Stopbank process needs to know."""

    model_config = SettingsConfigDict(env_prefix="STOPBANK_", extra="ignore")

    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    topic_prefix: Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]*$", max_length=100)] = ""
    group_id: str = "stopbank"
    group_instance_id: str | None = None
    ruleset: str = "checkout"
    http_host: str = "0.0.0.0"  # noqa: S104  # metrics and health checks come from outside the container
    http_port: Annotated[int, Field(ge=0, le=65_535)] = 8088
    session_timeout_s: Annotated[float, Field(ge=1, le=300)] = 10.0
    fetch_wait_ms: Annotated[int, Field(ge=1, le=5_000)] = 50
    linger_ms: Annotated[int, Field(ge=0, le=1_000)] = 0
    idempotent: bool = True
    compression: Literal["none", "lz4", "zstd", "gzip", "snappy"] = "none"
    max_ahead_s: Annotated[int, Field(ge=0, le=86_400)] = 300
    log_format: Literal["json", "console"] = "json"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @property
    def consumer_group(self) -> str:
        """The group of the workers, apart for each topic prefix."""
        return self.topic_prefix + self.group_id


def read_settings() -> Settings:
    """The settings of this environment. Raises SettingsError, naming the variables."""
    try:
        return Settings()
    except ValidationError as error:
        lines: list[str] = []
        prefix = "KAFKA_" if error.title == "KafkaSettings" else "STOPBANK_"
        for problem in error.errors(include_url=False, include_context=False):
            name = prefix + "_".join(str(part) for part in problem["loc"]).upper() if problem["loc"] else "KAFKA_*"
            lines.append(f"{name}: {problem['msg'].removeprefix('Value error, ')}")
        raise SettingsError("\n".join(lines)) from None
