"""Files of records: every line is read before any is written, and what is wrong is told with its line."""

from __future__ import annotations

import gzip
from pathlib import Path

import orjson
import pytest

from streams.produce import InvalidRecords, OutgoingLine, moved_to, read_lines

PURCHASE = {"transaction_id": "t-1", "account_id": "a-1", "event_time": 1_000}
RECORDED = {"topic": "labels", "key": "a-1", "at_ms": 5, "value": {"verdict": "fraud"}}


def written(folder: Path, content: bytes, name: str = "file.jsonl") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def problem(path: Path) -> str:
    with pytest.raises(InvalidRecords) as caught:
        list(read_lines(path))
    return str(caught.value)


def test_purchases_and_recorded_records_may_be_mixed_with_blank_lines(tmp_path: Path) -> None:
    path = written(tmp_path, orjson.dumps(PURCHASE) + b"\n\n" + orjson.dumps(RECORDED) + b"\n")
    assert list(read_lines(path)) == [
        OutgoingLine("purchases", b"a-1", PURCHASE, f"{path}:1"),
        OutgoingLine("labels", b"a-1", {"verdict": "fraud"}, f"{path}:3", RECORDED["at_ms"]),
    ]


def test_settlements_may_be_written_and_move_with_the_purchases(tmp_path: Path) -> None:
    settlement = {"transaction_id": "t-1", "account_id": "a-1", "kind": "capture", "event_time": 3_000}
    line = {"topic": "settlements", "key": "a-1", "at_ms": 5, "value": settlement}
    path = written(tmp_path, orjson.dumps(PURCHASE) + b"\n" + orjson.dumps(line))
    _, read = moved_to(list(read_lines(path)), 2_000)
    assert (read.topic, read.key, read.value) == ("settlements", b"a-1", {**settlement, "event_time": 4_000})


def test_a_name_that_ends_in_gz_is_unpacked(tmp_path: Path) -> None:
    path = written(tmp_path, gzip.compress(orjson.dumps(PURCHASE)), "file.jsonl.gz")
    assert [line.value for line in read_lines(path)] == [PURCHASE]


def test_what_is_inside_a_purchase_is_not_looked_at(tmp_path: Path) -> None:
    path = written(tmp_path, b'{"account_id": "a-1", "amount": "much"}')
    assert next(read_lines(path)).value["amount"] == "much"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b"{", "not JSON in UTF-8"),
        (b'{"account_id": "\xff"}', "not JSON in UTF-8"),
        (b"[1]", "not a JSON object"),
        (b"{}", "neither a purchase (no `account_id`) nor a record of a recording"),
        (b'{"account_id": 7}', "neither a purchase (no `account_id`)"),
        (b'{"topic": "labels", "key": "a-1", "value": {}}', "`at_ms`"),
        (b'{"topic": "decisions", "key": "a-1", "at_ms": 5, "value": {}}', "`topic` is 'decisions'"),
        (b'{"topic": "decisions.degraded", "key": "a-1", "at_ms": 5, "value": {}}', "`topic` is 'decisions.degraded'"),
        (b'{"topic": "inquiries", "key": "a-1", "at_ms": 5, "value": {}}', "one of accounts, labels, purchases"),
        (b'{"topic": ["labels"], "key": "a-1", "at_ms": 5, "value": {}}', "`topic` is ['labels']"),
        (b'{"topic": "labels", "key": 1, "at_ms": 5, "value": {}}', "`key` is no text"),
        (b'{"topic": "labels", "key": "a-1", "at_ms": 5, "value": []}', "`value` is no JSON object"),
    ],
)
def test_a_line_that_can_not_be_written_is_named(tmp_path: Path, line: bytes, told: str) -> None:
    path = written(tmp_path, orjson.dumps(PURCHASE) + b"\n" + line + b"\n")
    message = problem(path)
    assert message.startswith(f"{path}:2: ")
    assert told in message


@pytest.mark.parametrize("content", [b"", b"\n \n"])
def test_a_file_without_records_is_an_error(tmp_path: Path, content: bytes) -> None:
    assert "holds no records" in problem(written(tmp_path, content))


def test_gzip_data_that_is_cut_off_is_named_with_the_line(tmp_path: Path) -> None:
    whole = b"".join(orjson.dumps({**PURCHASE, "transaction_id": f"t-{n * 7919}"}) + b"\n" for n in range(500))
    path = written(tmp_path, gzip.compress(whole)[:-100], "cut.jsonl.gz")
    message = problem(path)
    assert message.startswith(f"{path}:")
    assert "the gzip data is damaged" in message


def test_a_file_that_only_claims_to_be_gzip_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, orjson.dumps(PURCHASE), "plain.jsonl.gz")
    assert problem(path).startswith(f"{path}:1: the gzip data is damaged")


def test_event_times_move_alike_so_that_the_last_purchase_is_now() -> None:
    lines = [
        OutgoingLine("accounts", b"a-1", {"event_time": 900}),
        OutgoingLine("purchases", b"a-1", {"event_time": 1_000}),
        OutgoingLine("purchases", b"a-1", {"event_time": 3_000, "amount": 5}),
        # A label is given long after: it does not say when now is.
        OutgoingLine("labels", b"a-1", {"event_time": 9_000, "purchase": {"event_time": 1_000, "amount": 5}}),
        OutgoingLine("purchases", b"a-1", {"event_time": "soon"}),
    ]
    moved = [line.value["event_time"] for line in moved_to(lines, 10_000)]
    assert moved == [7_900, 8_000, 10_000, 16_000, "soon"]
    assert moved_to(lines, 10_000)[3].value["purchase"] == {"event_time": 8_000, "amount": 5}
    assert lines[0].value == {"event_time": 900}


def test_without_purchases_nothing_moves() -> None:
    lines = [OutgoingLine("labels", b"a-1", {"event_time": 9_000})]
    assert moved_to(lines, 10_000) == lines
