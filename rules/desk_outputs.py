"""What a desk writes about one purchase: its decision, or why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from models.decision import Action
from models.purchase_fields import PurchaseFields
from rules.dead_letter import CONFLICT, dead_letter_of
from rules.fold import Headers, Output
from rules.language.compile import CompiledRuleset
from rules.quick_tuple import quick
from rules.reply import CONFLICTING, reply, reply_json, reply_to
from rules.reply import DECISION as DECIDED
from rules.route import PURCHASE, Origin, Route, Stamp
from rules.rulesets import reference_of
from rules.step import onward

DECISIONS: Final = "decisions"
BLOCKED: Final = "decisions.blocked"
FLAGGED: Final = "decisions.flagged"
# Broker timestamp of the purchase, for those who measure how long its decision took.
RECEIVED_HEADER: Final = "received-ms"

# An attribute of an enumeration costs more than a name.
_APPROVE: Final = Action.APPROVE


class Case(NamedTuple):
    """A purchase at the desk: as it first came in, with what its stations measured."""

    ruleset: CompiledRuleset
    key: bytes | None
    value: bytes | None
    headers: Headers
    origin: Origin
    stamps: Sequence[Stamp] = ()
    late: bool = False


quick_case, _output = quick(Case), quick(Output)


def forwarded(case: Case, account_id: str) -> Output:
    """A purchase whose key is not its account's, on its way to the desk that has the account."""
    route = Route(PURCHASE, reference_of(case.ruleset), case.origin, case.key, has_account_key=False)
    return onward(account_id, case.value, case.headers, route)


def conflict(case: Case, purchase: PurchaseFields, fields: Sequence[str]) -> Sequence[Output]:
    """A purchase whose transaction was decided with another body."""
    detail = (
        f"transaction {purchase.transaction_id} was decided with another body, {', '.join(fields)} "
        f"{'differs' if len(fields) == 1 else 'differ'}: give it a new transaction_id"
    )
    letter = dead_letter_of(case.key, case.value, case.headers, case.origin, CONFLICT, detail)
    to = reply_to(case.headers)
    return [letter] if to is None else [letter, reply_json(to, CONFLICTING, {"fields": list(fields), "detail": detail})]


def decision_outputs(account_id: str, action: Action, text: bytes, case: Case) -> list[Output]:
    """A decision, on every topic that it belongs to."""
    key, sent = account_id.encode(), case.headers
    headers = _received(case.origin.timestamp_ms)
    if sent:
        headers = (*sent, *headers)
    outputs = [_output((DECISIONS, key, text, headers, None, None))]
    if action is not _APPROVE:
        outputs.append(outputs[0]._replace(topic=BLOCKED if action is Action.BLOCK else FLAGGED))
    to = reply_to(sent) if sent else None
    if to is not None:
        outputs.append(reply(to, DECIDED, text))
    return outputs


@lru_cache(maxsize=1024)
def _received(timestamp_ms: int) -> Headers:
    """The desk's own header: many purchases come in the same millisecond."""
    return ((RECEIVED_HEADER, b"%d" % timestamp_ms),)


def received_ms_of(headers: Sequence[tuple[str, bytes]]) -> int:
    """The broker's timestamp of the purchase that a decision with these headers is on, epoch milliseconds."""
    name, received = headers[-1]
    assert name == RECEIVED_HEADER, "a decision's own header is its last"
    return int(received)
