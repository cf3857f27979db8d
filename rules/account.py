"""What the desk knows of an account beside its purchases' windows: one object, so that it is looked up once."""

from __future__ import annotations

from rules.account_entities import account_key
from rules.anomaly import Profile
from rules.credit import Credit
from rules.holder import Books


class Account(Credit):
    """One account. `latest_ms` is the event time of its newest purchase, 0 before the first.

    Others keep here what they have of the account: `books` is of rules/logbook.py, `rows` of rules/reservations.py,
    `decided` and `answered` are of rules/block_log.py, `block` is of rules/account_records.py.
    """

    __slots__ = ("_profile", "account_id", "answered", "block", "books", "decided", "latest_ms", "rows")

    def __init__(self, account_id: str) -> None:
        super().__init__()
        self.account_id = account_id
        self.latest_ms = 0
        self.books: Books = None
        self.rows: bytes | bytearray = b""
        self.decided = b""
        self.answered = b""
        self.block = -1
        self._profile: Profile | None = None

    @property
    def entity_key(self) -> str:
        """By what its books are told apart from those of other entities."""
        return account_key(self.account_id)

    @property
    def profile(self) -> Profile:
        """Its habits. They are made when they are first asked for: most rulesets never do."""
        if self._profile is None:
            self._profile = Profile()
        return self._profile

    @profile.setter
    def profile(self, profile: Profile) -> None:
        self._profile = profile
