"""Measuring: the columns of features over consecutive tables, each worked out once however many rulesets ask it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from rules.calendar import period_clock
from rules.columns.aggregates import first_seen_ms, over_windows, since_last
from rules.columns.amounts import converted
from rules.columns.crowded import CrowdedEntities, Patch
from rules.columns.fraud import over_fraud
from rules.columns.grouped import Grouped
from rules.columns.local_time import local_ms, period_starts_ms
from rules.columns.rows import Rows, no_rows
from rules.columns.table import Bools, Ints, PurchaseColumns
from rules.columns.texts import TextNumbers
from rules.plan import ACCOUNT_FIELDS, Aggregate, EntityPlan, Feature, Outcome, RulesetPlan, Trailing, Window


class FeatureColumn(NamedTuple):
    """A feature's value for each purchase of a table, and whether it is known; 0 where it is not."""

    values: Ints
    known: Bools


class Keeping(NamedTuple):
    """What decides how an entity's log is kept. Features of rulesets that keep it alike have the same values."""

    entity: tuple[str, ...]
    horizon_ms: int
    allowed_lateness_ms: int
    max_rows: int
    time_zone: str

    @property
    def reach_ms(self) -> int:
        """How far back a log is kept."""
        return self.horizon_ms + self.allowed_lateness_ms

    @property
    def knows_outcomes(self) -> bool:
        """Whether the entity is kept with the account, by outcome."""
        return bool(ACCOUNT_FIELDS & set(self.entity))


def keeping_of(ruleset: RulesetPlan, plan: EntityPlan) -> Keeping:
    """How a ruleset keeps the logs of one of its entities."""
    return Keeping(plan.entity, plan.horizon_ms, ruleset.allowed_lateness_ms, ruleset.max_rows, ruleset.time_zone)


class Block:
    """One table with the rows before it that windows still reach, and the features that were measured on it."""

    def __init__(self, table: PurchaseColumns, ok: Bools, amount_minor: Ints, rows: Rows) -> None:
        self.table = table
        self.ok = ok
        self.amount_minor = amount_minor
        self.rows = rows
        self.first_seen_ms: dict[Keeping, Ints] = {}
        self.patches: dict[Keeping, Patch] = {}
        self._begins: dict[tuple[str, ...], int] = {}
        self._grouped: dict[tuple[str, ...], Grouped] = {}
        self._since_rows: dict[tuple[Window, str], Ints] = {}
        self._starts: dict[tuple[tuple[str, ...], Window, str], Ints] = {}
        self._local: dict[str, Ints] = {}
        self._features: dict[tuple[Keeping | tuple[tuple[str, ...], str], str], FeatureColumn] = {}

    @cached_property
    def places(self) -> Ints:
        """The rows of the table that have an amount: where each new row lies."""
        return np.flatnonzero(self.ok)

    def reach(self, keepings: Iterable[Keeping]) -> None:
        """Say beforehand how far back each entity is asked."""
        for keeping in keepings:
            begin = self.rows.reached(keeping.reach_ms)
            self._begins[keeping.entity] = min(begin, self._begins.get(keeping.entity, begin))

    def grouped(self, entity: tuple[str, ...]) -> Grouped:
        """The rows by entity."""
        if entity not in self._grouped:
            self._grouped[entity] = Grouped(self.rows, entity, self._begins[entity])
        return self._grouped[entity]

    def starts(self, entity: tuple[str, ...], window: Window, time_zone: str) -> Ints:
        """Where the window begins for each asked position of an entity."""
        key = entity, window, "" if isinstance(window, Trailing) else time_zone
        if key not in self._starts:
            self._starts[key] = self.grouped(entity).starts(self._since_row(window, time_zone))
        return self._starts[key]

    def _since_row(self, window: Window, time_zone: str) -> Ints:
        key = window, "" if isinstance(window, Trailing) else time_zone
        if key not in self._since_rows:
            new_ms = self.rows.time_ms[self.rows.begin :]
            if isinstance(window, Trailing):
                after_ms = new_ms - window.length_ms
            else:
                after_ms = period_starts_ms(period_clock(time_zone), window.period, new_ms) - 1
            self._since_rows[key] = self.rows.since(after_ms)
        return self._since_rows[key]

    def local_ms(self, time_zone: str) -> Ints:
        """The local time of each purchase of the table."""
        if time_zone not in self._local:
            self._local[time_zone] = local_ms(period_clock(time_zone), self.table.event_time_ms)
        return self._local[time_zone]

    def feature(self, keeping: Keeping, feature: Feature) -> FeatureColumn:
        """A feature's column. Where logs of the account are crowded, only the ruleset knows its values there."""
        patch = self.patches.get(keeping)
        alone = feature.window is None or (patch is not None and feature.name in patch.values)
        key = keeping if alone else (keeping.entity, keeping.time_zone), feature.name
        if key not in self._features:
            column = self._measured(keeping, feature)
            if patch is not None and feature.name in patch.values:
                patched = self.places[patch.rows]
                column.values[patched], column.known[patched] = patch.values[feature.name]
            self._features[key] = column
        return self._features[key]

    def _measured(self, keeping: Keeping, feature: Feature) -> FeatureColumn:
        grouped = self.grouped(keeping.entity)
        places = self.places[grouped.new_rows]
        known: Bools = np.zeros(len(self.table), np.bool_)
        known[places] = True
        if feature.aggregate is Aggregate.SINCE:
            measured, known[places] = since_last(grouped, keeping.horizon_ms)
        elif feature.aggregate is Aggregate.AGE:
            new_ms = grouped.times_ms[grouped.asked]
            measured = new_ms - self.first_seen_ms[keeping][grouped.order[grouped.asked]]
        else:
            assert feature.window is not None, "other aggregates have a window"
            starts = self.starts(keeping.entity, feature.window, keeping.time_zone)
            if feature.outcome is Outcome.FRAUD:
                measured, known[places] = over_fraud(feature.aggregate, grouped, starts, feature.field)
            else:
                measured = over_windows(feature.aggregate, grouped, starts, feature.field)
        values = np.zeros(len(self.table), np.int64)
        values[places] = measured
        return FeatureColumn(values, known)

    def crowded(self, keeping: Keeping) -> Ints:
        """The asked positions at which more rows are in reach than a log keeps, so that it may merge some.

        What is fraud is among them, and so are what was approved and what was blocked: no log is full before.
        """
        grouped = self.grouped(keeping.entity)
        if grouped.largest <= keeping.max_rows:
            return np.zeros(0, np.int64)
        starts = self.starts(keeping.entity, Trailing(keeping.reach_ms), keeping.time_zone)
        return grouped.asked[grouped.asked - starts >= keeping.max_rows]


