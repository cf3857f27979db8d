"""Topics: what each is set to, which are missing, and which do not fit together."""

from __future__ import annotations

import pytest

from streams.topics import (
    ASSESSMENTS,
    ASSESSMENTS_STATE,
    DEFAULT_PARTITIONS,
    INCOMING,
    INQUIRIES,
    PURCHASES,
    REPLIES,
    RULESETS,
    SIGHTINGS,
    SIGHTINGS_STATE,
    SPECS,
    STATE_OF,
    TopicsError,
    misfits,
    missing,
    partitions_to_create,
)

BY_NAME = {spec.name: spec for spec in SPECS}


def test_state_and_rules_are_compacted_and_nothing_else_is() -> None:
    compacted = {spec.name for spec in SPECS if spec.config["cleanup.policy"] == "compact"}
    assert compacted == {RULESETS, *STATE_OF.values()}


def test_what_comes_in_is_stamped_by_the_broker() -> None:
    """Latency and the check for the future are reckoned from that time."""
    stamped = {spec.name for spec in SPECS if spec.config.get("message.timestamp.type") == "LogAppendTime"}
    assert stamped == set(INCOMING)


def test_every_topic_says_what_it_holds_and_no_name_comes_twice() -> None:
    assert len(BY_NAME) == len(SPECS)
    assert all(spec.holds for spec in SPECS)


def test_what_workers_keep_for_themselves_is_internal() -> None:
    internal = {spec.name for spec in SPECS if spec.internal}
    assert internal == {SIGHTINGS, ASSESSMENTS, SIGHTINGS_STATE, ASSESSMENTS_STATE, INQUIRIES, REPLIES}


def test_topics_that_are_not_there_are_missing() -> None:
    everything = {spec.name: 1 for spec in SPECS}
    assert missing(everything) == []
    del everything[PURCHASES]
    assert missing(everything) == [PURCHASES]


def test_equal_counts_fit_and_so_does_what_is_not_there() -> None:
    assert misfits({spec.name: spec.partitions or 6 for spec in SPECS}) == []
    assert misfits({}) == []
    assert misfits({PURCHASES: 6, ASSESSMENTS: 3, SIGHTINGS: 4, RULESETS: 1}) == []


@pytest.mark.parametrize(
    ("counts", "names"),
    [
        ({ASSESSMENTS: 4, ASSESSMENTS_STATE: 6}, (ASSESSMENTS, ASSESSMENTS_STATE)),
        ({SIGHTINGS: 4, SIGHTINGS_STATE: 1}, (SIGHTINGS, SIGHTINGS_STATE)),
    ],
)
def test_topics_that_are_taken_together_must_have_equal_counts(counts: dict[str, int], names: tuple[str, str]) -> None:
    (told,) = misfits(counts, "eu.")
    assert all(f"eu.{name} has {counts[name]}" in told for name in names)
    assert "must be equal" in told
    assert "STOPBANK_TOPIC_PREFIX" in told


def test_rules_in_several_partitions_do_not_fit() -> None:
    assert "must have 1" in misfits({RULESETS: 2})[0]


def test_missing_topics_get_the_number_asked_for_and_rules_one() -> None:
    wanted = partitions_to_create({}, 12)
    assert wanted.pop(RULESETS) == 1
    assert set(wanted.values()) == {12}
    assert partitions_to_create({}, None)[PURCHASES] == DEFAULT_PARTITIONS


@pytest.mark.parametrize(("there", "other"), [(ASSESSMENTS, ASSESSMENTS_STATE), (ASSESSMENTS_STATE, ASSESSMENTS)])
def test_state_takes_the_number_of_its_source_and_a_source_that_of_its_state(there: str, other: str) -> None:
    wanted = partitions_to_create({there: 6}, None)
    assert wanted[other] == 6
    assert wanted[SIGHTINGS] == DEFAULT_PARTITIONS


def test_where_all_are_there_nothing_is_created() -> None:
    counts = {spec.name: spec.partitions or 4 for spec in SPECS}
    assert partitions_to_create(counts, None) == partitions_to_create(counts, 4) == {}


def test_another_number_than_is_there_is_refused_with_the_reason() -> None:
    with pytest.raises(TopicsError, match=r"eu\.sightings has 4 partitions, 8 were asked for.*Leave --partitions out"):
        partitions_to_create({SIGHTINGS: 4}, 8, "eu.")


def test_nothing_is_created_beside_topics_that_do_not_fit() -> None:
    with pytest.raises(TopicsError, match="must be equal"):
        partitions_to_create({SIGHTINGS: 4, SIGHTINGS_STATE: 6}, None)
