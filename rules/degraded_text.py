"""Degraded answers as they come in: anyone may write them, so they are read more strictly than our own decisions."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from models.decision import Decision, InvalidDecision, decode_decision
from models.fields import MAX_ID_CHARS, AmountMinor, Currency, EventTimeMs, Identifier
from models.problem import first_problem
from rules.degraded import TIERS


class _OfPurchase(BaseModel):
    """What an answer has from its purchase, held to what purchases are held to."""

    model_config = ConfigDict(strict=True)

    transaction_id: Identifier
    account_id: Identifier
    amount: AmountMinor
    currency: Currency
    event_time: EventTimeMs


_of_purchase = TypeAdapter(_OfPurchase)


def read_answer(raw: bytes) -> Decision:
    """Read a degraded answer from JSON. Raises InvalidDecision, also for a decision that is not degraded so."""
    answer = decode_decision(raw)
    try:
        _of_purchase.validate_python({name: getattr(answer, name) for name in _OfPurchase.model_fields})
    except ValidationError as error:
        raise InvalidDecision(first_problem(error, "decision")) from None
    if not answer.degraded:
        raise InvalidDecision("decision: degraded: is empty: full decisions are Stopbank's own to write")
    tier, *causes = answer.degraded
    if tier not in TIERS or len(causes) != 1 or len(causes[0]) > MAX_ID_CHARS:
        raise InvalidDecision(f"decision: degraded: is not a tier ({' or '.join(TIERS)}) and a cause")
    if len(answer.ruleset_version) > MAX_ID_CHARS:
        raise InvalidDecision(f"decision: ruleset_version: has more than {MAX_ID_CHARS} characters")
    return answer
