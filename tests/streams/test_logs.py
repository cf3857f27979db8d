"""Logs: one JSON object a line on standard error, whoever says it; plain text where no terminal is."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

SAYS = """
import logging, sys, structlog
from streams.logs import configure_logging
configure_logging({form!r}, {level!r})
structlog.get_logger("streams.worker").info("took over", partitions=["purchases-0"])
logging.getLogger("some.library").warning("of %s", "its own")
logging.getLogger("aiokafka.consumer").info("chatter")
logging.getLogger("aiokafka.consumer").debug("ProduceRequest(card_id=secret)")
logging.getLogger("streams.worker").info("[^-App]: Starting...")
logging.getLogger("streams.worker").error("[^-App]: Crashed")
try:
    1 / 0
except ZeroDivisionError:
    structlog.get_logger("streams.worker").error("failed", exc_info=True)
"""


def said(form: str, level: str) -> tuple[str, str]:
    ran = subprocess.run(
        [sys.executable, "-c", SAYS.format(form=form, level=level)], capture_output=True, text=True, check=True
    )
    return ran.stdout, ran.stderr


def test_json_logs_are_one_object_a_line_with_level_logger_and_time() -> None:
    out, err = said("json", "INFO")
    assert out == ""
    records: list[dict[str, Any]] = [json.loads(line) for line in err.splitlines()]
    assert [record["event"] for record in records] == ["took over", "of its own", "[^-App]: Crashed", "failed"]
    assert {"level", "logger", "timestamp"} <= records[0].keys()
    assert records[0]["partitions"] == ["purchases-0"]
    assert "ZeroDivisionError" in records[3]["exception"]


def test_what_is_below_the_level_is_not_said() -> None:
    events = [json.loads(line)["event"] for line in said("json", "WARNING")[1].splitlines()]
    assert events == ["of its own", "[^-App]: Crashed", "failed"]


def test_asked_for_everything_the_kafka_client_still_tells_no_records() -> None:
    _, err = said("json", "DEBUG")
    assert "Starting" in err
    assert "secret" not in err


def test_the_console_format_has_no_escapes_where_there_is_no_terminal() -> None:
    _, err = said("console", "INFO")
    assert "took over" in err
    assert "\x1b" not in err
