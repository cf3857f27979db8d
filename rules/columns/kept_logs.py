"""Logs as they are kept live, of the few entities that columns can't measure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from models.purchase_fields import PurchaseFields
from rules.calendar import PeriodClock
from rules.columns.rows import Rows
from rules.columns.table import Ints
from rules.entity import entity_key, transaction_hash
from rules.entity_books import Book, EntityBooks
from rules.plan import Aggregate, EntityPlan, Feature, Outcome
from rules.velocity import Subject, values_of


def subject_of(rows: Rows, row: int) -> Subject:
    """A row as the purchase being decided."""
    purchase = rows.purchase(row)
    return Subject(purchase, int(rows.amount_minor[row]), transaction_hash(purchase.transaction_id))


def happenings(rows: Rows, some: Ints, *, fresh: bool, labels: bool) -> Iterator[tuple[int, int | None]]:
    """What happened to some rows, in order of time: for each a row, and for a label the latest event time by then.

    Without `fresh` only what is new: new rows, and labels that came with them. Labels come before purchases of
    the same moment, but behind the purchase that they are on, even where they were known before; those that come
    before the same purchase in the order in which they became known.
    """
    times_ms, known_ms = rows.time_ms, rows.fraud_known_ms[some]
    bought = some if fresh else some[some >= rows.begin]
    happened = [(row, 1, 0, row) for row in bought.tolist()]
    if labels and len(rows):
        due = known_ms <= times_ms[-1]
        due &= fresh | (some >= rows.begin) | (known_ms > rows.before_ms)
        before = np.maximum(np.searchsorted(times_ms, known_ms[due]), some[due] + 1)
        happened += [
            (place, 0, at_ms, row)
            for place, at_ms, row in zip(before.tolist(), known_ms[due].tolist(), some[due].tolist(), strict=True)
        ]
    for place, bought_then, _, row in sorted(happened):
        yield row, None if bought_then else int(times_ms[place - 1])


class KeptLogs:
    """The logs of some entities of one kind, as a fold keeps them, and the windowed features over them.

    `reach_ms` is how far back logs are kept, `max_rows` how many rows of it.
    """

    def __init__(self, entity: tuple[str, ...], reach_ms: int, max_rows: int, features: Sequence[Feature]) -> None:
        windowed = tuple(replace(f, clearings=()) for f in features if f.window is not None)
        distinct = sorted({f.field for f in windowed if f.aggregate is Aggregate.DISTINCT and f.field})
        self._plan = EntityPlan(entity, windowed, tuple(distinct), reach_ms)
        self._reach_ms = reach_ms
        self._max_rows = max_rows
        self._books: dict[str, EntityBooks] = {}
        self.asks_fraud = any(feature.outcome is Outcome.FRAUD for feature in windowed)

    @property
    def features(self) -> tuple[Feature, ...]:
        """The features that are measured."""
        return self._plan.features

    def __len__(self) -> int:
        return len(self._books)

    def key(self, purchase: PurchaseFields) -> str | None:
        """The entity of a purchase, None where it has none."""
        return entity_key(self._plan.entity, purchase)

    def measure(self, key: str, subject: Subject, clock: PeriodClock) -> list[int | None]:
        """The values of the features for a purchase that is not entered yet."""
        books = self._of(key)
        until_ms = subject.purchase.event_time - self._reach_ms
        for _, kept in books.kept():
            kept.expire(until_ms)
        return values_of(self._plan)(books, subject, clock)

    def enter(self, key: str, subject: Subject, *, declined: bool = False) -> None:
        """Enter a purchase, with how it was decided where that is known."""
        books, time_ms = self._of(key), subject.purchase.event_time
        kept = books.log_of(Book.DECLINED if declined else Book.APPROVED)
        kept.enter(subject, self._plan.distinct_fields, self._max_rows, time_ms - self._reach_ms)
        books.last_ms = max(books.last_ms, time_ms)

    def enter_fraud(self, key: str, subject: Subject, now_ms: int) -> None:
        """Enter a purchase that is known to be fraud now, if it is in reach."""
        until_ms = now_ms - self._reach_ms
        if self.asks_fraud and subject.purchase.event_time > until_ms:
            self._of(key).log_of(Book.FRAUD).enter(subject, self._plan.distinct_fields, self._max_rows, until_ms)

    def forget(self, now_ms: int) -> None:
        """Forget the entities of which nothing is in reach any more."""
        until_ms = now_ms - self._reach_ms
        self._books = {key: books for key, books in self._books.items() if _newest_ms(books) > until_ms}
        for books in self._books.values():
            for _, kept in books.kept():
                kept.settle()

    def _of(self, key: str) -> EntityBooks:
        books = self._books.get(key)
        if books is None:
            books = self._books[key] = EntityBooks()
        return books


def _newest_ms(books: EntityBooks) -> int:
    fraud = books.fraud
    return max(books.last_ms, fraud.last_ms if fraud is not None and fraud.times else 0)
