"""Recordings of a moment: begun and ended within crashes, when much comes twice, and still nothing differs falsely."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from rules.fold import Record
from streams.recording.reader import Recording
from streams.replay.replay import replay
from streams.topics import ASSESSMENTS, DECISIONS, PURCHASES, RULESETS, STATE_OF
from tests.integration.shopping import ACCOUNT_RULES, LABEL_RULES
from tests.streams.replay.life import shop
from tests.streams.replay.recorded import Offsets, RecordedLine, compacted, write_recording
from tests.streams.replay.test_replay import OTHER_COUNTS, SECOND_RULES, differences

RULES = {"stations": LABEL_RULES, "bundles": ACCOUNT_RULES}
# Streams in which stations or desks, or routers, send again what lies around the beginning and do not come to its end.
MOMENTS = [
    *(("stations", seed) for seed in (6, 11, 12, 16, 17, 20, 24, 35, 38, 42, 48, 50, 58)),
    *(("bundles", seed) for seed in (6, 8, 13, 39, 52)),
]


def moment(rules: str, seed: int, folder: Path, *, gateways: bool = False) -> Recording:
    """What a recorder would have recorded from one moment to another of a life with crashes."""
    rng = random.Random(seed)
    line = RecordedLine(rules, OTHER_COUNTS if seed % 2 else None, seed)
    beginning: list[tuple[Offsets, Offsets]] = []
    ending: list[Offsets] = []
    begin = rng.randrange(1, 100)
    marks: list[tuple[int, Callable[[], object]]] = [
        (begin, lambda: beginning.append((line.ends(), line.state_fences()))),
        (rng.randrange(begin + 1, 150), lambda: ending.append(line.ends())),
    ]
    if rules is LABEL_RULES:
        marks.append((rng.randrange(70, 140), lambda: line.publish(SECOND_RULES)))
    shop(line, 150, seed=seed, crashes=rng.choice([2, 6, 12]), gateways=gateways, marks=marks)
    begun, fences = beginning[0]
    topics = {topic: [list(part) for part in parts] for topic, parts in line.topics.items()}
    begins: Offsets = {lane: fence + 1 for lane, fence in fences.items()}
    begins |= {(DECISIONS, p): max(0, begun[DECISIONS, p] - rng.randint(20, 60)) for p in range(line.counts[DECISIONS])}
    for state in STATE_OF.values():
        topics[state] = [compacted(part, begun[state, p], rng) for p, part in enumerate(topics[state])]
    ends = {lane: max(end, begins.get(lane, 0)) for lane, end in ending[0].items() if lane[0] != RULESETS}
    return write_recording(folder, topics, begins=begins, ends=ends, state_offsets=begun)


@pytest.mark.parametrize(("kind", "seed"), MOMENTS)
def test_a_moment_within_crashes_does_not_differ(tmp_path: Path, kind: str, seed: int) -> None:
    report = replay(moment(RULES[kind], seed, tmp_path / "r"))
    assert differences(report) == 0, report
    assert report.decisions.replayed


@pytest.mark.parametrize("seed", [4, 7, 11, 16, 23, 37])
@pytest.mark.parametrize("kind", RULES)
def test_nor_does_one_with_gateways(tmp_path: Path, kind: str, seed: int) -> None:
    report = replay(moment(RULES[kind], seed, tmp_path / "r", gateways=True))
    assert differences(report) == 0, report


# -- what does differ is found all the same -----------------------------------------------------------


@pytest.fixture(scope="module")
def midlife() -> tuple[RecordedLine, Offsets, Offsets]:
    """A life with crashes, and where a recording begins in its middle: offsets, and the changelogs' ends."""
    line = RecordedLine(LABEL_RULES)
    beginning: list[tuple[Offsets, Offsets]] = []
    shop(line, 300, crashes=4, marks=[(100, lambda: beginning.append((line.ends(), line.state_fences())))])
    begun, fences = beginning[0]
    begins = {lane: fence + 1 for lane, fence in fences.items()}
    begins |= {(DECISIONS, p): max(0, begun[DECISIONS, p] - 30) for p in range(line.counts[DECISIONS])}
    return line, begins, begun


def behind(line: RecordedLine, begins: Offsets) -> Record:
    """A decision well behind the beginning, and written once."""
    part = line.topics[DECISIONS][1]
    values = [record.value for record in part]
    middle = (begins[DECISIONS, 1] + len(part)) // 2
    return next(record for record in part[middle:] if values.count(record.value) == 1)


@pytest.mark.parametrize("verdict", ["missing", "extra", "altered"])
def test_a_difference_behind_a_beginning_in_the_middle_is_named(
    tmp_path: Path, midlife: tuple[RecordedLine, Offsets, Offsets], verdict: str
) -> None:
    line, begins, begun = midlife
    victim = behind(line, begins)
    part = list(line.topics[DECISIONS][1])
    stray = (victim.value or b"").replace(b'"transaction_id":"t-', b'"transaction_id":"t-9')
    if verdict == "missing":
        part.remove(victim)
    elif verdict == "extra":
        part.insert(victim.offset, victim._replace(value=stray))
    else:
        part[victim.offset] = victim._replace(value=(victim.value or b"") + b" ")
    renumbered = [record._replace(offset=offset) for offset, record in enumerate(part)]
    topics = {**line.topics, DECISIONS: [line.topics[DECISIONS][0], renumbered, line.topics[DECISIONS][2]]}
    report = replay(write_recording(tmp_path / "r", topics, begins=begins, state_offsets=begun))
    assert [difference.verdict for difference in report.differences] == [verdict]
    assert differences(report) == 1


def test_a_purchase_lost_behind_a_beginning_in_the_middle_is_named(tmp_path: Path) -> None:
    line = RecordedLine(LABEL_RULES)
    beginning: list[tuple[Offsets, Offsets]] = []
    line.lost.add((PURCHASES, 0, 80))
    shop(line, 300, crashes=4, marks=[(100, lambda: beginning.append((line.ends(), line.state_fences())))])
    begun, fences = beginning[0]
    assert begun[PURCHASES, 0] < 70
    begins = {lane: fence + 1 for lane, fence in fences.items()}
    report = replay(write_recording(tmp_path / "r", line.topics, begins=begins, state_offsets=begun))
    assert report.lost == ["purchases-0@80"]
    assert any(begins[ASSESSMENTS, p] for p in range(3)), "it does not begin in the middle"
