"""Settings of a gateway, from the environment under `STOPBANK_GATEWAY_`; workers read none of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.problem import Wanted
from rules.degraded import parse_bands
from rules.intake import MAX_RECORD_BYTES
from streams.gateway.config import EdgeConfig
from streams.settings import STOPBANK_PREFIX, Settings
from streams.settings_errors import SettingsError, misspelt, problems_of, read_model, verify_readable

GATEWAY_PREFIX: Final = f"{STOPBANK_PREFIX}GATEWAY_"


def _whole(least: int, most: int, unit: str) -> tuple[Any, Wanted]:
    return Field(ge=least, le=most), Wanted(f"{unit} from {least} to {most}")


Port = Annotated[int, *_whole(1, 65_535, "a port:")]
DeadlineMs = Annotated[int, *_whole(1, 60_000, "whole milliseconds")]
MarginMs = Annotated[int, *_whole(0, 10_000, "whole milliseconds")]
ProbeMs = Annotated[int, *_whole(10, 60_000, "whole milliseconds")]
Requests = Annotated[int, *_whole(1, 100_000, "a whole number")]
Records = Annotated[int, *_whole(1, 10_000_000, "a whole number")]
Failures = Annotated[int, *_whole(1, 10_000, "a whole number")]
QueuedBytes = Annotated[int, *_whole(1_000_000, 64_000_000_000, "whole bytes")]
BodyBytes = Annotated[int, *_whole(1_000, MAX_RECORD_BYTES, "whole bytes")]
Partition = Annotated[int, *_whole(0, 999_999, "a partition's number")]
Seconds = Annotated[float, Field(ge=0, le=600, allow_inf_nan=False), Wanted("seconds from 0 to 600")]


class GatewaySettings(BaseModel):
    """What a gateway needs to know beyond `Settings`. The descriptions are the help of `stopbank settings`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: Annotated[str, Field(description="address that checkout calls")] = "0.0.0.0"  # noqa: S104  # they come from outside the container
    port: Annotated[Port, Field(description="port that checkout calls")] = 8080
    keys_file: Annotated[str | None, Field(description="file of API keys; `stopbank keys create` makes it")] = None
    tls_certfile: Annotated[str | None, Field(description="certificate to show callers (PEM); with it, HTTPS")] = None
    tls_keyfile: Annotated[str | None, Field(description="its key (PEM), where the certificate's file lacks it")] = None
    deadline_ms: Annotated[
        DeadlineMs, Field(description="how long an answer may take where the request does not say, ms")
    ] = 100
    margin_ms: Annotated[
        MarginMs, Field(description="how long before the deadline an answer leaves without the full decision, ms")
    ] = 10
    default_answers: Annotated[
        str,
        Field(description="answers by amount where neither decision nor rule does, in the ruleset's minor units"),
    ] = "approve<20000,flag<200000,block"
    max_in_flight: Annotated[Requests, Field(description="purchases that wait for a decision at once; more don't")] = (
        1_000
    )
    max_look_ups: Annotated[Requests, Field(description="look-ups that wait at once; more are answered 503")] = 100
    max_queued: Annotated[Records, Field(description="records kept while the broker is away")] = 100_000
    max_queued_bytes: Annotated[QueuedBytes, Field(description="and what they may hold, bytes")] = 64_000_000
    breaker_failures: Annotated[
        Failures, Field(description="deadlines missed in a row after which nobody waits for a decision")
    ] = 5
    probe_interval_ms: Annotated[
        ProbeMs, Field(description="how often one request waits all the same, to find out, ms")
    ] = 250
    reply_partition: Annotated[
        Partition | None, Field(description="partition of replies to listen on; by default one at random")
    ] = None
    linger_s: Annotated[
        Seconds,
        Field(description="how long it answers on after SIGTERM, until proxies know that it is not ready"),
    ] = 3.0
    drain_s: Annotated[Seconds, Field(description="how long an ending gateway tries to write what it has queued")] = (
        15.0
    )
    key_rate_per_s: Annotated[Requests, Field(description="requests per second for each API key without its own")] = (
        2_000
    )
    key_max_in_flight: Annotated[Requests, Field(description="and requests at once")] = 512
    max_body_bytes: Annotated[BodyBytes, Field(description="largest body of a request")] = MAX_RECORD_BYTES

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.tls_keyfile is not None and self.tls_certfile is None:
            raise ValueError(
                f"{GATEWAY_PREFIX}TLS_CERTFILE: needed where {GATEWAY_PREFIX}TLS_KEYFILE is set: "
                "name the key's certificate"
            )
        try:
            parse_bands(self.default_answers)
        except ValueError as error:
            raise ValueError(f"{GATEWAY_PREFIX}DEFAULT_ANSWERS: {error}") from None
        return self

    def edge(self, settings: Settings) -> EdgeConfig:
        """What the HTTP edge needs of them."""
        return EdgeConfig(
            deadline_ms=self.deadline_ms,
            max_body_bytes=self.max_body_bytes,
            max_ahead_s=settings.max_ahead_s,
            key_rate_per_s=self.key_rate_per_s,
            key_max_in_flight=self.key_max_in_flight,
        )


def read_gateway_settings(env: Mapping[str, str] | None = None) -> GatewaySettings:
    """The gateway's settings of an environment, by default this process's; an empty variable counts as unset.

    Raises SettingsError, which names each variable that can't be used, says why and how to mend it.
    """
    found: Mapping[str, str] = os.environ if env is None else env
    gateway = GATEWAY_PREFIX.removeprefix(STOPBANK_PREFIX)
    # Slips in the word itself count too.
    problems = list(misspelt(STOPBANK_PREFIX, {gateway + name.upper() for name in GatewaySettings.model_fields}, found))
    read = read_model(GatewaySettings, GATEWAY_PREFIX, found)
    problems += problems_of(read)
    if problems or not isinstance(read, GatewaySettings):
        raise SettingsError("\n".join(problems))
    for name in ("tls_certfile", "tls_keyfile"):
        path: str | None = getattr(read, name)
        if path is not None:
            verify_readable(GATEWAY_PREFIX + name.upper(), path)
    return read
