"""Patches that the usual tools take, and that make of a file what was chosen."""

from __future__ import annotations

import shutil
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest

from rules.language.compile import compile_ruleset
from streams.tune.patch import name_in_patch, patch_of
from tests.streams.tune.story import RULES

VALUES = {"burst": Decimal(3), "large": Decimal("300.00"), "reach": "1h"}
TOOLS = [
    pytest.param([tool, *options], marks=pytest.mark.skipif(shutil.which(tool) is None, reason=f"needs {tool}"))
    for tool, *options in (("git", "apply", "best.patch"), ("patch", "-p1", "--input", "best.patch"))
]


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize(
    "source",
    [RULES, RULES.rstrip("\n"), RULES.replace("\n", "\r\n"), "\ufeff" + RULES],
    ids=["plain", "no-newline-at-the-end", "crlf", "byte-order-mark"],
)
@pytest.mark.parametrize("name", ["rules.yaml", "team/my rules.yaml"])
def test_a_patched_file_has_the_values_and_nothing_else_is_touched(
    tmp_path: Path, tool: list[str], source: str, name: str
) -> None:
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(source.encode())
    (tmp_path / "best.patch").write_bytes(patch_of(source, VALUES, name_in_patch(file, tmp_path)).encode())
    if tool[0] == "patch" and "\r" in source:
        tool = [*tool, "--binary"]
    ran = subprocess.run(tool, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    patched = file.read_bytes().decode()
    assert compile_ruleset(patched).version == compile_ruleset(source, params=VALUES).version
    assert len(patched.split("\n")) == len(source.split("\n"))
    assert patched.replace("value: 3\r\n", "value: 5\r\n").replace("value: 3\n", "value: 5\n").replace(
        "{value: 300.00", "{value: 500.00"
    ).replace("reach: 1h", "reach: 10m") == source  # fmt: skip


def test_a_file_elsewhere_is_named_from_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    assert name_in_patch(tmp_path / "rules.yaml", tmp_path / "here") == "rules.yaml"
    assert name_in_patch(tmp_path / "here" / "a" / "rules.yaml", tmp_path / "here") == "a/rules.yaml"
