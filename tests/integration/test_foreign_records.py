"""Records that somebody else wrote to Stopbank's own topics: refused, kept whole, and nothing is held up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from streams.topics import ASSESSMENTS, SIGHTINGS
from tests.integration.line import Line
from tests.integration.test_bad_records import RULES, Bad, decisions_of, good, letters_of, purchase, send

ORIGIN = ["purchases", 0, 0, 1_772_431_200_000]
STOP = "device_id:d-1"


def forged(name: str, *route: Any, value: bytes | None = None) -> Bad:
    """A record with a route that is one in its form."""
    text = orjson.dumps(list(route))
    return Bad(name, "foreign", purchase("t-forged") if value is None else value, headers=[("stopbank-route", text)])


def foreign(reference: str) -> list[Bad]:
    """`reference` is of a ruleset in force."""
    purchase_of = ("purchase", reference, ORIGIN, None, True)
    return [
        Bad("no headers", "foreign", b"hello", headers=[]),
        Bad("a null", "foreign", None, headers=[]),
        Bad("no key", "foreign", b"hello", key=None),
        Bad("a route that is no JSON", "foreign", b"hello", headers=[("stopbank-route", b"{")]),
        Bad("a route before another header", "foreign", b"hello", headers=[("stopbank-route", b"[]"), ("x", b"")]),
        forged("a short route", 1, 2),
        forged("an unknown kind", "refund", reference, ORIGIN, None, True, [STOP], []),
        forged("a kind that is no text", 7, reference, ORIGIN, None, True, [STOP], []),
        forged("a ruleset that is a list", "purchase", [], ORIGIN, None, True, [STOP], []),
        forged("a short origin", "purchase", reference, ["purchases"], None, True, [STOP], []),
        forged("a key that is not base64", "purchase", reference, ORIGIN, "?", True, [STOP], []),
        forged("stops that are numbers", *purchase_of, [1, 2], []),
        forged("a stop that no rule counts by", *purchase_of, ["mcc:5411"], []),
        forged("stamps of another form", *purchase_of, [STOP], [7]),
        forged("stamps without values", *purchase_of, [STOP], [["device_id", [[]]]]),
        forged("too few stamps", *purchase_of, [STOP], [["device_id", []]]),
        forged("no purchase", *purchase_of, [STOP], [], value=b"{}"),
    ]


@pytest.mark.needs_kafka
@pytest.mark.timeout(120)
@pytest.mark.parametrize("topic", [SIGHTINGS, ASSESSMENTS])
async def test_foreign_records_on_an_internal_topic_are_kept_whole_and_hold_up_nothing(
    kafka: str, tmp_path: Path, topic: str
) -> None:
    line = Line(kafka, "foreign")
    await line.create_topics()
    version = await line.publish(RULES)
    records = [record._replace(topic=topic) for record in foreign(f"checkout@{version}")]
    with line.workers(tmp_path) as workers:
        workers.start()
        await send(line, [one for number, record in enumerate(records) for one in (good(number), record)])
        await line.finish(workers, 60)
        assert workers.stop() == [0], workers.log_text()
    decided = {decision.transaction_id for decision in await decisions_of(line)}
    assert decided == {f"t-{number}" for number in range(len(records))}
    letters = await letters_of(line, topic)
    assert {reason for reason, _ in letters} == {"foreign"}
    assert sorted(str((original.key, original.value, original.headers)) for _, original in letters) == sorted(
        str((record.key, record.value, tuple(record.headers))) for record in records
    )
