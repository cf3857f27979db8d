"""`stopbank rules check` and `stopbank rules test`: what is printed, where to, and the exit code."""

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


CASES = """\
ruleset: a
rules:
- {id: large, when: amount > 5, then: flag}
cases:
- {name: large is flagged, purchases: [{amount: 6}], expect: {action: flag}}
- {name: small is blocked, purchases: [{amount: 5}], expect: {action: block}}
"""


def outcome_of(tmp_path: Path, text: str) -> tuple[int, str, str]:
    file = tmp_path / "f.yaml"
    file.write_text(text, encoding="utf-8")
    result = CliRunner().invoke(app, ["test", str(file)])
    return result.exit_code, result.stdout.replace(f"{tmp_path}/", ""), result.stderr.replace(f"{tmp_path}/", "")


def test_a_case_that_fails_gives_one_line_and_exit_code_1(tmp_path: Path) -> None:
    assert outcome_of(tmp_path, CASES) == (
        1,
        "f.yaml:6: small is blocked: purchase t-1: expected block, came approve []\nf.yaml: 1 of 2 cases failed\n",
        "",
    )


def test_cases_that_pass_are_counted(tmp_path: Path) -> None:
    assert outcome_of(tmp_path, CASES.replace("block}", "approve}")) == (0, "f.yaml: 2 cases passed\n", "")
    assert outcome_of(tmp_path, CASES[: CASES.index("- {name: small")]) == (0, "f.yaml: 1 case passed\n", "")


def test_a_file_without_cases_says_so(tmp_path: Path) -> None:
    without = CASES[: CASES.index("cases:")]
    assert outcome_of(tmp_path, without) == (0, "f.yaml: no cases: write some under `cases:`\n", "")


def test_a_file_with_errors_is_not_run(tmp_path: Path) -> None:
    code, out, err = outcome_of(tmp_path, CASES.replace("amount > 5", "amuont > 5"))
    assert (code, out) == (1, "")
    assert err.startswith("f.yaml:3:21: error: unknown field `amuont`")
    assert CliRunner().invoke(app, ["test", str(tmp_path / "absent.yaml")]).exit_code == 2
