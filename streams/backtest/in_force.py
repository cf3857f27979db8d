"""The ruleset that decided when a recording ended."""

from __future__ import annotations

from pydantic import ValidationError

from rules.language.compile import CompiledRuleset, compile_ruleset
from rules.language.diagnostics import RulesetError
from streams.recording.errors import RecordingError
from streams.recording.reader import Recording
from streams.rulesets import InForce, Source
from streams.topics import RULESETS


def in_force_last(recording: Recording) -> CompiledRuleset | None:
    """The ruleset that was in force last; None where none was recorded.

    Raises RecordingError where its text was not recorded, or does not compile any more.
    """
    sources: dict[str, bytes] = {}
    pointer: bytes | None = None
    ruleset_id = recording.manifest.ruleset
    for partition in range(recording.partitions(RULESETS)):
        for record in recording.read(RULESETS, partition):
            key, value = (record.key or b"").decode(errors="replace"), record.value
            if value is not None and key == ruleset_id:
                pointer = value
            elif value is not None and key.partition("@")[0] == ruleset_id:
                sources[key] = value
    if pointer is None:
        return None
    try:
        reference = f"{ruleset_id}@{InForce.model_validate_json(pointer).version}"
        return compile_ruleset(Source.model_validate_json(sources[reference]).source, reference)
    except (KeyError, ValidationError):
        said = "its record is missing, or another program's"
    except RulesetError as error:
        said = f"it does not compile here: {error}"
    raise RecordingError(
        f"{recording.name}: the rules that were in force last can't be used: name others by --against; {said}"
    )
