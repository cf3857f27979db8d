"""The `stopbank` command."""

from __future__ import annotations

import sys

import typer
from aiokafka.errors import KafkaError

from rules.language.diagnostics import RulesetError
from streams.broker.broker import BrokerError
from streams.cli import (
    backtest,
    demo,
    doctor,
    record,
    recording,
    records,
    replay,
    rules,
    schema,
    settings,
    tail,
    topics,
    tune,
    worker,
)
from streams.cli.running import EXIT_UNDONE, os_error_in_words
from streams.engine.core import TopicMissingError
from streams.logs import configure_logging
from streams.produce import InvalidRecords
from streams.recording.errors import RecordingError
from streams.rulesets import RulesetsError
from streams.settings import SettingsError
from streams.timeline.label_file import LabelFileError
from streams.topics import TopicsError
from streams.tune.errors import TuneError
from streams.unreachable import BrokerUnreachableError

__all__ = ["app", "main"]

# Errors that a person can mend: their message is enough.
_PLAIN_ERRORS = (
    BrokerError,
    BrokerUnreachableError,
    InvalidRecords,
    LabelFileError,
    RecordingError,
    RulesetError,
    RulesetsError,
    SettingsError,
    TopicMissingError,
    TopicsError,
    TuneError,
)

app = typer.Typer(
    name="stopbank",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
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
app.command("demo")(demo.demo)
app.command("worker")(worker.worker)
app.add_typer(topics.app, name="topics")
app.add_typer(rules.app, name="rules")
app.command("simulate")(records.simulate)
app.command("produce")(records.produce)
app.command("tail")(tail.tail)
app.command("record")(record.record)
app.add_typer(recording.app, name="recording")
app.command("replay")(replay.replay)
app.command("backtest")(backtest.backtest)
app.command("tune")(tune.tune)
app.command("schema")(schema.schema)
app.command("settings")(settings.settings)
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Run the command; errors that a person can mend are told in their own words, with exit code 2."""
    configure_logging("console", "WARNING")
    try:
        app(prog_name="stopbank")
    except _PLAIN_ERRORS as error:
        _end(str(error))
    except KafkaError as error:
        _end(f"Kafka: {error}; `stopbank doctor` looks closer")
    except OSError as error:
        _end(os_error_in_words(error))


def _end(message: str) -> None:
    typer.echo(f"stopbank: {message}", err=True)
    sys.exit(EXIT_UNDONE)
