"""The registry of published rulesets: what is in force, and what purchases on their way may name."""

from __future__ import annotations

import orjson
import pytest

from rules.fold import StateNotReadyError
from rules.rulesets import reference_of
from streams.rulesets import Registry


def source(ruleset: str, limit: int = 3) -> bytes:
    rules = f'ruleset: {ruleset}\nrules:\n  - {{id: burst, when: "count(account_id, 10m) > {limit}", then: block}}\n'
    return orjson.dumps({"source": rules})


def in_force(version: str) -> bytes:
    return orjson.dumps({"version": version, "history": []})


def registry(*records: tuple[bytes, bytes | None]) -> Registry:
    read = Registry("checkout")
    for key, value in records:
        read.apply(key, value)
    read.complete = True
    return read


def test_a_ruleset_has_the_version_that_it_was_published_as() -> None:
    read = registry((b"checkout@old-hash", source("checkout")), (b"checkout", in_force("old-hash")))
    assert reference_of(read.in_force()) == "checkout@old-hash"
    assert read.get(reference_of(read.in_force())) is read.in_force()


def test_a_purchase_on_its_way_finds_a_ruleset_of_another_id() -> None:
    read = registry((b"before@1", source("before")), (b"checkout@1", source("checkout")), (b"checkout", in_force("1")))
    assert read.get("before@1").id == "before"
    assert read.in_force().id == "checkout"


def test_what_was_not_published_or_does_not_compile_is_waited_for() -> None:
    read = registry(
        (b"checkout@bad", orjson.dumps({"source": "rules: 7"})), (b"other@bad", orjson.dumps({"source": ""}))
    )
    for reference in ("checkout@bad", "other@bad", "checkout@never"):
        with pytest.raises(StateNotReadyError):
            read.get(reference)
    with pytest.raises(StateNotReadyError):
        read.in_force()


def test_a_pointer_to_a_version_that_is_not_there_changes_nothing() -> None:
    read = registry(
        (b"checkout@1", source("checkout")),
        (b"checkout", in_force("1")),
        (b"checkout", in_force("2")),
        (b"checkout", b"{"),
        (b"checkout", None),
    )
    assert reference_of(read.in_force()) == "checkout@1"
    read.apply(b"checkout@2", source("checkout", 4))
    assert reference_of(read.in_force()) == "checkout@2"
