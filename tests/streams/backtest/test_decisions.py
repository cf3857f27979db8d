"""Decisions on recorded purchases are those of the live line."""

from __future__ import annotations

from pathlib import Path

import orjson

from models.decision import encode_decision
from rules.language.compile import compile_ruleset
from streams.backtest.decisions import decisions_of
from streams.timeline.labels import LabelTable
from tests.memory import MemoryLine
from tests.streams.backtest.story import PURCHASES, label, purchase, record_story

RULES = """
ruleset: checkout
currency: CNY
rules:
  - {id: large, when: amount > 50.00, then: flag}
  - {id: busy, when: "count(account_id, 1h) > 1 or count(merchant_id, 1h) > 2", then: block}
  - {id: bad, when: "count(merchant_id, 30d, fraud) > 1", then: flag}
  - {id: declined, when: "count(account_id, 1h, declined) > 0", then: block, mode: shadow}
"""


def test_they_are_byte_for_byte_those_of_the_live_line(tmp_path: Path) -> None:
    recording, ruleset = record_story(tmp_path / "story"), compile_ruleset(RULES)
    live = MemoryLine(ruleset, partitions=2)
    sent = [
        ("purchases", account_id, purchase(number, account_id, amount, minutes))
        for number, account_id, amount, minutes, _ in PURCHASES
    ]
    by_number = {number: value for number, (_, _, value) in enumerate(sent, 1)}
    sent += [
        ("labels", account_id, {**label(number, account_id, verdict, minutes + 60), "purchase": by_number[number]})
        for number, account_id, _, minutes, verdict in PURCHASES
        if verdict
    ]
    for topic, account_id, value in sorted(sent, key=lambda each: (int(str(each[2]["event_time"])), each[0])):
        live.send(topic, account_id.encode(), orjson.dumps(value), int(str(value["event_time"])))
    decided = [encode_decision(each) for each in decisions_of(recording, ruleset, LabelTable.read(recording, None))]
    assert decided == [record.value for record in live.written["decisions"]]
    assert any(b'"BAD"' in text for text in decided)
    assert any(b'"DECLINED"' in text for text in decided)
