"""A decision's one text."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.decision import Action, Decision, InvalidDecision, Reason, decode_decision, encode_decision

INTEGERS = st.integers(-(2**63), 2**63 - 1)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
OBSERVED = st.none() | INTEGERS | NUMBERS | st.text()
REASONS = st.builds(
    Reason,
    rule=st.text(),
    code=st.text(),
    action=st.sampled_from(Action),
    feature=st.none() | st.text(),
    observed=OBSERVED,
    threshold=OBSERVED,
    clears_at=st.none() | INTEGERS,
)
DECISIONS = st.builds(
    Decision,
    transaction_id=st.text(),
    account_id=st.text(),
    action=st.sampled_from(Action),
    reasons=st.lists(REASONS, max_size=3),
    shadow=st.lists(REASONS, max_size=3),
    anomaly=st.none() | NUMBERS,
    contributions=st.lists(st.tuples(st.text(), NUMBERS), max_size=3),
    features=st.dictionaries(st.text(), st.none() | INTEGERS, max_size=4),
    ruleset=st.text(),
    ruleset_version=st.text(),
    amount=INTEGERS,
    currency=st.text(),
    event_time=INTEGERS,
    late=st.booleans(),
    degraded=st.lists(st.text(), max_size=2),
)
REASON = Reason("burst", "DEVICE_BURST", Action.BLOCK, "count(device_id, 10m)", 7, 5, 1_772_431_800_000)
DECISION = Decision(
    transaction_id="t-1",
    account_id="a-1",
    action=Action.BLOCK,
    reasons=[REASON],
    shadow=[],
    anomaly=0.5,
    contributions=[("amount", 0.25)],
    features={"count(device_id, 10m)": 7, "since(account_id)": None},
    ruleset="checkout",
    ruleset_version="0123456789abcdef",
    amount=1999,
    currency="CNY",
    event_time=1_772_431_200_000,
    late=False,
    degraded=[],
)
FIELDS: dict[str, Any] = orjson.loads(encode_decision(DECISION))


@given(DECISIONS)
def test_a_decision_comes_back_from_its_text_as_it_was(decision: Decision) -> None:
    raw = encode_decision(decision)
    assert decode_decision(raw) == decision
    assert encode_decision(decode_decision(raw)) == raw


@given(DECISIONS)
def test_numbers_keep_their_kind(decision: Decision) -> None:
    read = decode_decision(encode_decision(decision))
    kinds = [type(reason.observed) for reason in decision.reasons]
    assert [type(reason.observed) for reason in read.reasons] == kinds


def test_the_text_has_the_fields_in_the_order_of_the_class() -> None:
    assert tuple(FIELDS) == Decision._fields
    assert tuple(FIELDS["reasons"][0]) == Reason._fields


def test_the_text_is_this() -> None:
    assert encode_decision(DECISION) == (
        b'{"transaction_id":"t-1","account_id":"a-1","action":"block","reasons":[{"rule":"burst",'
        b'"code":"DEVICE_BURST","action":"block","feature":"count(device_id, 10m)","observed":7,'
        b'"threshold":5,"clears_at":1772431800000}],"shadow":[],"anomaly":0.5,'
        b'"contributions":[["amount",0.25]],"features":{"count(device_id, 10m)":7,'
        b'"since(account_id)":null},"ruleset":"checkout","ruleset_version":"0123456789abcdef",'
        b'"amount":1999,"currency":"CNY","event_time":1772431200000,"late":false,"degraded":[]}'
    )


def test_a_reason_may_leave_out_what_it_does_not_have() -> None:
    short = {"rule": "r", "code": "C", "action": "flag"}
    decision = decode_decision(orjson.dumps({**FIELDS, "reasons": [short]}))
    assert decision.reasons == [Reason("r", "C", "flag")]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("action", "deny", "action: 'deny' is not approve, flag or block"),
        ("reasons", 5, "reasons: 5 is not a JSON array: send the entries in brackets"),
        ("reasons", [["r"]], "reasons.0: an array is not a JSON object: send the fields in braces"),
        ("amount", "5", "amount: '5' should be a valid integer"),
        ("late", 1, "late: 1 should be a valid boolean"),
        ("colour", 1, "colour: is not a field of this record: correct its name or leave it out"),
    ],
)
def test_what_is_no_decision_is_explained(field: str, value: object, message: str) -> None:
    with pytest.raises(InvalidDecision) as caught:
        decode_decision(orjson.dumps({**FIELDS, field: value}))
    assert str(caught.value) == f"decision: {message}"


@pytest.mark.parametrize("field", Decision._fields)
def test_a_missing_field_is_named(field: str) -> None:
    rest = {name: value for name, value in FIELDS.items() if name != field}
    with pytest.raises(InvalidDecision, match=f"^decision: {field}: is required but missing: add it$"):
        decode_decision(orjson.dumps(rest))


@pytest.mark.parametrize("raw", [b"", b"null", b"[]", b"{", b"7"])
def test_bytes_that_are_no_record_are_refused(raw: bytes) -> None:
    with pytest.raises(InvalidDecision, match=r"^decision: the record: "):
        decode_decision(raw)
