"""Row by row: the very steps that decide live, in one fold."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from models.account import CreditLimit
from models.decision import Action, Decision, Reason
from models.purchase import Purchase, decode_purchase
from rules.columns.table import NEVER_MS
from rules.language.compile import CompiledRuleset
from rules.line import Line
from rules.step import amount_in
from streams.backtest.judged import CODE_OF, Judged
from streams.backtest.report import PathName
from streams.timeline.timeline import AccountEvent, Block


class RowPath:
    """See `streams.backtest.ruleset_path.RulesetPath`. The decisions of one block are kept."""

    def __init__(self, ruleset: CompiledRuleset, partition_of: Callable[[bytes], int]) -> None:
        self._ruleset = ruleset
        self._line = Line(ruleset, partition_of)
        self._rule_numbers = {rule.id: number for number, rule in enumerate(ruleset.document.rules)}
        self._decisions: list[Decision | None] = []
        # Fraud that is not known yet: when it will be, in which order it came, and the purchase.
        self._fraud: list[tuple[int, int, Purchase]] = []
        self._frauds = 0
        self._asks_fraud = bool(ruleset.plan.fraud_stations or ruleset.plan.fraud_desk)
        self.account_records_without_rate = 0

    @property
    def name(self) -> PathName:
        """Which way it is."""
        return "rows"

    @property
    def decisions(self) -> Sequence[Decision | None]:
        """The decisions of the block that was judged last; None where the ruleset has no rate for the purchase."""
        return self._decisions

    def judge(self, block: Block) -> Judged:
        """Decide on the block's purchases, and learn them."""
        rows = len(block.values)
        purchases = [decode_purchase(value) for value in block.values]
        self._decisions = []
        accounts, due = block.accounts, 0
        for row, purchase in enumerate(purchases):
            while due < len(accounts) and accounts[due].row <= row:
                self._account(accounts[due])
                due += 1
            self._learn_fraud(purchase.event_time)
            self._decisions.append(self._line.take(purchase))
            self._expect_fraud(purchase, int(block.columns.fraud_known_ms[row]))
        for event in accounts[due:]:
            self._account(event)
        hits = np.zeros((len(self._rule_numbers), rows), np.bool_)
        amount_minor, actions = np.zeros(rows, np.int64), np.zeros(rows, np.uint8)
        for row, decision in enumerate(self._decisions):
            if decision is None:
                continue
            amount_minor[row] = amount_in(self._ruleset.plan, purchases[row])
            actions[row] = CODE_OF[Action(decision.action)]
            for reason in (*decision.reasons, *decision.shadow):
                hits[self._rule_numbers[reason.rule], row] = True
        ok = np.array([decision is not None for decision in self._decisions], np.bool_)
        return Judged(ok, amount_minor, hits, actions)

    def reasons(self, row: int) -> list[Reason]:
        """The live rules that matched, in file order."""
        return self._decision(row).reasons

    def features(self, row: int) -> Mapping[str, int | None]:
        """The values of the ruleset's features, by name."""
        return self._decision(row).features

    def _decision(self, row: int) -> Decision:
        decision = self._decisions[row]
        assert decision is not None, "only asked of what was decided"
        return decision

    def _account(self, account: AccountEvent) -> None:
        event = account.event
        taken = self._line.credit_limit(event) if isinstance(event, CreditLimit) else self._line.repayment(event)
        self.account_records_without_rate += not taken

    def _expect_fraud(self, purchase: Purchase, known_ms: int) -> None:
        if known_ms < NEVER_MS and self._asks_fraud:
            heapq.heappush(self._fraud, (known_ms, self._frauds, purchase))
            self._frauds += 1

    def _learn_fraud(self, now_ms: int) -> None:
        """Labels come before purchases of the same time."""
        while self._fraud and self._fraud[0][0] <= now_ms:
            self._line.fraud(heapq.heappop(self._fraud)[2])
