"""Which entities an account has: those that its purchases are counted by at the desk."""

from __future__ import annotations

from collections.abc import Sequence

from rules.entity import account_of


class AccountEntities:
    """Entity keys by their account."""

    def __init__(self) -> None:
        # In the order in which they came to be known; most accounts have few.
        self._keys: dict[str, dict[str, None]] = {}

    def add(self, entity_key: str) -> None:
        """An entity is kept from now on."""
        self._keys.setdefault(account_of(entity_key), {})[entity_key] = None

    def remove(self, entity_key: str) -> None:
        """An entity is forgotten."""
        account_id = account_of(entity_key)
        keys = self._keys[account_id]
        del keys[entity_key]
        if not keys:
            del self._keys[account_id]

    def keys_of(self, account_id: str) -> Sequence[str]:
        """The entities of an account, in the order of their keys."""
        return sorted(self._keys.get(account_id, ()))
