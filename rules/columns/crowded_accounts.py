"""Accounts with more purchases in reach than a log keeps: decided row by row.

An account's purchases lie in two logs, by outcome, and each merges by itself: what is measured depends on how
the purchases before were decided, so that such an account's are measured and judged in turn. Accounts share no
log, so that the others are not touched by that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from rules.calendar import period_clock
from rules.columns.features import Block, FeatureColumn, keeping_of
from rules.columns.kept_logs import KeptLogs, happenings, subject_of
from rules.columns.table import Bools, Ints
from rules.language.compile import CompiledRuleset
from rules.velocity import Subject

_ACCOUNT: Final = "account_id"


class CrowdedAccount(NamedTuple):
    """An account to be decided row by row from row `begin` on; `fresh` if it was not until now."""

    rows: Ints
    begin: int
    fresh: bool


class CrowdedAccounts:
    """The crowded accounts of one ruleset, over consecutive blocks."""

    def __init__(self, ruleset: CompiledRuleset) -> None:
        plan = ruleset.plan
        self._ruleset = ruleset
        self._clock = period_clock(plan.time_zone)
        self._keepings = [keeping_of(plan, entity) for entity in plan.desk]
        self._logs = [
            KeptLogs(keeping.entity, keeping.reach_ms, keeping.max_rows, entity.features)
            for keeping, entity in zip(self._keepings, plan.desk, strict=True)
        ]
        self._asks_fraud = any(logs.asks_fraud for logs in self._logs)
        slots = {name: slot for slot, name in enumerate(plan.feature_names)}
        self._slots = [[slots[feature.name] for feature in logs.features] for logs in self._logs]
        # Of the rows of the last block: which were blocked, and which are of accounts that were decided here.
        self._blocked: Bools = np.zeros(0, np.bool_)
        self._on_log: Bools = np.zeros(0, np.bool_)
        live = [(1 << number, rule) for number, rule in enumerate(ruleset.document.rules) if rule.mode == "live"]
        self._final = sum(bit for bit, rule in live if rule.final)
        self._allow = sum(bit for bit, rule in live if rule.then == "allow")
        self._block = sum(bit for bit, rule in live if rule.then == "block")

    def crowded(self, block: Block) -> list[CrowdedAccount]:
        """The crowded accounts of a block."""
        rows = block.rows
        if not self._keepings or not rows.new:
            return []
        codes = rows.codes[_ACCOUNT]
        before = set(np.unique(codes[: rows.begin][_carried(self._on_log, rows.begin)]).tolist())
        begins = dict.fromkeys(before, rows.begin)
        for keeping in self._keepings:
            for row in block.grouped(keeping.entity).order[block.crowded(keeping)].tolist():
                begins[int(codes[row])] = min(row, begins.get(int(codes[row]), row))
        return [
            CrowdedAccount(np.flatnonzero(codes == account), begin, account not in before)
            for account, begin in begins.items()
        ]

    def decide(
        self,
        block: Block,
        crowded: Sequence[CrowdedAccount],
        columns: Sequence[FeatureColumn],
        hits: Bools,
        blocked: Bools,
    ) -> None:
        """Decide on the purchases of a block's crowded accounts. Every block has to go through here.

        `columns` (in the order of the plan's features) and `hits` come as they are without regard to crowds, and
        are set right where accounts are crowded; `blocked` says of each purchase of the table whether it was
        blocked.
        """
        rows = block.rows
        if not self._keepings:
            return
        self._blocked = np.concatenate([_carried(self._blocked, rows.begin), blocked[block.places]])
        self._on_log = np.concatenate([_carried(self._on_log, rows.begin), np.zeros(rows.new, np.bool_)])
        for account in crowded:
            self._play(block, account, columns, hits)
            self._on_log[account.rows] = True
        if rows.new:
            for logs in self._logs:
                logs.forget(int(rows.time_ms[-1]))

    def _play(self, block: Block, account: CrowdedAccount, columns: Sequence[FeatureColumn], hits: Bools) -> None:
        rows = block.rows
        for row, now_ms in happenings(rows, account.rows, fresh=account.fresh, labels=self._asks_fraud):
            subject = subject_of(rows, row)
            keyed = [(logs, logs.key(subject.purchase)) for logs in self._logs]
            if now_ms is None:
                if row >= account.begin:
                    self._blocked[row] = self._decide(block, row, subject, columns, hits)
                for logs, key in keyed:
                    if key is not None:
                        logs.enter(key, subject, declined=bool(self._blocked[row]))
            else:
                for logs, key in keyed:
                    if key is not None:
                        logs.enter_fraud(key, subject, now_ms)

    def _decide(self, block: Block, row: int, subject: Subject, columns: Sequence[FeatureColumn], hits: Bools) -> bool:
        """Measure and judge one purchase; returns whether it is blocked."""
        place = int(block.places[row - block.rows.begin])
        for logs, slots in zip(self._logs, self._slots, strict=True):
            key = logs.key(subject.purchase)
            if key is not None:
                for slot, value in zip(slots, logs.measure(key, subject, self._clock), strict=True):
                    columns[slot].values[place] = value or 0
                    columns[slot].known[place] = value is not None
        values = [int(column.values[place]) if column.known[place] else None for column in columns]
        bits = self._ruleset.hits(subject.purchase, subject.amount_minor, values, None, None, None)
        hits[:, place] = [bits >> number & 1 for number in range(len(hits))]
        return bool(bits & self._final) or (bool(bits & self._block) and not bits & self._allow)


def _carried(flags: Bools, kept: int) -> Bools:
    """What is known of the last rows of the block before, those that are kept."""
    return flags[len(flags) - kept :]
