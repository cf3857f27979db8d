"""The file of API keys: read, checked, and edited without losing what a person wrote into it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, Final, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML

from models.problem import field_problems
from streams.errors import PlainError
from streams.gateway.api_key import ApiKey, KeyScope, OldSecret, ShownKey, as_entry, digest_of, new_id, new_secret
from streams.whole_file import write_whole

_HEADER: Final = "# API keys of the gateway: hashes of their secrets. Edit by hand or with `stopbank keys`.\n"


class KeysFileError(PlainError):
    """The keys file can't be used; the message names it, what is wrong and how to mend it."""


class UnreadableKeysError(KeysFileError):
    """The keys file can't be read now, whatever it holds: it may be in a moment."""


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    keys: Annotated[list[ApiKey], Field(max_length=10_000)]


def read_keys(path: Path) -> list[ApiKey]:
    """The keys of a file. Raises KeysFileError."""
    return _checked(_loaded(_text_of(path), path, YAML(typ="safe", pure=True)), path)


class KeyFile:
    """Edits a keys file. Every method raises KeysFileError, and writes the file whole or not at all."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._yaml: Any = YAML()

    def create(self, key: ApiKey) -> None:
        """Add a key; the file comes into being with its first."""
        text = _text_of(self._path) if self._path.exists() else f"{_HEADER}keys: []\n"
        document = _loaded(text, self._path, self._yaml)
        keys = _checked(document, self._path)
        if any(other.id == key.id for other in keys):
            raise KeysFileError(f"{self._path}: there is a key {key.id} already: choose another id")
        entries = document["keys"]
        # What was written as [] would grow in one line.
        with suppress(AttributeError):
            entries.fa.set_block_style()
        entries.append(as_entry(key))
        self._write(document)

    def revoke(self, key_id: str) -> None:
        """Remove a key."""
        document = self._document()
        del document["keys"][self._place(document, key_id)]
        self._write(document)

    def rotate(self, key_id: str, now: datetime, overlap: timedelta) -> ShownKey:
        """Give a key a new secret; the old one passes until the overlap is over."""
        document = self._document()
        entry = document["keys"][self._place(document, key_id)]
        secret = new_secret()
        old = OldSecret(sha256=entry["sha256"], until=now + overlap)
        entry["sha256"] = digest_of(secret)
        entry.pop("previous", None)
        if overlap:
            entry["previous"] = old.model_dump(mode="json")
        self._write(document)
        return ShownKey(key_id, secret)

    def _document(self) -> Any:
        document = _loaded(_text_of(self._path), self._path, self._yaml)
        _checked(document, self._path)
        return document

    def _place(self, document: Any, key_id: str) -> int:
        ids = [entry["id"] for entry in document["keys"]]
        if key_id not in ids:
            listed = ", ".join(ids) or "none"
            raise KeysFileError(f"{self._path}: there is no key {key_id}: there are {listed}")
        return ids.index(key_id)

    def _write(self, document: Any) -> None:
        text = StringIO()
        self._yaml.dump(document, text)
        _checked(_loaded(text.getvalue(), self._path, YAML(typ="safe", pure=True)), self._path)
        try:
            write_whole(self._path, text.getvalue())
        except OSError as error:
            raise KeysFileError(f"{self._path} can't be written: {error.strerror}") from None


def new_key(
    scopes: list[KeyScope],
    now: datetime,
    name: str | None = None,
    lifetime: timedelta | None = None,
    rate_per_s: int | None = None,
    max_in_flight: int | None = None,
) -> tuple[ApiKey, ShownKey]:
    """A new key, as the file holds it and as its holder shows it. Nobody else ever has the secret."""
    shown = ShownKey(new_id(), new_secret())
    key = ApiKey(
        id=shown.id,
        name=name,
        sha256=digest_of(shown.secret),
        scopes=[scope.value for scope in dict.fromkeys(scopes)],
        created=now,
        expires=now + lifetime if lifetime is not None else None,
        rate_per_s=rate_per_s,
        max_in_flight=max_in_flight,
    )
    return key, shown


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise KeysFileError(f"{path} is not UTF-8: save it in that encoding") from None
    except OSError as error:
        raise UnreadableKeysError(f"{path} can't be read: {error.strerror}: `stopbank keys create` makes one") from None


def _loaded(text: str, path: Path, yaml: Any) -> Any:
    try:
        return yaml.load(text)
    except RecursionError:
        raise KeysFileError(f"{path}: is nested too deeply: it is a list of keys, each with its fields") from None
    except Exception as error:  # noqa: BLE001  # the parser raises whatever a wrong value makes it stumble over
        # No more than the place and the rule: what stands there is nobody's business.
        mark: Any = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark is not None else f"{path}"
        said = getattr(error, "problem", None) or "a value is not what its tag says, or it cannot be read"
        raise KeysFileError(f"{where}: is no YAML: {said}") from None


def _checked(document: Any, path: Path) -> list[ApiKey]:
    if not isinstance(document, dict):
        raise KeysFileError(f"{path}: holds no keys: begin it with `keys:`")
    try:
        keys = _Document.model_validate(_plain(document)).keys
    except RecursionError:
        raise KeysFileError(f"{path}: something in it holds itself: write it without anchors (&)") from None
    except ValidationError as error:
        raise KeysFileError("\n".join(_sentences(error, path))) from None
    ids = [key.id for key in keys]
    twice = sorted({key_id for key_id in ids if ids.count(key_id) > 1})
    if twice:
        raise KeysFileError(f"{path}: there is more than one key {', '.join(twice)}: give each its own id")
    return keys


def _sentences(error: ValidationError, path: Path) -> Iterator[str]:
    for where, sentence in field_problems(error):
        yield f"{path}: {where}: {sentence}"


def _plain(document: Any) -> Any:
    """What a person wrote, without the marks that keep comments and forms: strict models take plain values only."""
    if isinstance(document, dict):
        return {str(name): _plain(value) for name, value in cast("dict[Any, Any]", document).items()}
    if isinstance(document, list):
        return [_plain(value) for value in cast("list[Any]", document)]
    if isinstance(document, bool) or document is None:
        return document
    for kind in (str, int):
        if isinstance(document, kind):
            return kind(document)
    return document
