"""Structured logs: JSON for machines, colours for people; never a field of a purchase."""

from __future__ import annotations

import logging
import sys
from typing import Any, Final

import structlog

# How mode, beneath Faust, begins what it says of every service that starts and stops.
_SERVICE_MARK: Final = "[^"


def configure_logging(log_format: str, level: str) -> None:
    """Send everything, the libraries' logs included, to standard error in one format.

    `log_format` is json or console, `level` a level's name in capitals.
    """
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    if level != "DEBUG":
        handler.addFilter(_tells_something)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(log_format)],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    # They repeat at every rebalance what the engine says once; and aiokafka, asked for everything, tells records.
    for chatty in ("aiokafka", "faust", "mode"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))


def _renderer(log_format: str) -> Any:
    if log_format == "json":
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())


def _tells_something(record: logging.LogRecord) -> bool:
    """Leaves out that a service of Faust's starts or stops: the engine says what that means."""
    return record.levelno > logging.INFO or not str(record.msg).startswith(_SERVICE_MARK)
