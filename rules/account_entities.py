"""Which entities an account has beside itself: those that its purchases are counted by at the desk."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rules.entity import account_of

ACCOUNT_KEY: Final = "account_id:"


def account_key(account_id: str) -> str:
    """The key of the entity that is an account alone."""
    return ACCOUNT_KEY + account_id


class AccountEntities:
    """Entity keys by their account. That of the account alone is not kept: it follows from the account."""

    def __init__(self) -> None:
        # Most accounts have none or one.
        self._keys: dict[str, str | dict[str, None]] = {}

    def add(self, entity_key: str) -> None:
        """An entity is kept from now on."""
        keys = self._keys.setdefault(account_of(entity_key), entity_key)
        if isinstance(keys, dict):
            keys[entity_key] = None
        elif keys != entity_key:
            self._keys[account_of(entity_key)] = {keys: None, entity_key: None}

    def remove(self, entity_key: str) -> None:
        """An entity is forgotten."""
        account_id = account_of(entity_key)
        keys = self._keys[account_id]
        if isinstance(keys, dict):
            del keys[entity_key]
        if not keys or keys == entity_key:
            del self._keys[account_id]

    def keys_of(self, account_id: str) -> Sequence[str]:
        """The entities of an account in the order of their keys, and that of the account alone whether kept or not."""
        keys = self._keys.get(account_id, ())
        return sorted((account_key(account_id), *((keys,) if isinstance(keys, str) else keys)))
