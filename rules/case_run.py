"""Running the cases of a rule file: each on a line of its own, through the very steps of the live line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import orjson

from models.case import Expectation
from models.decision import Decision, Reason, decode_decision
from models.money import format_minor
from models.purchase import Purchase
from rules.dead_letter import DEAD_LETTERS, DETAIL_HEADER, REASON_HEADER
from rules.desk_outputs import DECISIONS
from rules.language.cases import Case
from rules.language.compile import CompiledRuleset
from rules.language.parser import duration_text
from rules.language.planning import comparisons_of
from rules.language.typed import Type
from rules.memory_line import MemoryLine
from rules.router import ACCOUNTS, PURCHASES


class Failure(NamedTuple):
    """Where a case first went otherwise: the line of what was expected, the purchase, what was expected, what came."""

    case: str
    line: int
    transaction_id: str
    expected: str
    came: str

    def told(self, file: str) -> str:
        """In one line, its place in the file first."""
        where = f"{file}:{self.line}: {self.case}: purchase {self.transaction_id}"
        return f"{where}: expected {self.expected}, came {self.came}"


def run_cases(ruleset: CompiledRuleset, cases: Iterable[Case]) -> list[Failure]:
    """The failures, at most one of each case, in the order of the file."""
    return [failure for case in cases if (failure := _run(ruleset, case)) is not None]


def _run(ruleset: CompiledRuleset, case: Case) -> Failure | None:
    line = MemoryLine(ruleset)
    for limit in case.limits:
        line.send(ACCOUNTS, limit.account_id.encode(), orjson.dumps(limit.model_dump()), limit.event_time)
    for step in case.steps:
        answer = _answer(line, step.purchase)
        if step.expect is None and isinstance(answer, Decision):
            continue
        expected = _expected(step.expect) if step.expect is not None else "a decision"
        if isinstance(answer, str):
            return Failure(case.name, step.line or case.line, step.purchase.transaction_id, expected, answer)
        if step.expect is not None and not _meets(answer, step.expect):
            came = _came(ruleset, answer, with_shadow=step.expect.shadow is not None)
            return Failure(case.name, step.line, step.purchase.transaction_id, expected, came)
    return None


def _answer(line: MemoryLine, purchase: Purchase) -> Decision | str:
    """The decision on a purchase, or why there is none."""
    decided = len(line.written[DECISIONS])
    value = orjson.dumps(purchase.model_dump(exclude_none=True))
    line.send(PURCHASES, purchase.account_id.encode(), value, purchase.event_time)
    if len(line.written[DECISIONS]) > decided:
        return decode_decision(line.written[DECISIONS][-1].value or b"")
    why = dict(line.written[DEAD_LETTERS][-1].headers)
    return f"a dead letter ({why[REASON_HEADER].decode()}: {why[DETAIL_HEADER].decode()})"


def _meets(decision: Decision, expect: Expectation) -> bool:
    return (
        decision.action == expect.action
        and (expect.reasons is None or _codes(decision.reasons) == set(expect.reasons))
        and (expect.shadow is None or _codes(decision.shadow) == set(expect.shadow))
    )


def _codes(reasons: Iterable[Reason]) -> set[str]:
    return {reason.code for reason in reasons}


def _expected(expect: Expectation) -> str:
    reasons = f" [{', '.join(expect.reasons)}]" if expect.reasons is not None else ""
    shadow = f", in shadow [{', '.join(expect.shadow)}]" if expect.shadow is not None else ""
    return expect.action + reasons + shadow


def _came(ruleset: CompiledRuleset, decision: Decision, *, with_shadow: bool) -> str:
    def listed(reasons: Sequence[Reason]) -> str:
        return f"[{'; '.join(_observed(ruleset, reason) for reason in reasons)}]"

    shadow = f", in shadow {listed(decision.shadow)}" if with_shadow else ""
    return f"{decision.action} {listed(decision.reasons)}{shadow}"


def _observed(ruleset: CompiledRuleset, reason: Reason) -> str:
    """A reason with what was observed, in the units in which rules are written."""
    if reason.feature is None:
        return reason.code
    index = next(number for number, rule in enumerate(ruleset.document.rules) if rule.id == reason.rule)
    kinds = {each.left.text: each.left.type for each in comparisons_of(ruleset.conditions[index])}
    kind, currency = kinds.get(reason.feature), ruleset.document.currency
    observed, threshold = (_shown(value, kind, currency) for value in (reason.observed, reason.threshold))
    return f"{reason.code}: {reason.feature} is {observed}, threshold {threshold}"


def _shown(value: float | str | None, kind: Type | None, currency: str) -> str:
    if isinstance(value, int) and kind is Type.MONEY:
        return format_minor(value, currency)
    if isinstance(value, int) and kind is Type.DURATION and value % 1_000 == 0:
        return duration_text(value)
    return f"{value} ms" if kind is Type.DURATION else str(value)
