"""Why a broker can't be reached, and which setting to look at: aiokafka says the one in its log only."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from streams.errors import PlainError
from streams.settings import KafkaSettings

_ADDRESS_HINT: Final = "is KAFKA_BOOTSTRAP_SERVERS right, and the broker up?"
_PROTOCOL_HINT: Final = "is KAFKA_SECURITY_PROTOCOL ({}) what this port speaks?"
# The first that fits is told.
_HINTS: Final = (
    (SaslAuthenticationFailed, "are KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD and KAFKA_SASL_MECHANISM right?"),
    (UnsupportedSaslMechanismError, "is KAFKA_SASL_MECHANISM one that the broker offers?"),
    (IllegalSaslStateError, _PROTOCOL_HINT),
    (ssl.SSLCertVerificationError, "does KAFKA_SSL_CAFILE hold the authority that signed the broker's certificate?"),
    (ssl.SSLError, _PROTOCOL_HINT),
    (socket.gaierror, "is the host in KAFKA_BOOTSTRAP_SERVERS spelt right?"),
    (ConnectionRefusedError, _ADDRESS_HINT),
    # Whoever speaks another protocol than the port is hung up on.
    (ConnectionResetError, _PROTOCOL_HINT),
    (KafkaConnectionError, _PROTOCOL_HINT),
)


class BrokerUnreachableError(PlainError, KafkaConnectionError):
    """No broker answers; the message says where, why, and what to look at."""

    def __str__(self) -> str:
        return str(self.args[0])


class _Reasons(logging.Handler):
    """Keeps what connecting failed of."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.last: BaseException | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the error that a record is about."""
        arguments = record.args if isinstance(record.args, tuple) else ()
        self.last = next((a for a in reversed(arguments) if isinstance(a, BaseException)), self.last)


_connecting: Final[list[_Reasons]] = []


@contextmanager
def telling_why(kafka: KafkaSettings) -> Generator[None]:
    """Turn aiokafka's failure to connect into BrokerUnreachableError; its log is silent for the while."""
    log, reasons = logging.getLogger("aiokafka"), _Reasons()
    log.addHandler(reasons)
    _connecting.append(reasons)
    log.propagate = False
    try:
        yield
    except (KafkaConnectionError, TimeoutError) as error:
        raise BrokerUnreachableError(_sentence(kafka, reasons.last or error)) from None
    finally:
        _connecting.remove(reasons)
        # Another client may still be connecting.
        log.propagate = not _connecting
        log.removeHandler(reasons)


def _sentence(kafka: KafkaSettings, error: BaseException) -> str:
    hint = next((hint for kind, hint in _HINTS if isinstance(error, kind)), _ADDRESS_HINT)
    return f"no broker answers at {kafka.bootstrap_servers}: {_in_words(error)}; " + hint.format(
        kafka.security_protocol
    )


def _in_words(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    if isinstance(error, KafkaConnectionError):
        return "the connection was closed"
    return str(error) or type(error).__name__
