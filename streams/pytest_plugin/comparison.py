"""The decisions of a golden file against those of now, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

import orjson

from streams.differences import Difference, differences

_MOST_DECISIONS: Final = 10
_MOST_FIELDS: Final = 5
# What says which rules decided. It differs in every decision when rules were changed.
_STAMP: Final = ("ruleset", "ruleset_version")

# A decision as the fields of its JSON.
Fields = Mapping[str, Any]


class _Key(NamedTuple):
    """A decision's transaction, and how often that was decided on before: an id may come again after a day."""

    transaction_id: str
    before: int

    def __str__(self) -> str:
        return self.transaction_id + (f" (number {self.before + 1})" if self.before else "")


def compare(golden: Sequence[Fields], now: Sequence[Fields]) -> str:
    """What is different, in lines: counts first, then the first decisions, those with another action before others.

    Of decisions that are all the same it says nothing.
    """
    ours, theirs = _by_key(golden), _by_key(now)
    both = [key for key in ours if key in theirs]
    then, since = _stamps(golden), _stamps(now)
    restamped = then != since and len(then) == len(since) == 1
    altered = {
        key: found
        for key in both
        if (found := [each for each in differences(ours[key], theirs[key]) if not restamped or each.path not in _STAMP])
    }
    missing, extra = [key for key in ours if key not in theirs], [key for key in theirs if key not in ours]
    lines = _counts(len(golden), altered, len(missing), len(extra))
    if restamped:
        whose = "every decision" if lines else f"{len(both):,} decisions, otherwise the same"
        lines.append(f"{whose}: rules: golden {then.pop()}, now {since.pop()}")
    lines += _first(altered) + _named("missing", missing) + _named("extra", extra)
    return "\n".join(lines or _moved(list(ours), list(theirs)))


def parse(line: bytes) -> Fields | None:
    """The fields of a decision; None where the line is none."""
    try:
        fields: Any = orjson.loads(line)
    except ValueError:
        return None
    if not isinstance(fields, dict):
        return None
    named = cast("dict[str, Any]", fields)
    return named if {"transaction_id", *_STAMP} <= named.keys() else None


def _by_key(decisions: Sequence[Fields]) -> dict[_Key, Fields]:
    seen = Counter[str]()
    keyed: dict[_Key, Fields] = {}
    for fields in decisions:
        name = str(fields["transaction_id"])
        keyed[_Key(name, seen[name])] = fields
        seen[name] += 1
    return keyed


def _stamps(decisions: Sequence[Fields]) -> set[str]:
    return {" ".join(str(fields[name]) for name in _STAMP) for fields in decisions}


def _counts(decisions: int, altered: Mapping[_Key, Sequence[Difference]], missing: int, extra: int) -> list[str]:
    actions = sum(map(_acts, altered.values()))
    counts = (
        (len(altered), f"differ ({actions:,} in what is done)"),
        (missing, "missing"),
        (extra, "extra"),
    )
    said = [f"{count:,} {what}" for count, what in counts if count]
    return [f"of {decisions:,} decisions {', '.join(said)}"] if said else []


def _acts(found: Sequence[Difference]) -> bool:
    return any(each.path == "action" for each in found)


def _first(altered: Mapping[_Key, Sequence[Difference]]) -> list[str]:
    """A line for each place where a decision differs, of the first decisions and places."""
    lines: list[str] = []
    for key in sorted(altered, key=lambda key: not _acts(altered[key]))[:_MOST_DECISIONS]:
        found = altered[key]
        lines += [f"{key}: {path}: golden {one}, now {other}" for path, one, other in found[:_MOST_FIELDS]]
        lines += [f"{key}: and {len(found) - _MOST_FIELDS} more"] if len(found) > _MOST_FIELDS else []
    more = len(altered) - _MOST_DECISIONS
    return lines + ([f"and {more:,} more decisions that differ"] if more > 0 else [])


def _moved(golden: Sequence[_Key], now: Sequence[_Key]) -> list[str]:
    """Where the same decisions begin to be in another order, if they do."""
    for number, (one, other) in enumerate(zip(golden, now, strict=True), 1):
        if one != other:
            return [f"the same decisions in another order, from number {number:,} on: golden {one}, now {other}"]
    return []


def _named(what: str, keys: Sequence[_Key]) -> list[str]:
    more = len(keys) - _MOST_DECISIONS
    names = [*map(str, keys[:_MOST_DECISIONS]), *([f"and {more:,} more"] if more > 0 else [])]
    return [f"{what}: {', '.join(names)}"] if keys else []
