"""Cases of rule files as tests."""

from __future__ import annotations

import tomllib
from importlib import import_module
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streams.cli import app
from tests.streams.pytest_plugin.conftest import Run

PLUGIN = "streams.pytest_plugin"
PROJECT = Path(__file__).resolve().parents[3]


def test_each_case_is_a_test_named_by_file_and_case(run: Run) -> None:
    ran = run("--collect-only", "-q")
    listed = ["rules/old.yaml::a small one passes", "rules/old.yaml::a large one: at [[]first[]] flagged"]
    ran.stdout.fnmatch_lines(listed, consecutive=True)
    assert run().parseoutcomes() == {"passed": 2}


@pytest.mark.parametrize("name", ["a small one passes", "a large one: at [first] flagged"])
def test_one_case_can_be_run_by_its_name(run: Run, name: str) -> None:
    assert run(f"rules/old.yaml::{name}").parseoutcomes() == {"passed": 1}


def test_a_case_fails_with_the_words_of_rules_test(run: Run, pytester: pytest.Pytester) -> None:
    file = pytester.path / "rules" / "old.yaml"
    file.write_text(file.read_text().replace("amount > 50.00", "amount > 80.00"))
    told = CliRunner().invoke(app, ["rules", "test", "rules/old.yaml"]).stdout.splitlines()[0]
    assert told.startswith("rules/old.yaml:14: a large one: at [first] flagged: purchase t-1: expected flag [LARGE]")
    ran = run()
    assert ran.parseoutcomes() == {"passed": 1, "failed": 1}
    assert told in ran.outlines
    assert "Traceback" not in ran.stdout.str()


def test_a_file_that_does_not_compile_is_one_test_that_fails_with_every_error(
    run: Run, pytester: pytest.Pytester
) -> None:
    file = pytester.path / "rules" / "old.yaml"
    file.write_text(file.read_text().replace("amount > 50.00", "amuont > 50.00").replace("then: block", "then: stop"))
    ran = run()
    assert ran.parseoutcomes() == {"failed": 1}
    ran.stdout.fnmatch_lines(
        ["rules/old.yaml:*error:*", "*amuont*^*".replace("^", ""), "FAILED rules/old.yaml::compiles*"]
    )
    ran.stdout.no_fnmatch_line("*Traceback*")


def test_a_file_that_is_no_text_is_one_test_that_fails(run: Run, pytester: pytest.Pytester) -> None:
    (pytester.path / "rules" / "binary.yaml").write_bytes(b"ruleset: a\n\xff\n")
    ran = run()
    assert ran.parseoutcomes() == {"passed": 2, "failed": 1}
    assert "rules/binary.yaml can't be read: line 2 is not UTF-8: save it in that encoding" in ran.outlines


def test_other_yaml_files_are_left_alone(run: Run, pytester: pytest.Pytester) -> None:
    (pytester.path / "compose.yaml").write_text("services: {}")
    assert run().parseoutcomes() == {"passed": 2}


@pytest.mark.parametrize("pattern", ["rulse/*.yaml", "/rules/*.yaml"])
def test_a_pattern_that_names_no_file_is_refused(run: Run, pytester: pytest.Pytester, pattern: str) -> None:
    pytester.makeini(f"[pytest]\nstopbank_rules = {pattern}")
    ran = run()
    assert ran.ret is pytest.ExitCode.USAGE_ERROR
    ran.stderr.fnmatch_lines([f"ERROR: stopbank_rules: {pattern} * below {pytester.path}: *"])


def test_the_entry_point_is_the_plugin() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"stopbank": PLUGIN}
    assert hasattr(import_module(PLUGIN), "pytest_collect_file")


def test_where_nothing_is_asked_of_it_it_costs_no_imports(pytester: pytest.Pytester) -> None:
    script = (
        f"import sys, {PLUGIN}; print(sorted({{'numpy', 'orjson', 'pyarrow', 'pydantic', 'rules'}} & {{*sys.modules}}))"
    )
    assert pytester.runpython_c(script).outlines == ["[]"]
