"""Inquiries and reconciliations."""

from __future__ import annotations

import orjson
import pytest

from models.inquiry import InvalidInquiry, decode_inquiry
from models.reconciliation import InvalidReconciliation, decode_reconciliation
from tests.models.records import INQUIRY, RECONCILIATION, with_field


def test_an_inquiry_is_of_an_account_or_of_a_partition() -> None:
    assert decode_inquiry(with_field(INQUIRY, "account_id", "a-1")).account_id == "a-1"
    assert decode_inquiry(with_field(INQUIRY, "partition", 3)).partition == 3


@pytest.mark.parametrize("more", [{}, {"account_id": "a-1", "partition": 3}])
def test_an_inquiry_of_neither_or_both_is_refused(more: dict[str, object]) -> None:
    with pytest.raises(InvalidInquiry, match="account_id, partition: name one of the two"):
        decode_inquiry(orjson.dumps({**INQUIRY, **more}))


def test_a_reconciliation_is_read() -> None:
    assert decode_reconciliation(orjson.dumps(RECONCILIATION)).model_dump() == RECONCILIATION


def test_a_reconciliation_names_an_action() -> None:
    with pytest.raises(InvalidReconciliation, match="reconciliation: decided: 'deny' is not approve, flag or block"):
        decode_reconciliation(with_field(RECONCILIATION, "decided", "deny"))
