"""The API keys in force: told from their headers, and read again when their file changes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from streams.gateway.api_key import ApiKey, KeyScope, digest_of, new_secret, read_shown
from streams.gateway.key_file import KeysFileError, UnreadableKeysError, read_keys
from streams.gateway.problems import ProblemError, failed

log = structlog.get_logger(__name__)

_CHALLENGE: Final = 'Bearer realm="stopbank"'
_Mark = tuple[int, int, int]


class ApiKeys:
    """The keys by their ids."""

    def __init__(self, keys: Sequence[ApiKey]) -> None:
        self._keys = {key.id: key for key in keys}
        # An id that nobody has takes as long as one that somebody has.
        self._nobody = ApiKey(id="nobody", sha256=digest_of(new_secret()), scopes=[KeyScope.READ.value])

    def replace(self, keys: Sequence[ApiKey]) -> None:
        """From now on these keys are in force, and no others."""
        self._keys = {key.id: key for key in keys}

    def holder(self, authorization: bytes, scopes: Sequence[KeyScope]) -> ApiKey:
        """The key that a header shows, which has one of the scopes. Raises ProblemError."""
        now = datetime.now(UTC)
        kind, _, text = authorization.decode("latin-1").partition(" ")
        if not authorization or kind.lower() != "bearer":
            raise _unauthorized("send an API key: `Authorization: Bearer sb_<id>_<secret>`", _CHALLENGE)
        shown = read_shown(text.strip())
        if shown is None:
            raise _unauthorized("what is sent is no API key, which is sb_<id>_<secret>: check that it is whole")
        key = self._keys.get(shown.id)
        if not (key or self._nobody).is_shown_by(shown.secret, now) or key is None:
            raise _unauthorized("no such API key: it was revoked or rotated, or is not whole")
        if key.is_expired(now):
            raise _unauthorized(f"the API key {key.id} is expired: ask for a new one")
        if not any(scope.value in key.scopes for scope in scopes):
            wanted = " or ".join(scopes)
            detail = (
                f"the API key {key.id} has the scopes {', '.join(key.scopes)}; this needs {wanted}: use another key"
            )
            challenge = f'{_CHALLENGE}, error="insufficient_scope", scope="{scopes[0]}"'
            raise failed("forbidden", detail, headers={"WWW-Authenticate": challenge})
        return key


class FileKeys(ApiKeys):
    """The keys of a file. While the file is broken the keys that it held last stay in force."""

    def __init__(self, path: Path) -> None:
        """Raises KeysFileError where the file can't be used."""
        self._path = path
        self._mark = _mark_of(path)
        self._told: str | None = None
        super().__init__(read_keys(path))

    async def follow(self, every_s: float) -> None:
        """Read the file again whenever it changes, until cancelled."""
        while True:
            await asyncio.sleep(every_s)
            try:
                await self.refresh()
            except Exception as error:  # noqa: BLE001  # whatever it is, a later revocation must take effect
                # By its type alone: a message may quote what the file holds.
                log.error("the keys file could not be read again, trying again", error=type(error).__name__)

    async def refresh(self) -> None:
        """Read the file if it changed since it was read last, or could not be read then."""
        mark = _mark_of(self._path)
        if mark == self._mark:
            return
        try:
            keys = await asyncio.to_thread(read_keys, self._path)
        except KeysFileError as error:
            # What can't be read now may be readable in a moment, with no change to be seen.
            if not isinstance(error, UnreadableKeysError):
                self._mark = mark
            self._tell(str(error))
            return
        self._mark = mark
        self._told = None
        self.replace(keys)
        log.info("API keys in force", keys=len(keys))

    def _tell(self, reason: str) -> None:
        if reason != self._told:
            log.error("the keys file can't be used; the keys that it held before stay in force", reason=reason)
        self._told = reason


def _mark_of(path: Path) -> _Mark | None:
    """What tells one state of a file from another; None where there is no file."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _unauthorized(detail: str, challenge: str = f'{_CHALLENGE}, error="invalid_token"') -> ProblemError:
    return failed("unauthorized", detail, headers={"WWW-Authenticate": challenge})
