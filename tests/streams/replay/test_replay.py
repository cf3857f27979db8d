"""A recording replayed gives every byte that was recorded, wherever it begins and ends; and nothing else is equal."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.fold import Record
from streams.recording.errors import RecordingError
from streams.recording.manifest import SliceOf
from streams.recording.reader import Recording
from streams.recording.slice import cut
from streams.replay.makers import Makers
from streams.replay.replay import ReplayReport, replay
from streams.topics import ASSESSMENTS, DEAD_LETTERS, DECISIONS, PURCHASES, RULESETS, SIGHTINGS, STATE_OF
from tests.integration.shopping import ACCOUNT_RULES, LABEL_RULES
from tests.streams.replay.life import AT_MS, shop
from tests.streams.replay.recorded import Offsets, RecordedLine, compacted, write_recording

OTHER_COUNTS = {PURCHASES: 2, SIGHTINGS: 3, ASSESSMENTS: 4, DECISIONS: 5, DEAD_LETTERS: 1}
SECOND_RULES = LABEL_RULES.replace("count(device_id, 10m) > 5", "count(device_id, 10m) > 2")


def differences(report: ReplayReport) -> int:
    return sum(tally.differences for tally in report.tallies.values()) + report.lost_records


def distinct(line: RecordedLine, topic: str) -> int:
    return len({record[2:5] for part in line.topics[topic] for record in part})


@pytest.fixture(scope="module")
def crashed() -> RecordedLine:
    """A whole life with crashes, and rules that were changed in the middle."""
    line = RecordedLine(LABEL_RULES, OTHER_COUNTS)
    marks = ((200, lambda: line.publish(SECOND_RULES)), (400, lambda: line.publish(LABEL_RULES)))
    shop(line, 600, crashes=5, gateways=True, marks=marks)
    return line


@pytest.mark.parametrize("counts", [{}, OTHER_COUNTS], ids=["equal counts", "other counts"])
@pytest.mark.parametrize("rules", [LABEL_RULES, ACCOUNT_RULES], ids=["stations", "bundles"])
def test_a_whole_life_is_equal_byte_for_byte(tmp_path: Path, rules: str, counts: dict[str, int]) -> None:
    line = RecordedLine(rules, counts)
    shop(line, 400, gateways=True)
    report = replay(write_recording(tmp_path / "r", line.topics))
    assert report.is_equal
    assert report.decisions.compared == report.decisions.replayed == sum(map(len, line.topics[DECISIONS]))
    assert report.tallies[DEAD_LETTERS].compared > 5, "nothing was refused: that tests nothing"
    assert report.tallies[ASSESSMENTS].compared > 5, "nothing was sent on: that tests nothing"
    for tally in report.tallies.values():
        assert (tally.repeated, tally.before, tally.under_way, tally.after) == (0, 0, 0, 0)
    assert not report.not_arrived


def test_what_was_written_again_after_crashes_is_counted(tmp_path: Path, crashed: RecordedLine) -> None:
    report = replay(write_recording(tmp_path / "r", crashed.topics))
    assert report.is_equal
    decisions = report.decisions
    assert decisions.repeated > 20
    recorded = sum(map(len, crashed.topics[DECISIONS]))
    assert decisions.compared + decisions.repeated == recorded
    assert len({orjson.loads(r.value or b"")["ruleset_version"] for p in crashed.topics[DECISIONS] for r in p}) == 2


def cut_anywhere(rules: str, seed: int, folder: Path) -> tuple[RecordedLine, Recording]:
    """A line with crashes, and a recording that was begun at some moment of its life and ends somewhere."""
    rng = random.Random(seed)
    line = RecordedLine(rules, OTHER_COUNTS if seed % 2 else None, seed)
    beginning: list[tuple[Offsets, Offsets]] = []
    ending: list[Offsets] = []
    marks: list[tuple[int, Callable[[], object]]] = [
        (rng.randrange(1, 60), lambda: beginning.append((line.ends(), line.state_fences()))),
        # What came twice around the beginning has come twice by the end.
        (80, line.work),
        (rng.randrange(100, 150), lambda: ending.append(line.ends())),
    ]
    if rules is LABEL_RULES:
        marks.append((rng.randrange(70, 140), lambda: line.publish(SECOND_RULES)))
    shop(line, 150, seed=seed, crashes=4, gateways=seed % 3 > 0, marks=marks)
    begun, fences = beginning[0]
    topics = {topic: [list(part) for part in parts] for topic, parts in line.topics.items()}
    begins: Offsets = {lane: rng.randint(0, fence + 1) for lane, fence in fences.items()}
    for topic in (DECISIONS, DEAD_LETTERS, PURCHASES):
        begins |= {(topic, p): rng.randint(0, begun[topic, p]) for p in range(line.counts[topic])}
    for state in STATE_OF.values():
        topics[state] = [compacted(part, begun[state, p], rng) for p, part in enumerate(topics[state])]
    ends = {
        lane: rng.randint(max(ending[0][lane], begins.get(lane, 0)), end)
        for lane, end in line.ends().items()
        if lane[0] not in (RULESETS, *STATE_OF.values())
    }
    return line, write_recording(folder, topics, begins=begins, ends=ends, state_offsets=begun)


@pytest.mark.parametrize("rules", [LABEL_RULES, ACCOUNT_RULES], ids=["stations", "bundles"])
@given(seed=st.integers(0, 10_000))
# The same lives each time: of a life of seconds, one in hundreds is cut so that a repeat looks like a loss.
@settings(max_examples=15, derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_recording_may_begin_and_end_anywhere(
    tmp_path_factory: pytest.TempPathFactory, rules: str, seed: int
) -> None:
    _, recording = cut_anywhere(rules, seed, tmp_path_factory.mktemp("recordings") / "r")
    report = replay(recording)
    assert differences(report) == 0, report


def altered(recorded: Sequence[Sequence[Record]], number: int, new: Callable[[Record], Record]) -> list[list[Record]]:
    """The partitions with their record of this number, over all of them, replaced."""
    flat = [record for part in recorded for record in part]
    victim = flat[number]
    return [[new(record) if record is victim else record for record in part] for part in recorded]


def decided(line: RecordedLine, action: str) -> int:
    """The number of a decision in the middle, by its action."""
    flat = [record for part in line.topics[DECISIONS] for record in part]
    values = [record.value or b"" for record in flat]
    return next(
        n for n in range(30, len(flat)) if f'"action":"{action}"'.encode() in values[n] and values.count(values[n]) == 1
    )


def replayed_with(line: RecordedLine, folder: Path, topic: str, parts: list[list[Record]]) -> ReplayReport:
    return replay(write_recording(folder, {**line.topics, topic: parts}))


def test_an_altered_decision_is_shown_field_by_field(tmp_path: Path, crashed: RecordedLine) -> None:
    def new(record: Record) -> Record:
        value = orjson.loads(record.value or b"")
        value["reasons"][0]["observed"] = 77
        return record._replace(value=orjson.dumps(value))

    number = decided(crashed, "block")
    report = replayed_with(crashed, tmp_path / "r", DECISIONS, altered(crashed.topics[DECISIONS], number, new))
    assert not report.is_equal
    assert report.decisions.altered == differences(report) == 1
    [difference] = report.differences
    [field] = difference.fields
    assert field.path == "reasons[0].observed"
    assert field.recorded == "77" != field.replayed
    victim = [record for part in crashed.topics[DECISIONS] for record in part][number]
    assert difference.recorded_at == f"decisions-{victim.partition}@{victim.offset}"
    assert difference.about == f"transaction {orjson.loads(victim.value or b'')['transaction_id']}"


@pytest.mark.parametrize("which", [0, 5, -1], ids=["the first", "one in the middle", "the last"])
@pytest.mark.parametrize("topic", [DECISIONS, SIGHTINGS, ASSESSMENTS, DEAD_LETTERS])
def test_one_altered_byte_is_found_wherever_it_is(tmp_path: Path, topic: str, which: int) -> None:
    line = RecordedLine(LABEL_RULES)
    shop(line, 150)
    makers = Makers(write_recording(tmp_path / "as-it-was", line.topics), line.registry)
    flat = [record for part in line.topics[topic] for record in part]
    made = [n for n, record in enumerate(flat) if (maker := makers.maker_of(topic, record)) and maker.certain]

    def new(record: Record) -> Record:
        value = record.value or b""
        return record._replace(value=value[:-1] + bytes([value[-1] ^ 1]))

    report = replayed_with(
        line, tmp_path / "r", topic, altered(line.topics[topic], made[min(which, len(made) - 1)], new)
    )
    victim = flat[made[min(which, len(made) - 1)]]
    assert f"{topic}-{victim.partition}@{victim.offset}" in {d.recorded_at for d in report.differences}
    assert not report.is_equal


def test_a_decision_that_lacks_in_the_middle_is_named(tmp_path: Path) -> None:
    line = RecordedLine(LABEL_RULES)
    shop(line, 150)
    parts = line.topics[DECISIONS]
    victim = parts[1][len(parts[1]) // 2]
    left = [record for record in parts[1] if record is not victim]
    renumbered = [record._replace(offset=offset) for offset, record in enumerate(left)]
    report = replayed_with(line, tmp_path / "r", DECISIONS, [parts[0], renumbered, parts[2]])
    assert report.decisions.missing == differences(report) == 1
    [difference] = report.differences
    assert (difference.verdict, difference.recorded_at) == ("missing", None)
    assert difference.replayed_from is not None
    assert difference.replayed_from.startswith("assessments-")
    assert difference.about == f"transaction {orjson.loads(victim.value or b'')['transaction_id']}"


def test_a_decision_too_many_is_named(tmp_path: Path) -> None:
    line = RecordedLine(LABEL_RULES)
    shop(line, 150)
    parts = line.topics[DECISIONS]
    value = orjson.loads(parts[1][5].value or b"")
    stray = parts[1][5]._replace(value=orjson.dumps({**value, "transaction_id": "t-never-sent"}))
    inserted = [*parts[1][:8], stray, *parts[1][8:]]
    renumbered = [record._replace(offset=offset) for offset, record in enumerate(inserted)]
    report = replayed_with(line, tmp_path / "r", DECISIONS, [parts[0], renumbered, parts[2]])
    assert report.decisions.extra == differences(report) == 1
    [difference] = report.differences
    assert (difference.verdict, difference.recorded_at) == ("extra", "decisions-1@8")
    assert difference.about == "transaction t-never-sent"


@pytest.mark.parametrize("rules", [LABEL_RULES, ACCOUNT_RULES], ids=["stations", "bundles"])
def test_a_purchase_that_went_nowhere_is_named(tmp_path: Path, rules: str) -> None:
    line = RecordedLine(rules)
    line.lost.add((PURCHASES, 0, 20))
    shop(line, 150)
    report = replay(write_recording(tmp_path / "r", line.topics))
    assert not any(tally.differences for tally in report.tallies.values())
    assert report.lost_records == 1
    assert report.lost == ["purchases-0@20"]
    assert not report.is_equal


@pytest.mark.parametrize(("begin", "end"), [(0, 200), (140, 300), (200, None)])
def test_a_slice_by_time_is_equal(tmp_path: Path, crashed: RecordedLine, begin: int, end: int | None) -> None:
    by = SliceOf(from_ms=AT_MS + begin, until_ms=AT_MS + end if end is not None else None)
    cut(write_recording(tmp_path / "r", crashed.topics), str(tmp_path / "slice"), by)
    report = replay(Recording.open(str(tmp_path / "slice")))
    assert report.is_equal
    assert bool(report.restored) is bool(begin)
    assert report.decisions.compared > 30


def test_a_slice_by_account_is_refused_and_backtest_named(tmp_path: Path) -> None:
    line = RecordedLine(ACCOUNT_RULES)
    recording = write_recording(tmp_path / "r", line.topics, slice_of=SliceOf(accounts=["a-1"]))
    with pytest.raises(RecordingError, match="stopbank backtest"):
        replay(recording)


def test_a_source_that_begins_behind_its_state_is_refused(tmp_path: Path) -> None:
    line = RecordedLine(LABEL_RULES)
    shop(line, 100)
    begins = {(ASSESSMENTS, 1): 20}
    topics = {**line.topics, STATE_OF[ASSESSMENTS]: [line.topics[STATE_OF[ASSESSMENTS]][0], [], []]}
    with pytest.raises(RecordingError, match=r"assessments, partition 1 is recorded from offset 20 on"):
        replay(write_recording(tmp_path / "r", topics, begins=begins))


def test_a_recording_without_decisions_is_not_equal(tmp_path: Path) -> None:
    line = RecordedLine(LABEL_RULES)
    shop(line, 50)
    report = replayed_with(line, tmp_path / "r", DECISIONS, [[], [], []])
    assert not report.is_equal
    assert report.decisions.under_way == report.decisions.replayed > 0


def test_a_ruleset_that_was_not_recorded_is_named(tmp_path: Path) -> None:
    line = RecordedLine(LABEL_RULES)
    shop(line, 100, marks=((50, lambda: line.publish(SECOND_RULES)),))
    rulesets = [line.topics["rulesets"][0][:2]]
    report = replayed_with(line, tmp_path / "r", "rulesets", rulesets)
    assert not report.is_equal
    assert any(line.versions[1] in waiting for waiting in report.waiting)


def test_a_topic_that_was_not_recorded_is_named(tmp_path: Path) -> None:
    line = RecordedLine(LABEL_RULES)
    topics = {topic: parts for topic, parts in line.topics.items() if topic != SIGHTINGS}
    with pytest.raises(RecordingError, match="not recorded: sightings"):
        replay(write_recording(tmp_path / "r", topics))
