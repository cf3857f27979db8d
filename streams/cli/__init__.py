"""The `stopbank` command."""

from __future__ import annotations

import sys
from typing import Final

import typer
from aiokafka.errors import KafkaError

from rules.language.diagnostics import RulesetError
from streams.cli.lazy import MARKUP, lazy_group
from streams.cli.running import EXIT_UNDONE, os_error_in_words
from streams.errors import PlainError
from streams.logs import configure_logging

__all__ = ["app", "main"]

# In the order in which the help shows them.
_COMMANDS: Final = {
    "demo": "streams.cli.demo:demo",
    "worker": "streams.cli.worker:worker",
    "gateway": "streams.cli.gateway:gateway",
    "topics": "streams.cli.topics:app",
    "rules": "streams.cli.rules:app",
    "simulate": "streams.cli.records:simulate",
    "produce": "streams.cli.records:produce",
    "tail": "streams.cli.tail:tail",
    "record": "streams.cli.record:record",
    "recording": "streams.cli.recording:app",
    "replay": "streams.cli.replay:replay",
    "backtest": "streams.cli.backtest:backtest",
    "tune": "streams.cli.tune:tune",
    "keys": "streams.cli.keys:app",
    "schema": "streams.cli.schema:schema",
    "settings": "streams.cli.settings:settings",
    "doctor": "streams.cli.doctor:doctor",
}

app = typer.Typer(
    name="stopbank",
    cls=lazy_group(_COMMANDS),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=MARKUP,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""
Decides on purchases while they happen: approve, flag or block, with every reason.

A first look, on this machine only: `stopbank demo`. On a Kafka of your own:

    export KAFKA_BOOTSTRAP_SERVERS=kafka:9092
    stopbank topics create
    stopbank rules publish examples/rules/checkout.yaml
    stopbank worker

then, in another terminal, purchases in and decisions out:

    stopbank simulate --output afternoon.jsonl.gz
    stopbank produce afternoon.jsonl.gz --rate 200 --shift-to-now
    stopbank tail

and what new rules would have decided, from a recording:

    stopbank record recordings/march
    stopbank backtest recordings/march --rules new.yaml

and which values of their parameters would have done best:

    stopbank tune recordings/march --rules new.yaml --max-flag-rate 0.02

`stopbank doctor` says what is missing, `stopbank settings` what the environment may set, and every command
has its own `--help`.

Exit codes: 0 done; 1 done, and something is wrong (`doctor`, `rules check`) or out of reach (`tune`);
2 not done, for the reason told; 130 ended by Ctrl-C.
""",
)


@app.callback()
def _stopbank() -> None:
    """Makes the app a group, which without commands of its own it would not be."""


def main() -> None:
    """Run the command; errors that a person can mend are told in their own words, with exit code 2."""
    configure_logging("console", "WARNING")
    try:
        app(prog_name="stopbank")
    except (PlainError, RulesetError) as error:
        _end(str(error))
    except KafkaError as error:
        _end(f"Kafka: {error}; `stopbank doctor` looks closer")
    except OSError as error:
        _end(os_error_in_words(error))


def _end(message: str) -> None:
    typer.echo(f"stopbank: {message}", err=True)
    sys.exit(EXIT_UNDONE)
