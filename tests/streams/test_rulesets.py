"""The rulesets topic, record by record: what is in force, what is passed over, and how it is taken back."""

from __future__ import annotations

import orjson
import pytest

from rules.fold import StateNotReadyError
from rules.language.compile import CompiledRuleset, compile_ruleset
from rules.rulesets import reference_of
from streams.rulesets import (
    MAX_HISTORY,
    Entry,
    InForce,
    Registry,
    RulesetsError,
    earlier_version,
    keep_currency,
    with_entry,
)


def text(limit: int, *, ruleset: str = "checkout", currency: str = "CNY", rates: str = "") -> str:
    return f"""
ruleset: {ruleset}
currency: {currency}
{rates}
rules:
  - id: large
    when: amount > {limit}
    then: flag
"""


def compiled(source: str) -> CompiledRuleset:
    return compile_ruleset(source, "test")


class Topic:
    """Records as `publish` writes them, applied to a registry."""

    def __init__(self) -> None:
        self.registry = Registry("checkout")
        self.registry.complete = True

    def source(self, source: str, version: str | None = None) -> str:
        version = version or compiled(source).version
        self.registry.apply(f"checkout@{version}".encode(), orjson.dumps({"source": source}))
        return version

    def pointer(self, *versions: str) -> None:
        entries = [Entry(version=version, at_ms=number, by="ann") for number, version in enumerate(versions)]
        pointer = InForce(version=versions[-1], history=entries)
        self.registry.apply(b"checkout", pointer.model_dump_json().encode())


@pytest.fixture
def topic() -> Topic:
    return Topic()


def test_nothing_is_in_force_before_anything_was_published(topic: Topic) -> None:
    with pytest.raises(StateNotReadyError, match="no ruleset 'checkout' is in force yet"):
        topic.registry.in_force()


def test_a_text_alone_is_known_and_not_in_force(topic: Topic) -> None:
    version = topic.source(text(1))
    assert topic.registry.get(f"checkout@{version}").version == version
    with pytest.raises(StateNotReadyError):
        topic.registry.in_force()


def test_a_pointer_puts_its_text_into_force(topic: Topic) -> None:
    first, second = topic.source(text(1)), topic.source(text(2))
    topic.pointer(first)
    assert topic.registry.in_force().version == first
    topic.pointer(first, second)
    assert topic.registry.in_force().version == second


def test_a_pointer_whose_text_comes_later_waits_for_it(topic: Topic) -> None:
    """Compaction may leave the older text behind the newer pointer."""
    version = compiled(text(1)).version
    topic.pointer(version)
    with pytest.raises(StateNotReadyError):
        topic.registry.in_force()
    topic.source(text(1))
    assert topic.registry.in_force().version == version


def test_nothing_is_in_force_before_the_topic_was_read_to_its_end(topic: Topic) -> None:
    topic.registry.complete = False
    topic.pointer(topic.source(text(1)))
    with pytest.raises(StateNotReadyError):
        topic.registry.in_force()


def test_an_earlier_version_is_still_found_by_its_reference(topic: Topic) -> None:
    first = topic.source(text(1))
    topic.pointer(first)
    topic.pointer(first, topic.source(text(2)))
    assert topic.registry.get(f"checkout@{first}").version == first
    with pytest.raises(StateNotReadyError, match="was not published here yet"):
        topic.registry.get("checkout@0000")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"checkout", b"not json"),
        (b"checkout", b'{"version": 1}'),
        (b"checkout@1", b"\xff"),
        (b"checkout@1", b'{"source": "rules: ["}'),
        (b"checkout@1", orjson.dumps({"source": text(1, ruleset="other")})),
        (None, b"{}"),
        (b"checkout", None),
        (b"\xff", b"{}"),
    ],
)
def test_a_record_that_can_not_be_used_changes_nothing(topic: Topic, key: bytes | None, value: bytes | None) -> None:
    version = topic.source(text(1))
    topic.pointer(version)
    topic.registry.apply(key, value)
    assert topic.registry.in_force().version == version


