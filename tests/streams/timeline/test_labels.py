"""Labels out of a file: what is read, and what a person is told about what is not."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import orjson
import pyarrow as pa
import pytest

from models.label import InvalidLabel, decode_label
from rules.columns.table import NEVER_MS
from streams.timeline import labels as labels_module
from streams.timeline.hashing import Hashes
from streams.timeline.label_columns import LabelColumns, in_columns
from streams.timeline.label_file import FRAUD, GENUINE, VERDICTS, KnownLabel, LabelFileError, read_label_file
from streams.timeline.labels import LabelTable
from streams.timeline.recorded_labels import RecordedLabels
from streams.timeline.texts import Texts
from streams.timeline.timeline import Timeline
from tests.models.records import LABEL, PURCHASE
from tests.streams.timeline.recordings import Sent, record

AT_MS: int = LABEL["event_time"]
HEADER = b"transaction_id,verdict,known_at\n"
A_TIME = "is not a time from 2000 to 2099"

READ: list[tuple[bytes, list[KnownLabel]]] = [
    (HEADER + b"t-1,fraud,%d\n" % AT_MS, [KnownLabel("t-1", FRAUD, AT_MS, 2)]),
    (HEADER, []),
    (b"\xef\xbb\xbf" + HEADER.strip() + b"\r\nt-1,chargeback,%d\r\n" % AT_MS, [KnownLabel("t-1", FRAUD, AT_MS, 2)]),
    (
        b'known_at, transaction_id, verdict\n\n2026-03-02T06:00:00Z,"t,1", genuine',
        [KnownLabel("t,1", GENUINE, AT_MS, 3)],
    ),
    (
        orjson.dumps(LABEL) + b"\n\n" + orjson.dumps({**LABEL, "verdict": "genuine"}),
        [KnownLabel("t-1", FRAUD, AT_MS, 1), KnownLabel("t-1", GENUINE, AT_MS, 3)],
    ),
]

NOT_READ: list[tuple[bytes, str]] = [
    (b"", "labels: is empty: begin it with the header transaction_id,verdict,known_at"),
    (b"t-1,fraud,1\n", "labels:1: 't-1,fraud,1' is neither the header transaction_id,verdict,known_at of CSV nor a "),
    (HEADER + b"t-1,fraud\n", "labels:2: 2 values, the header has 3: mend this line"),
    (HEADER + b"t-1,stolen,%d\n" % AT_MS, "labels:2: label: verdict: 'stolen' is not fraud, chargeback or genuine"),
    (HEADER + b"\nt-1,fraud,yesterday\n", f"labels:3: label: known_at: 'yesterday' {A_TIME}"),
    (HEADER + b"t-1,fraud,1772431200\n", f"labels:2: label: known_at: 1772431200 {A_TIME}"),
    (HEADER + b"t-1,fraud,%s\n" % (b"9" * 5000), f"labels:2: label: known_at: '{'9' * 39}… {A_TIME}"),
    (HEADER + b"t 1,fraud,%d\n" % AT_MS, "labels:2: label: transaction_id: 't 1' is not text of 1 to 128 characters"),
    (HEADER + b'"t-1,fraud,%d\n' % AT_MS, "labels:2: is not CSV: unexpected end of data"),
    (HEADER + b"t-\xff,fraud,1\n", "labels:2: is not UTF-8: save the file as UTF-8"),
    (b'{"transaction_id": "t-1"}\n', "labels:1: label: account_id: is required but missing: add it (and 2 more)"),
    (orjson.dumps(LABEL) + b"\nt-1\n", "labels:2: label: the record: is not valid JSON"),
]


@pytest.mark.parametrize(("content", "labels"), READ)
def test_a_file_is_read_line_by_line(tmp_path: Path, content: bytes, labels: list[KnownLabel]) -> None:
    (tmp_path / "labels").write_bytes(content)
    assert list(read_label_file(tmp_path / "labels")) == labels


@pytest.mark.parametrize(("content", "message"), NOT_READ)
def test_what_can_not_be_read_is_named_with_its_line(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "labels").write_bytes(content)
    with pytest.raises(LabelFileError) as caught:
        list(read_label_file(tmp_path / "labels"))
    assert str(caught.value).startswith(f"{tmp_path}/{message}")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabelFileError, match="labels: No such file or directory: name a file"):
        list(read_label_file(tmp_path / "labels"))


def sent(transaction: str, number: int) -> Sent:
    value = orjson.dumps({**PURCHASE, "transaction_id": transaction, "event_time": AT_MS + number})
    return Sent("purchases", 0, AT_MS + number, value)


def test_labels_of_purchases_that_were_not_recorded_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    lines = [b"x-2,fraud,%d\n", b"t-1,fraud,%d\n", b"x-1,genuine,%d\n", b"x-2,genuine,%d\n"]
    file.write_bytes(HEADER + b"".join(line % AT_MS for line in lines))
    stray = Sent("labels", 0, AT_MS, orjson.dumps({**LABEL, "transaction_id": "x-0"}))
    recording = record(tmp_path / "recording", [sent("t-1", 0), sent("t-2", 1), stray], {"purchases": 1, "labels": 1})
    timeline = Timeline(recording, LabelTable.read(recording, file))
    verdicts = [verdict for block in timeline.blocks() for verdict in block.verdicts.tolist()]
    assert verdicts == [FRAUD, 0]
    counts = timeline.counts
    assert (counts.labels, counts.unknown_labels, counts.first_unknown_label) == (4, 2, f"{file}:2: x-2")


def test_the_newest_label_counts_and_fraud_is_known_from_the_first_that_says_so(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    lines = ["t-1,fraud,9", "t-1,genuine,7", "t-1,chargeback,8", "t-2,fraud,3", "t-2,genuine,5", "t-3,genuine,1"]
    file.write_text(HEADER.decode() + "\n".join(f"{line[:-1]}{AT_MS + int(line[-1])}" for line in lines))
    recorded = Sent("labels", 0, AT_MS, orjson.dumps({**LABEL, "transaction_id": "t-3", "event_time": AT_MS + 1}))
    purchases = [sent(f"t-{number}", number) for number in range(1, 5)]
    recording = record(tmp_path / "recording", [*purchases, recorded], {"purchases": 1, "labels": 1})
    (block,) = Timeline(recording, LabelTable.read(recording, file)).blocks()
    assert block.verdicts.tolist() == [FRAUD, GENUINE, GENUINE, 0]
    assert block.columns.fraud_known_ms.tolist() == [AT_MS + 8, AT_MS + 3, AT_MS + 1, NEVER_MS]


def test_recorded_labels_that_can_not_be_read_are_counted(tmp_path: Path) -> None:
    recording = record(tmp_path, [Sent("labels", 0, AT_MS, b"{}")], {"purchases": 1, "labels": 1})
    table = LabelTable.read(recording)
    assert (len(table), table.bad_records) == (0, 1)


def test_transactions_whose_hashes_are_equal_keep_their_own_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    def all_equal(texts: Sequence[object]) -> Hashes:
        return np.zeros(len(texts), np.uint64)

    monkeypatch.setattr(labels_module, "hash_texts", all_equal)
    table = LabelTable(
        in_columns([KnownLabel("a", FRAUD, 5, 0), KnownLabel("b", GENUINE, 6, 0), KnownLabel("c", FRAUD, 7, 0)])
    )
    verdicts, known_ms = table.join().of(Texts.encode(pa.array(["c", "d", "b", "a", None])))
    assert verdicts.tolist() == [FRAUD, 0, GENUINE, FRAUD, 0]
    assert known_ms.tolist() == [7, NEVER_MS, NEVER_MS, 5, NEVER_MS]


def test_recorded_labels_are_those_that_the_model_reads_in_their_order(tmp_path: Path) -> None:
    plain = orjson.dumps(LABEL)
    values = [
        plain,
        plain.replace(b'"fraud"', b'"genuine"'),
        orjson.dumps({**LABEL, "event_time": "2026-03-02T06:00:00Z"}),
        orjson.dumps({**LABEL, "transaction_id": "t-\u00fc"}),
        orjson.dumps({**LABEL, "transaction_id": "t 2"}),
        orjson.dumps({**LABEL, "account_id": ""}),
        orjson.dumps({**LABEL, "verdict": "stolen"}),
        orjson.dumps({**LABEL, "event_time": 5}),
        orjson.dumps({**LABEL, "event_time": None}),
        plain[:-1] + b', "more": 1}',
        plain[:-1] + b', "verdict": "genuine"}',
        plain.replace(b'"fraud"', b'"chargeback"'),
        plain + plain,
        b"",
        b"\xff",
        b"null",
        orjson.dumps({**LABEL, "transaction_id": "t-last"}),
    ]
    expected = list[KnownLabel]()
    for value in values:
        with suppress(InvalidLabel):
            label = decode_label(value)
            expected.append(KnownLabel(label.transaction_id, VERDICTS[label.verdict], label.event_time, 0))
    recorded = RecordedLabels(record(tmp_path, [Sent("labels", 0, AT_MS, value) for value in values], {"labels": 1}))
    columns = LabelColumns.concat(list(recorded))
    found = list(zip(columns.transactions.to_pylist(), *(column.tolist() for column in columns[1:]), strict=True))
    assert [tuple(known) for known in expected] == found
    assert recorded.bad_records == len(values) - len(expected)
    assert len(expected) > 4
