"""The cases of a rule file as pytest's items."""

# pytest is typed in part only.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rules.case_run import run_cases
from rules.language.cases import Case
from rules.language.check import check_text
from rules.language.compile import CompiledRuleset
from streams.pytest_plugin.reading import UnreadableFileError, read_rules


class _FailedError(Exception):
    """What is told of a test that failed, and no more."""


class _Told(pytest.Item):
    """A test that fails in words of its own."""

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Its words; for any other exception what pytest shows."""
        return str(excinfo.value) if isinstance(excinfo.value, _FailedError) else super().repr_failure(excinfo, style)


class CaseTest(_Told):
    """One case."""

    def __init__(self, *, ruleset: CompiledRuleset, case: Case, shown: str, **others: Any) -> None:
        super().__init__(**others)
        self._ruleset = ruleset
        self._case = case
        self._shown = shown

    def runtest(self) -> None:
        """Run it as `stopbank rules test` does, and fail with the same words."""
        for failure in run_cases(self._ruleset, [self._case]):
            raise _FailedError(failure.told(self._shown))

    def reportinfo(self) -> tuple[os.PathLike[str], int | None, str]:
        """Where its name stands."""
        return self.path, self._case.line - 1, self.name


class RefusedFileTest(_Told):
    """What stands for the cases of a rule file that can't be used: it fails."""

    def __init__(self, *, why: str, **others: Any) -> None:
        super().__init__(**others)
        self._why = why

    def runtest(self) -> None:
        """Fail."""
        raise _FailedError(self._why)

    def reportinfo(self) -> tuple[os.PathLike[str], int | None, str]:
        """The file."""
        return self.path, None, self.name


class RuleFileTests(pytest.File):
    """A rule file."""

    def collect(self) -> Iterator[pytest.Item]:
        """Its cases, or where there are errors in it one test that fails with them."""
        shown = _relative(self.path, self.config.rootpath)
        try:
            result = check_text(read_rules(self.path, shown), shown)
        except UnreadableFileError as error:
            yield RefusedFileTest.from_parent(self, name="compiles", why=str(error))
            return
        if result.compiled is None:
            why = "\n\n".join(diagnostic.render() for diagnostic in result.diagnostics)
            yield RefusedFileTest.from_parent(self, name="compiles", why=why)
            return
        for case in result.cases:
            yield CaseTest.from_parent(self, name=case.name, ruleset=result.compiled, case=case, shown=shown)


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)