def test_a_version_that_does_not_compile_here_leaves_the_one_before_in_force(topic: Topic) -> None:
    good = topic.source(text(1))
    topic.pointer(good)
    topic.source("rules: from a newer Stopbank", version="newer")
    topic.pointer(good, "newer")
    assert topic.registry.in_force().version == good


def test_a_text_under_another_reckoning_of_versions_is_found_by_both(topic: Topic) -> None:
    """A Stopbank after an upgrade may reckon versions otherwise than the one that published."""
    topic.source(text(1), version="old-reckoning")
    topic.pointer("old-reckoning")
    in_force = topic.registry.in_force()
    assert topic.registry.get(reference_of(in_force)) is in_force


def test_the_rulesets_of_others_are_listed_and_not_compiled(topic: Topic) -> None:
    topic.registry.apply(b"other@1", orjson.dumps({"source": "rules: ["}))
    topic.registry.apply(b"other", InForce(version="1", history=[]).model_dump_json().encode())
    assert topic.registry.pointers["other"].version == "1"


# -- taking back ------------------------------------------------------------------------------------


def test_the_version_before_is_the_last_other_one(topic: Topic) -> None:
    first, second = topic.source(text(1)), topic.source(text(2))
    topic.pointer(first, second, second)
    assert earlier_version(topic.registry, None) == (first, text(1))


def test_a_version_may_be_named(topic: Topic) -> None:
    first = topic.source(text(1))
    topic.pointer(first, topic.source(text(2)), topic.source(text(3)))
    assert earlier_version(topic.registry, first) == (first, text(1))


def test_a_version_that_was_never_published_is_refused_with_the_nearest(topic: Topic) -> None:
    first = topic.source(text(1))
    topic.pointer(first)
    with pytest.raises(RulesetsError, match=f"never published: did you mean `{first}`"):
        earlier_version(topic.registry, first[:-1])


def test_there_is_nothing_before_the_first(topic: Topic) -> None:
    with pytest.raises(RulesetsError, match="was ever published"):
        earlier_version(topic.registry, None)
    topic.pointer(topic.source(text(1)))
    with pytest.raises(RulesetsError, match="has no earlier version"):
        earlier_version(topic.registry, None)


def test_a_version_that_does_not_compile_any_more_is_not_put_into_force(topic: Topic) -> None:
    topic.source("rules: [", version="broken")
    topic.pointer("broken", topic.source(text(1)))
    with pytest.raises(RulesetsError, match="does not compile"):
        earlier_version(topic.registry, None)


def test_the_history_keeps_the_newest(topic: Topic) -> None:
    pointer: InForce | None = None
    for number in range(MAX_HISTORY + 5):
        pointer = with_entry(pointer, Entry(version=f"v{number}", at_ms=number, by="ann"))
    assert pointer is not None
    assert len(pointer.history) == MAX_HISTORY
    assert pointer.history[-1].version == pointer.version == f"v{MAX_HISTORY + 4}"
    assert pointer.history[0].version == "v5"


def test_another_currency_needs_a_rate_for_the_old_one(topic: Topic) -> None:
    topic.pointer(topic.source(text(1)))
    with pytest.raises(RulesetsError, match="changes from CNY to EUR: add CNY under `rates`"):
        keep_currency(topic.registry, compiled(text(1, currency="EUR")))
    keep_currency(topic.registry, compiled(text(1, currency="EUR", rates="rates: {CNY: 0.13}")))


def test_the_first_ruleset_may_have_any_currency(topic: Topic) -> None:
    keep_currency(topic.registry, compiled(text(1, currency="EUR")))


def test_a_purchase_on_its_way_finds_a_ruleset_of_another_id(topic: Topic) -> None:
    before = text(1, ruleset="before")
    reference = reference_of(compiled(before))
    topic.registry.apply(reference.encode(), orjson.dumps({"source": before}))
    topic.registry.apply(b"before@broken", orjson.dumps({"source": "rules: 7"}))
    assert topic.registry.get(reference).id == "before"
    with pytest.raises(StateNotReadyError, match="can't be used here"):
        topic.registry.get("before@broken")
    with pytest.raises(StateNotReadyError):
        topic.registry.in_force()