class ColumnarFeatures:
    """The features of rulesets with one currency and the same rates, over consecutive tables in canonical order."""

    def __init__(self, plans: Sequence[RulesetPlan]) -> None:
        first = plans[0]
        assert all((plan.currency, plan.rates) == (first.currency, first.rates) for plan in plans), "one currency"
        self._currency, self._rates = first.currency, first.rates
        features: dict[Keeping, dict[str, Feature]] = {}
        for plan in plans:
            for entity in (*plan.desk, *plan.stations):
                asked = features.setdefault(keeping_of(plan, entity), {})
                asked.update({feature.name: feature for feature in entity.features})
        self._features = features
        self._reach_ms = max((keeping.reach_ms for keeping in features), default=0)
        fields = {field for keeping in features for field in keeping.entity}
        fields |= {f.field for asked in features.values() for f in asked.values() if f.field and f.field != "amount"}
        self._numbers: Mapping[str, TextNumbers] = {field: TextNumbers() for field in sorted(fields)}
        self._kept = no_rows(frozenset(fields))
        self._tables = 0
        # For the kept rows: when their entity was first seen.
        self._first_seen_ms: dict[Keeping, Ints] = {
            keeping: np.zeros(0, np.int64)
            for keeping, asked in features.items()
            if any(feature.aggregate is Aggregate.AGE for feature in asked.values())
        }
        self._crowded: dict[Keeping, CrowdedEntities] = {
            keeping: CrowdedEntities(keeping.entity, keeping.reach_ms, keeping.max_rows, list(asked.values()))
            for keeping, asked in features.items()
            if not keeping.knows_outcomes
        }

    def take(self, table: PurchaseColumns) -> Block:
        """Take the next table."""
        amount_minor, ok = converted(table, self._currency, self._rates)
        new = self._new_rows(table, amount_minor, np.flatnonzero(ok))
        block = Block(table, ok, amount_minor, self._kept.followed_by(new))
        block.reach(self._features)
        for keeping, earlier_ms in self._first_seen_ms.items():
            block.first_seen_ms[keeping] = self._seen(block, keeping, earlier_ms)
        for keeping, entities in self._crowded.items():
            crowded = block.crowded(keeping)
            if len(crowded) or len(entities):
                clock = period_clock(keeping.time_zone)
                block.patches[keeping] = entities.take(block.grouped(keeping.entity), crowded, clock)
        self._keep(block)
        return block

    def _new_rows(self, table: PurchaseColumns, amount_minor: Ints, places: Ints) -> Rows:
        codes = {field: numbers.number(table.texts[field])[places] for field, numbers in self._numbers.items()}
        number, self._tables = self._tables, self._tables + 1
        return Rows(
            0,
            table.event_time_ms[places],
            amount_minor[places],
            table.fraud_known_ms[places],
            codes,
            np.full(len(places), number, np.int64),
            places,
            {number: table},
        )

    def _seen(self, block: Block, keeping: Keeping, earlier_ms: Ints) -> Ints:
        grouped = block.grouped(keeping.entity)
        seen_ms = np.concatenate([earlier_ms, block.rows.time_ms[block.rows.begin :]])
        seen_ms[grouped.order[grouped.asked]] = first_seen_ms(grouped, keeping.reach_ms, earlier_ms)
        return seen_ms

    def _keep(self, block: Block) -> None:
        """Keep what the next table's windows can reach."""
        rows = block.rows
        first = rows.first_after(int(rows.time_ms[-1]) - self._reach_ms) if len(rows) else 0
        codes = {field: numbers.forget(rows.codes[field][first:]) for field, numbers in self._numbers.items()}
        self._kept = rows.from_row(first, {field: column.copy() for field, column in codes.items()})
        self._first_seen_ms = {keeping: seen_ms[first:].copy() for keeping, seen_ms in block.first_seen_ms.items()}
        for entities in self._crowded.values():
            entities.keep(first, rows)
