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
    `keep_until_ms` when it is forgotten, if nothing else is bought. `due_ms` is for who forgets them.
    """

    __slots__ = (
        "approved",
        "declined",
        "due_ms",
        "fraud",
        "has_others",
        "keep_until_ms",
        "last_ms",
        "released",
    )

    def __init__(self) -> None:
        self.approved = KeptLog()
        self.declined: KeptLog | None = None
        # Never without rows.
        self.fraud: KeptLog | None = None
        self.released: KeptLog | None = None
        # Whether there are logs beside that of approved purchases.
        self.has_others = False
        self.last_ms = 0
        self.keep_until_ms = 0
        self.due_ms = 0

    def kept(self) -> Iterator[tuple[Book, KeptLog]]:
        """The logs that there are."""
        yield Book.APPROVED, self.approved
        yield from self.others()

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

    def others_have(self, transaction: bytes) -> bool:
        """Whether a row of what was bought, but is not among what is approved, is this transaction's."""
        declined, released = self.declined, self.released
        return (declined is not None and declined.has(transaction)) or (
            released is not None and released.has(transaction)
        )

    def log_of(self, book: Book) -> KeptLog:
        """The log of a book, begun where there is none."""
        if book is Book.APPROVED:
            return self.approved
        kept = self.fraud if book is Book.FRAUD else self.released if book is Book.RELEASED else self.declined
        if kept is None:
            kept = KeptLog()
            self.put(book, kept)
        return kept

    def put(self, book: Book, kept: KeptLog) -> None:
        """Put a log in its place."""
        if book is Book.FRAUD:
            self.fraud = kept
        elif book is Book.APPROVED:
            self.approved = kept
        elif book is Book.RELEASED:
            self.released = kept
        else:
            self.declined = kept
        self._look_again()

    @property
    def oldest_ms(self) -> int:
        """Event time of the oldest row of any log; that of the newest purchase where there is none."""
        oldest_ms = self.last_ms
        for kept in (self.approved, self.declined, self.fraud, self.released):
            if kept is not None and kept.times and kept.times[0] < oldest_ms:
                oldest_ms = kept.times[0]
        return oldest_ms

    def drop_fraud(self) -> None:
        """Have no log of fraud any more."""
        self.fraud = None
        self._look_again()
        self.note()

    def _look_again(self) -> None:
        self.has_others = self.declined is not None or self.fraud is not None or self.released is not None
