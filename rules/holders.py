"""The entities of one fold that have books, found by their keys."""

from __future__ import annotations

from collections.abc import Sequence

from rules.account_entities import ACCOUNT_KEY, AccountEntities
from rules.accounts import Accounts
from rules.holder import Entity, Holder


class Holders:
    """Who has books. An account has its own itself; any other entity is kept here while it has some."""

    def __init__(self, accounts: Accounts | None = None, *, by_account: bool = False) -> None:
        """With `accounts` every entity is one of them or has one, and is found by it if asked for (`by_account`)."""
        self._accounts = accounts
        self._of_account = AccountEntities() if by_account else None
        self._entities: dict[str, Entity] = {}

    def get(self, entity_key: str) -> Holder:
        """An entity, new if it is not kept: then to be kept before it is asked for again."""
        if self._accounts is not None and entity_key.startswith(ACCOUNT_KEY):
            return self._accounts.get(entity_key[len(ACCOUNT_KEY) :])
        return self._entities.get(entity_key) or Entity(entity_key)

    def keep_all(self, entity_keys: Sequence[str]) -> Sequence[Holder]:
        """Entities that are kept from now on, in this order."""
        if self._accounts is not None and all(map(_is_account, entity_keys)):
            return self._accounts.get_all([entity_key[len(ACCOUNT_KEY) :] for entity_key in entity_keys])
        holders: list[Holder] = []
        for entity_key in entity_keys:
            holder = self.get(entity_key)
            self.keep(holder)
            holders.append(holder)
        return holders

    def keep(self, holder: Holder) -> None:
        """An entity is kept from now on, if it is not already."""
        if isinstance(holder, Entity):
            self._entities[holder.entity_key] = holder
            if self._of_account is not None:
                self._of_account.add(holder.entity_key)

    def let_go(self, holder: Holder) -> None:
        """An entity that is kept is so no longer."""
        if isinstance(holder, Entity):
            del self._entities[holder.entity_key]
            if self._of_account is not None:
                self._of_account.remove(holder.entity_key)

    def of_account(self, account_id: str) -> Sequence[Holder]:
        """An account, and the entities that it has, in the order of their keys."""
        assert self._of_account is not None, "found by their accounts"
        return [self.get(entity_key) for entity_key in self._of_account.keys_of(account_id)]


def _is_account(entity_key: str) -> bool:
    return entity_key.startswith(ACCOUNT_KEY)
