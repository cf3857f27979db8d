"""The text of plain approvals is the text of their decisions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from models.decision import encode_decision
from models.fields import MAX_AMOUNT_MINOR
from models.purchase import Purchase
from rules.approval_text import approval, approval_text
from tests.models.records import PURCHASE

TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=40) | st.sampled_from(
    ['"', "\\", "'''", "{", "}}", "{0}", "\\u0041", "a'", "'", "ä,é", "%s", "\n", "count(account_id, 10m)"]
)
IDENTIFIERS = st.from_regex(r"[!-~\u00a1-\uffff]{1,12}", fullmatch=True)
VALUES = st.none() | st.integers(-(2**63), 2**63 - 1)


@given(st.lists(st.tuples(TEXTS, VALUES), max_size=6, unique_by=lambda pair: pair[0]), TEXTS, TEXTS, st.data())
def test_the_text_is_what_encoding_the_decision_gives(
    features: list[tuple[str, int | None]], ruleset: str, version: str, data: st.DataObject
) -> None:
    names, values = tuple(name for name, _ in features), [value for _, value in features]
    changed = {
        "transaction_id": data.draw(IDENTIFIERS),
        "account_id": data.draw(IDENTIFIERS),
        "amount": data.draw(st.integers(1, MAX_AMOUNT_MINOR)),
    }
    bought = Purchase.model_validate({**PURCHASE, **changed})

    text = approval_text(ruleset, version, names)(bought, values)

    assert text == encode_decision(approval(ruleset, version, names, bought, values))
