"""`stopbank replay`: a recording decided again and compared, or written into a broker."""

from __future__ import annotations

import time
from typing import Annotated

import orjson
import typer

from streams.cli.progress import progress_bar, summed
from streams.cli.running import interruptible
from streams.cli.writing import write_records
from streams.process import spare_the_collector
from streams.recording.errors import RecordingError
from streams.recording.reader import Recording
from streams.replay.differences import Difference
from streams.replay.feed import Feed, feed, first_event_ms
from streams.replay.replay import ReplayReport, rows_to_read
from streams.replay.replay import replay as run_replay
from streams.settings import read_settings

_EXIT_DIFFERENT = 1


def replay(
    recording: Annotated[str, typer.Argument(help="Where it lies: a directory, or a URI.", show_default=False)],
    show: Annotated[int, typer.Option(min=0, help="How many differences are shown field by field.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="The whole report, on stdout.")] = False,
    to_kafka: Annotated[
        bool, typer.Option("--to-kafka", help="Write what came in into a broker's topics, and compare nothing.")
    ] = False,
    speed: Annotated[str, typer.Option(help="With --to-kafka: 1 as it was recorded, N times as fast, or max.")] = "1",
    shift_to_now: Annotated[
        bool, typer.Option("--shift-to-now", help="With --to-kafka: move event times so that the first is now.")
    ] = False,
) -> None:
    """Decide a recording again, and compare every byte with what was recorded.

    Every recorded partition goes through the worker's own steps in the order of its offsets. Exit code 1: some
    records differ, lack or are too many, or something that came in was lost; they are named. With `--to-kafka`
    what came in, as purchases, labels or settlements, is written into the topics of the configured broker instead.
    Ctrl-C ends it (exit code 130).

        stopbank replay recordings/friday
        stopbank replay recordings/friday --to-kafka --speed 10 --shift-to-now
    """
    opened = Recording.open(recording)
    if to_kafka:
        if as_json:
            raise typer.BadParameter("--json is of a comparison: it goes without --to-kafka")
        _feed(opened, _speed(speed), shift_to_now=shift_to_now)
        return
    if speed != "1" or shift_to_now:
        raise typer.BadParameter("--speed and --shift-to-now go with --to-kafka")
    spare_the_collector()
    with interruptible() as verify, progress_bar("replaying", rows_to_read(opened), verify) as note:
        report = run_replay(opened, show, summed(note))
    if as_json:
        typer.echo(orjson.dumps(report.to_json(), option=orjson.OPT_INDENT_2))
    else:
        _tell(report)
    raise typer.Exit(0 if report.is_equal else _EXIT_DIFFERENT)


# -- into a broker ----------------------------------------------------------------------------------


def _speed(text: str) -> float | None:
    """How many times as fast; None is as fast as it goes."""
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise typer.BadParameter(f"--speed is {text!r}: 1, another number above 0, or max")
    return speed


def _feed(recording: Recording, speed: float | None, *, shift_to_now: bool) -> None:
    settings = read_settings()
    shift_ms = _shift_ms(recording) if shift_to_now else 0
    source = Feed(recording, speed, shift_ms)
    _say_of_times(settings.max_ahead_s, speed, shift_to_now=shift_to_now)
    write_records(source.rows, lambda note: feed(settings, source, note))


def _shift_ms(recording: Recording) -> int:
    first_ms = first_event_ms(recording)
    if first_ms is None:
        raise RecordingError(f"{recording.name}: no record has an event_time: leave --shift-to-now out")
    return int(time.time() * 1000) - first_ms


def _say_of_times(max_ahead_s: int, speed: float | None, *, shift_to_now: bool) -> None:
    if not shift_to_now:
        said = "event times stay as they are: workers take old ones"
    elif speed == 1.0:
        said = "event times are moved so that the first is now"
    else:
        said = (
            "event times are moved so that the first is now; they lie as far apart as ever, and run ahead of the clock"
        )
    typer.echo(f"stopbank: {said}, and refuse what is more than {max_ahead_s} s ahead of the broker's clock", err=True)


# -- what is told -----------------------------------------------------------------------------------


def _tell(report: ReplayReport) -> None:
    decisions = report.decisions
    for difference in report.differences:
        typer.echo(_difference_text(difference))
    differ = sum(tally.differences for tally in report.tallies.values())
    if differ > len(report.differences):
        typer.echo(f"… and {differ - len(report.differences)} more (`--show` shows more)")
    if report.lost_records:
        more = ", …" if report.lost_records > len(report.lost) else ""
        typer.echo(f"{report.lost_records} came in and went nowhere: {', '.join(report.lost)}{more}")
    for waiting in report.waiting:
        typer.echo(f"replayed only up to {waiting}")
    if report.restored:
        begun = ", ".join(f"{source}@{offset}" for source, offset in report.restored)
        typer.echo(f"with the state that was recorded there, from {begun} on")
    if report.tallies:
        typer.echo(_counts(report))
    if report.is_equal:
        typer.echo(f"{report.recording}: {decisions.compared} decisions equal byte for byte")
    elif not decisions.compared:
        typer.echo(f"{report.recording}: no decision could be compared")
    else:
        what = f"{differ} different, {report.lost_records} lost, {decisions.compared} decisions equal byte for byte"
        typer.echo(f"{report.recording}: {what}")


def _difference_text(difference: Difference) -> str:
    at, made = difference.recorded_at, difference.replayed_from
    if difference.verdict == "missing":
        return f"{difference.topic}: {difference.about}: replayed from {made}, and not recorded"
    if difference.verdict == "extra":
        return f"{at}: {difference.about}: recorded, and not replayed"
    lines = [f"{at}: {difference.about}: replayed from {made} otherwise"]
    return "\n  ".join([*lines, *map(str, difference.fields)])


def _counts(report: ReplayReport) -> str:
    """How many records of each topic were what, as far as there were any."""
    lines: list[str] = []
    for topic, tally in report.tallies.items():
        counts = (
            (tally.repeated, "repeated after crashes"),
            (tally.before, "before the beginning"),
            (tally.under_way, "under way at the end"),
            (tally.after, "behind the end"),
            (tally.differences, "different"),
        )
        lines.append(", ".join([f"{topic}: {tally.compared} equal", *(f"{n} {what}" for n, what in counts if n)]))
    return "\n".join(lines)
