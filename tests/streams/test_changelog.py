"""State into changelog records and back, whoever wrote in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.engine.batch import OutgoingRecord
from streams.engine.changelog import (
    NO_FENCE,
    ChangelogCorruptError,
    ChangelogImage,
    encode_changes,
)


@dataclass
class Raw:
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    timestamp: int = 0
    partition: int = 0


def as_read(written: Sequence[OutgoingRecord]) -> list[Raw]:
    return [Raw(n, r.key, r.value, r.headers) for n, r in enumerate(written)]


def test_what_is_written_is_read_back_with_its_fence() -> None:
    image = ChangelogImage()
    image.apply(as_read(encode_changes([(b"a", b"1"), (b"b", b"2")], 7)))
    assert image.records == {b"a": b"1", b"b": b"2"}
    assert image.fence == 7


def test_a_deletion_removes_the_key() -> None:
    image = ChangelogImage()
    image.apply(as_read(encode_changes([(b"a", b"1")], 1)))
    image.apply(as_read(encode_changes([(b"a", None)], 2)))
    assert image.records == {}
    assert image.fence == 2


def test_a_run_without_changes_still_moves_the_fence() -> None:
    image = ChangelogImage()
    image.apply(as_read(encode_changes([], 9)))
    assert image.records == {}
    assert image.fence == 9


def test_an_empty_changelog_has_no_fence() -> None:
    assert ChangelogImage().fence == NO_FENCE


@pytest.mark.parametrize(
    "record",
    [
        Raw(0, None, b"12345678"),
        Raw(0, b"a", b"short"),
        Raw(0, b"a", None),
        Raw(0, b"a", None, (("fence", b"x"),)),
    ],
)
def test_a_record_that_is_not_ours_is_refused(record: Raw) -> None:
    with pytest.raises(ChangelogCorruptError):
        ChangelogImage().apply([record])


changes = st.dictionaries(st.sampled_from([b"a", b"b", b"c"]), st.one_of(st.none(), st.binary(max_size=3)), max_size=3)


@given(
    owner=st.lists(changes, min_size=1, max_size=8),
    zombie_from=st.integers(0, 7),
    zombie_at=st.integers(0, 8),
)
def test_a_worker_that_writes_after_it_lost_the_partition_changes_nothing(
    owner: list[dict[bytes, bytes | None]], zombie_from: int, zombie_at: int
) -> None:
    """The zombie repeats older runs of the same fold, which are the same records, at any later time."""
    runs = [encode_changes(list(change.items()), fence) for fence, change in enumerate(owner)]
    clean = ChangelogImage()
    for run in runs:
        clean.apply(as_read(run))
    disturbed = ChangelogImage()
    for position, run in enumerate(runs):
        disturbed.apply(as_read(run))
        if position == zombie_at:
            for late in runs[zombie_from : position + 1]:
                disturbed.apply(as_read(late))
    for late in runs[zombie_from:]:
        disturbed.apply(as_read(late))
    assert disturbed.records == clean.records
    assert disturbed.fence == clean.fence
    # Compaction may leave each key's last record only: the repairs see to it that it is the one that counts.
    written = [record for run in runs for record in run] + [record for run in runs[zombie_from:] for record in run]
    repaired = ChangelogImage()
    repaired.apply(as_read(list({record.key: record for record in [*written, *_repairs_of(written)]}.values())))
    assert repaired.records == clean.records
    assert not repaired.repairs()


@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"a", b"b", b"c", b"\0fence"]), st.none() | st.binary(max_size=3), st.integers(0, 300)
        ),
        max_size=30,
    )
)
def test_of_each_key_the_record_with_the_newest_fence_counts(log: list[tuple[bytes, bytes | None, int]]) -> None:
    """Held against a dictionary of numbers; of records with the same fence the last counts."""
    fences, state, stale = dict[bytes, int](), dict[bytes, bytes | None](), dict[bytes, bool]()
    for key, value, fence in log:
        stale[key] = fence < fences.get(key, NO_FENCE)
        if not stale[key]:
            fences[key], state[key] = fence, value
    image = ChangelogImage()
    for at, (key, value, fence) in enumerate(log):
        image.apply([Raw(at, r.key, r.value, r.headers) for r in encode_changes([(key, value)], fence)])
    expected = {key: value for key, value in state.items() if value is not None and key != b"\0fence"}
    assert image.records == expected
    assert len(image) == len(expected)
    assert image.fence == max(fences.values(), default=NO_FENCE)
    again = [encode_changes([(key, state[key])], fences[key])[0] for key in sorted(stale) if stale[key]]
    assert image.repairs() == again


def _repairs_of(written: Sequence[OutgoingRecord]) -> list[OutgoingRecord]:
    image = ChangelogImage()
    image.apply(as_read(written))
    return image.repairs()
