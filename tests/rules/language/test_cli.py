"""`stopbank rules check`: what is printed, where to, and the exit code."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli.rules import app

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(autouse=True)
def _beside_the_files(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]  # a fixture
    monkeypatch.chdir(GOLDEN)


def check(*files: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["check", *map(str, files)])
    return result.exit_code, result.stdout, result.stderr


def test_a_broken_file_gives_every_error_on_standard_error_and_exit_code_1() -> None:
    assert check("broken.yaml") == (1, "", (GOLDEN / "broken.txt").read_text(encoding="utf-8"))


def test_a_file_with_warnings_gives_them_and_a_summary_and_exit_code_0() -> None:
    assert check("warned.yaml") == (0, (GOLDEN / "warned.txt").read_text(encoding="utf-8"), "")


def test_several_files_are_all_checked_and_one_with_errors_decides_the_exit_code() -> None:
    code, out, err = check("broken.yaml", "warned.yaml")
    assert code == 1
    assert "warned.yaml: 3 rules" in out
    assert "broken.yaml:2:1" in err


def test_a_file_that_is_not_there_or_is_no_utf_8_gives_one_line_and_exit_code_2(tmp_path: Path) -> None:
    absent, latin = tmp_path / "absent.yaml", tmp_path / "latin.yaml"
    latin.write_bytes("ruleset: a\ndescription: Käufe\n".encode("latin-1"))
    assert check(absent) == (2, "", f"stopbank: {absent} can't be read: No such file or directory\n")
    assert check(latin) == (
        2,
        "",
        f"stopbank: {latin} can't be read: line 2 is not UTF-8: save it in that encoding\n",
    )
    assert check(tmp_path)[0] == 2
