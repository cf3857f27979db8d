"""Where the pure steps find the compiled rulesets that records name."""

from __future__ import annotations

from typing import Protocol

from rules.language.compile import CompiledRuleset


class Rulesets(Protocol):
    """The rulesets that were published. Both methods raise StateNotReadyError for one not seen yet."""

    def in_force(self) -> CompiledRuleset:
        """The ruleset that decides purchases from now on."""
        ...

    def get(self, reference: str) -> CompiledRuleset:
        """A ruleset by its reference, `id@version`."""
        ...


def reference_of(ruleset: CompiledRuleset) -> str:
    """The text by which records name a ruleset: `id@version`."""
    return f"{ruleset.id}@{ruleset.version}"
