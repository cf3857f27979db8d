"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from streams.whole_file import write_whole


def test_a_file_is_written_with_the_rights_that_any_other_would_have(tmp_path: Path) -> None:
    plain, whole = tmp_path / "plain", tmp_path / "whole"
    plain.write_text("ü")
    write_whole(whole, "ü")
    assert whole.read_bytes() == plain.read_bytes()
    assert whole.stat().st_mode == plain.stat().st_mode


def test_an_old_file_is_replaced_at_once(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text("old")
    with file.open() as reader:
        write_whole(file, "new")
        assert reader.read() == "old"
    assert file.read_text() == "new"


def test_bytes_are_written_as_they_are(tmp_path: Path) -> None:
    write_whole(tmp_path / "golden", b"\xff\r\n")
    assert (tmp_path / "golden").read_bytes() == b"\xff\r\n"


@pytest.mark.parametrize("ended_by", [OSError, KeyboardInterrupt])
def test_what_could_not_be_written_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended_by: type[BaseException]
) -> None:
    file = tmp_path / "report.html"
    file.write_text("old")

    def fails(_: int) -> None:
        raise ended_by

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(ended_by):
        write_whole(file, "new")
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as raised:
        write_whole(tmp_path / "none" / "report.html", "new")
    assert "none" in str(raised.value.filename)
