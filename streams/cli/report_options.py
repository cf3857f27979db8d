"""The options that `stopbank backtest` and `stopbank tune` have in common."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import typer

from rules.language.parser import duration_ms
from streams.cli.running import os_error_in_words
from streams.whole_file import verify_can_be_written

_DURATION: Final = re.compile(r"[0-9]{1,6}[smhd]")

# A terminal that is wider gets no wider table.
MOST_COLUMNS: Final = 100


class UnlabelledAs(StrEnum):
    """What purchases without a label count as."""

    LEFT_OUT = "left-out"
    GENUINE = "genuine"


Place = Annotated[str, typer.Argument(help="A recording: a directory, or a URI.", show_default=False)]
LabelFile = Annotated[
    Path | None, typer.Option(help="More labels, CSV or JSON lines, beside those that were recorded.")
]
Maturity = Annotated[
    str, typer.Option(help="Purchases younger than this at the recording's end count for no label: 60d, 12h.")
]
Unlabelled = Annotated[UnlabelledAs, typer.Option(help="What mature purchases without a label count as.")]
AsJson = Annotated[bool, typer.Option("--json", help="The report as JSON, and nothing else.")]


def maturity_ms(text: str) -> int:
    """The milliseconds of a duration that was given as --maturity."""
    if not _DURATION.fullmatch(text):
        raise typer.BadParameter(f"{text!r} is no duration like 60d or 12h", param_hint="--maturity")
    return duration_ms(text)


def verify_writable(file: Path | None, option: str, *read: Path | None) -> None:
    """Say at once, and not at the end, that a file can't be written, or would replace one that is read."""
    if file is None:
        return
    if file.resolve() in {each.resolve() for each in read if each is not None}:
        raise typer.BadParameter(f"{file} is read, and would be replaced: name another file", param_hint=option)
    if file.is_dir():
        raise typer.BadParameter(f"{file} is a directory: name a file", param_hint=option)
    if not file.parent.is_dir():
        raise typer.BadParameter(f"{file.parent} is no directory: create it first", param_hint=option)
    try:
        verify_can_be_written(file)
    except OSError as error:
        raise typer.BadParameter(
            f"{os_error_in_words(error)}: name a place that can be written", param_hint=option
        ) from None
