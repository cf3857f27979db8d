"""The `stopbank` command."""

from __future__ import annotations

import sys

import typer
from aiokafka.errors import KafkaError

from rules.language.diagnostics import RulesetError
from streams.broker.broker import BrokerError
from streams.cli import demo, doctor, records, rules, schema, topics, worker
from streams.engine.core import TopicMissingError
from streams.rulesets import RulesetsError
from streams.settings import SettingsError
from streams.simulate import InvalidRecording
from streams.topics import TopicsError

__all__ = ["app", "main"]

# Errors that a person can mend: their message is enough.
_PLAIN_ERRORS = (
    BrokerError,
    InvalidRecording,
    OSError,
    RulesetError,
    RulesetsError,
    SettingsError,
    TopicMissingError,
    TopicsError,
)

app = typer.Typer(
    name="stopbank",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="""
Decides on purchases while they happen: approve, flag or block, with every reason.

A first look, on this machine only: `stopbank demo`. On a Kafka of your own:

    export KAFKA_BOOTSTRAP_SERVERS=kafka:9092
    stopbank topics create
    stopbank rules publish examples/rules/checkout.yaml
    stopbank worker

then `stopbank produce FILE` writes purchases and `stopbank tail` shows what is decided.
`stopbank doctor` says what is missing.
""",
)
app.command("demo")(demo.demo)
app.command("worker")(worker.worker)
app.add_typer(topics.app, name="topics")
app.add_typer(rules.app, name="rules")
app.command("simulate")(records.simulate)
app.command("produce")(records.produce)
app.command("tail")(records.tail)
app.command("schema")(schema.schema)
app.command("doctor")(doctor.doctor)


def main() -> None:
    """Run the command; errors that a person can mend are told in their own words, with exit code 2."""
    try:
        app()
    except _PLAIN_ERRORS as error:
        typer.echo(f"stopbank: {error}", err=True)
        sys.exit(2)
    except KafkaError as error:
        typer.echo(f"stopbank: Kafka: {error}; `stopbank doctor` looks closer", err=True)
        sys.exit(2)
