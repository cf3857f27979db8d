"""The logs of one entity: what was bought, and what of it labels say is fraud."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from rules.kept_log import KeptLog


class Book(StrEnum):
    """Which of an entity's logs: stations keep all purchases as approved, the desk knows better.

    What labels say is fraud is entered into a log of its own, beside the one that the purchase is in. Released is what
    was approved, and was voided, refunded or left to expire since.
    """

    APPROVED = "a"
    DECLINED = "d"
    FRAUD = "f"
    RELEASED = "r"


class EntityBooks:
    """The logs of one entity. `last_ms` is the event time of its newest purchase, 0 before the first;
    `keep_until_ms` when it is forgotten, if nothing else is bought.
    """

    __slots__ = ("approved", "declined", "fraud", "keep_until_ms", "last_ms", "released")

    def __init__(self) -> None:
        self.approved = KeptLog()
        self.declined: KeptLog | None = None
        # Never without rows.
        self.fraud: KeptLog | None = None
        self.released: KeptLog | None = None
        self.last_ms = 0
        self.keep_until_ms = 0

    def kept(self) -> Iterator[tuple[Book, KeptLog]]:
        """The logs that there are."""
        yield Book.APPROVED, self.approved
        yield from self.others()

    @property
    def has_others(self) -> bool:
        """Whether there are logs beside that of approved purchases."""
        return self.declined is not None or self.fraud is not None or self.released is not None

    def others(self) -> Iterator[tuple[Book, KeptLog]]:
        """The logs that there are beside that of approved purchases."""
        if self.declined is not None:
            yield Book.DECLINED, self.declined
        if self.fraud is not None:
            yield Book.FRAUD, self.fraud
        if self.released is not None:
            yield Book.RELEASED, self.released

    def note(self, event_time_ms: int = 0) -> None:
        """Take notice of a purchase's time, entered or read back; without one, of what else is kept."""
        if event_time_ms > self.last_ms:
            self.last_ms = event_time_ms
        keep_ms = self.approved.keep_ms
        if self.declined is not None and self.declined.keep_ms > keep_ms:
            keep_ms = self.declined.keep_ms
        if self.released is not None and self.released.keep_ms > keep_ms:
            keep_ms = self.released.keep_ms
        self.keep_until_ms = self.last_ms + keep_ms
        if self.fraud is not None:
            self.keep_until_ms = max(self.keep_until_ms, self.fraud.last_ms + self.fraud.keep_ms)

    def take_back(self, book: Book, kept: KeptLog) -> None:
        """Put a log that was read back in its place."""
        if book is Book.FRAUD:
            self.fraud = kept
            self.note()
            return
        if book is Book.APPROVED:
            self.approved = kept
        elif book is Book.RELEASED:
            self.released = kept
        else:
            self.declined = kept
        self.note(kept.last_ms)

    def has(self, transaction: bytes) -> bool:
        """Whether a row is this transaction's."""
        return (
            self.approved.log.has(transaction)
            or (self.declined is not None and self.declined.log.has(transaction))
            or (self.released is not None and self.released.log.has(transaction))
        )

    def log_of(self, book: Book) -> KeptLog:
        """The log of a book, begun where there is none."""
        if book is Book.APPROVED:
            return self.approved
        if book is Book.FRAUD:
            self.fraud = kept = self.fraud or KeptLog()
        elif book is Book.RELEASED:
            self.released = kept = self.released or KeptLog()
        else:
            self.declined = kept = self.declined or KeptLog()
        return kept
