"""API keys: who passes, with what, how long; and a file that is read again, and edited without loss."""

from __future__ import annotations

import asyncio
import logging
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from streams.gateway.api_key import KeyScope, ShownKey, digest_of, new_secret, read_shown
from streams.gateway.key_file import KeyFile, KeysFileError, new_key, read_keys
from streams.gateway.keys import FileKeys
from streams.gateway.problems import ProblemError
from tests.streams.command import Run, assert_one_error, runner
from tests.streams.gateway.conftest import Gateway, key
from tests.streams.gateway.memory import Told

NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)
DECIDE, READ, ADMIN = KeyScope.DECIDE, KeyScope.READ, KeyScope.ADMIN


def told_type(told: Told) -> tuple[int, str]:
    return told.status, told.json["type"].rpartition(":")[2]


# -- who passes --------------------------------------------------------------------------------------

# Path by method; what each scope is answered.
WAYS = [
    ("POST", "/v1/decisions", {DECIDE: 422, READ: 403, ADMIN: 403}),
    ("GET", "/v1/decisions/t-1", {DECIDE: 404, READ: 404, ADMIN: 403}),
    ("POST", "/v1/purchases/t-1/capture", {DECIDE: 422, READ: 403, ADMIN: 403}),
    ("GET", "/v1/status", {DECIDE: 403, READ: 403, ADMIN: 200}),
]


@pytest.mark.parametrize(("method", "path", "answers"), WAYS)
@pytest.mark.parametrize("scope", KeyScope)
async def test_a_key_may_do_what_its_scopes_say(
    method: str, path: str, answers: dict[KeyScope, int], scope: KeyScope
) -> None:
    entry, shown = key(scope)
    told = await Gateway(keys=[entry]).ask(method, path, b"{}", key=shown)
    assert told.status == answers[scope]
    if told.status == 403:
        assert told.json["type"] == "urn:stopbank:problem:forbidden"
        assert f"has the scopes {scope}; this needs" in told.json["detail"]
        assert 'error="insufficient_scope"' in told.headers["www-authenticate"]


async def test_an_expired_key_is_told_so_but_only_to_its_holder() -> None:
    entry, shown = key(expires=NOW - timedelta(seconds=1))
    gateway = Gateway(keys=[entry])
    told = await gateway.ask("GET", "/v1/status", key=shown)
    assert told_type(told) == (401, "unauthorized")
    assert f"the API key {shown.id} is expired" in told.json["detail"]
    assert told.headers["www-authenticate"] == 'Bearer realm="stopbank", error="invalid_token"'
    told = await gateway.ask("GET", "/v1/status", key=ShownKey(shown.id, new_secret()))
    assert "no such API key" in told.json["detail"]


async def test_a_key_passes_until_it_expires() -> None:
    entry, shown = key(expires=NOW + HOUR)
    assert (await Gateway(keys=[entry]).ask("GET", "/v1/status", key=shown)).status == 200
    assert entry.is_expired(NOW + HOUR)
    assert not entry.is_expired(NOW + HOUR - timedelta(microseconds=1))


@pytest.mark.parametrize(
    "text", ["", "sb", "sb_", "sb_abcd", "sb_abcd_", "sb__x", "sb_ABCD_x", "sb_abcd_x y", "xx_abcd_x"]
)
def test_what_is_no_key_is_read_as_none(text: str) -> None:
    assert read_shown(text) is None


def test_a_key_is_read_as_it_is_shown() -> None:
    shown = ShownKey("abcd", "a_b-c_")
    assert read_shown(str(shown)) == shown
    assert "a_b-c_" not in repr(shown)


def test_secrets_have_256_bits_and_are_kept_as_hashes() -> None:
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert {len(secret) for secret in secrets} == {43}
    entry, shown = key()
    assert entry.sha256 == digest_of(shown.secret)
    assert shown.secret not in repr(entry)


# -- the file ----------------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.yaml"


def created(path: Path, *scopes: KeyScope, **fields: Any) -> ShownKey:
    entry, shown = key(*scopes, **fields)
    KeyFile(path).create(entry)
    return shown


def test_a_file_holds_what_was_created(path: Path) -> None:
    first, second = created(path, DECIDE, rate_per_s=5), created(path, READ, ADMIN, expires=NOW + HOUR)
    keys = read_keys(path)
    assert [entry.id for entry in keys] == [first.id, second.id]
    assert (keys[0].rate_per_s, keys[1].scopes, keys[1].expires) == (5, ["read", "admin"], NOW + HOUR)
    assert first.secret not in path.read_text()
    assert not path.stat().st_mode & stat.S_IWOTH


def test_what_a_person_wrote_outlives_an_edit(path: Path) -> None:
    shown = created(path, DECIDE)
    path.write_text("# ours\n" + path.read_text() + "\n# the last\n")
    other = created(path, READ)
    KeyFile(path).rotate(shown.id, NOW, HOUR)
    KeyFile(path).revoke(other.id)
    assert path.read_text().startswith("# ours\n")
    assert "# the last" in path.read_text()
    assert [entry.id for entry in read_keys(path)] == [shown.id]


def test_a_rotated_key_passes_with_both_secrets_for_a_while(path: Path) -> None:
    old = created(path, DECIDE)
    new = KeyFile(path).rotate(old.id, NOW, HOUR)
    (entry,) = read_keys(path)
    assert new.id == old.id
    assert new.secret != old.secret
    for shown, moment, passes in [
        (old, NOW, True),
        (old, NOW + HOUR, False),
        (new, NOW, True),
        (new, NOW + 2 * HOUR, True),
        (ShownKey(old.id, new_secret()), NOW, False),
    ]:
        assert entry.is_shown_by(shown.secret, moment) is passes


def test_a_second_rotation_ends_the_first_secret(path: Path) -> None:
    first = created(path, DECIDE)
    second = KeyFile(path).rotate(first.id, NOW, HOUR)
    third = KeyFile(path).rotate(first.id, NOW, timedelta())
    (entry,) = read_keys(path)
    assert [entry.is_shown_by(each.secret, NOW) for each in (first, second, third)] == [False, False, True]
    assert entry.previous is None


KEY = f"{{id: abcd, sha256: {'a' * 64}, scopes: [decide]"
BROKEN = [
    ("", "holds no keys: begin it with `keys:`"),
    ("keys", "holds no keys: begin it with `keys:`"),
    ("- keys", "holds no keys: begin it with `keys:`"),
    ("keys: [", ":1: is no YAML"),
    ("keys: []\nkey: 1", "key: is not a field"),
    ("keys: {}", "keys: an object is not a JSON array"),
    ("keys: [{id: abcd}]", "keys.0.sha256: is required"),
    (f"keys: [{KEY}, secret: x}}]", "keys.0.secret: is not a field"),
    (f"keys: [{KEY}}}, {KEY}}}]", "more than one key abcd: give each its own id"),
    (f"keys: [{KEY.replace('decide', 'write')}}}]", "keys.0.scopes.0: 'write' is not one of decide, read, admin"),
    (f"keys: [{KEY.replace('[decide]', '[]')}}}]", "keys.0.scopes"),
    (f"keys: [{KEY}, expires: 2026-03-01}}]", "is not a time in RFC 3339"),
    (f"keys: [{KEY}, expires: 1772431200}}]", "is not a time in RFC 3339"),
    (f"keys: [{KEY}, expires: soon}}]", "'soon' is not a time in RFC 3339"),
    (f"keys: [{KEY}, rate_per_s: 0}}]", "keys.0.rate_per_s: 0 is not a whole number from 1"),
    (f"keys: [{KEY}, burst: 10}}]", "burst is no multiple of rate_per_s"),
    (f"keys: [{KEY}, rate_per_s: 4, burst: 10}}]", "burst is no multiple of rate_per_s"),
    (f"keys: [{KEY.replace('a' * 64, 'sb_abcd_x')}}}]", "is not a SHA-256 in hexadecimal"),
    ("keys: !!bool maybe", "is no YAML: a value is not what its tag says"),
    ("keys: &all [*all]", "something in it holds itself"),
    ("keys: " + "[" * 5_000 + "]" * 5_000, "is nested too deeply"),
]


@pytest.mark.parametrize(("text", "part"), BROKEN)
def test_a_broken_file_is_told_by_place(path: Path, text: str, part: str) -> None:
    path.write_text(text)
    with pytest.raises(KeysFileError) as error:
        read_keys(path)
    assert str(path) in str(error.value)
    assert part in str(error.value)


def test_a_file_that_is_not_there_or_no_text_is_told(path: Path) -> None:
    with pytest.raises(KeysFileError, match=r"can't be read: No such file.*`stopbank keys create` makes one"):
        read_keys(path)
    path.write_bytes(b"\xff")
    with pytest.raises(KeysFileError, match="is not UTF-8"):
        read_keys(path)


@pytest.mark.parametrize("written", ["2026-03-01T12:00:00Z", "'2026-03-01T12:00:00Z'", "2026-03-01T20:00:00+08:00"])
def test_times_may_be_written_as_a_person_writes_them(path: Path, written: str) -> None:
    path.write_text(f"keys: [{KEY}, expires: {written}}}]")
    assert read_keys(path)[0].expires == datetime(2026, 3, 1, 12, tzinfo=UTC)


# -- while a gateway runs ----------------------------------------------------------------------------


def passes(keys: FileKeys, shown: ShownKey) -> bool:
    try:
        return keys.holder(f"Bearer {shown}".encode(), [DECIDE]).id == shown.id
    except ProblemError:
        return False


async def until(true: Callable[[], bool]) -> None:
    for _ in range(1_000):
        if true():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it did not become true")


def replaced(path: Path, text: str | None) -> str:
    """Put a text into a file's place, or nothing; what was there."""
    before = path.read_text() if path.exists() else ""
    path.unlink(missing_ok=True)
    if text is not None:
        path.write_text(text)
    return before


async def test_a_changed_file_is_in_force_without_a_restart(path: Path) -> None:
    first = created(path, DECIDE)
    keys = FileKeys(path)
    following = asyncio.create_task(keys.follow(0.01))
    second = created(path, DECIDE)
    await until(lambda: passes(keys, second))
    KeyFile(path).revoke(first.id)
    await until(lambda: not passes(keys, first))
    assert passes(keys, second)
    following.cancel()


async def test_one_failed_read_of_a_changed_file_is_made_up_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    created(path, DECIDE)
    keys = FileKeys(path)
    new = created(path, DECIDE)

    def failing(*_: object, **__: object) -> str:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(Path, "read_text", failing)
        await keys.refresh()
    assert not passes(keys, new)
    await keys.refresh()
    assert passes(keys, new)


async def test_nothing_that_a_read_fails_of_ends_the_following(
    path: Path, monkeypatch: pytest.MonkeyPatch, logged: list[Any]
) -> None:
    created(path, DECIDE)
    keys = FileKeys(path)
    new = created(path, DECIDE)

    def failing(*_: object, **__: object) -> str:
        raise MemoryError("secret")

    with monkeypatch.context() as broken:
        broken.setattr(Path, "read_text", failing)
        following = asyncio.create_task(keys.follow(0.001))
        await until(lambda: any(line.get("error") == "MemoryError" for line in logged))
    assert not following.done()
    await until(lambda: passes(keys, new))
    following.cancel()


@pytest.mark.parametrize("broken", ["keys: [", "keys: !!bool maybe", "keys: &all [*all]", None])
async def test_a_broken_file_leaves_the_keys_in_force(path: Path, broken: str | None, logged: list[Any]) -> None:
    shown = created(path, DECIDE)
    keys = FileKeys(path)
    whole = replaced(path, broken)
    for _ in range(3):
        await keys.refresh()
    assert passes(keys, shown)
    assert [line["log_level"] for line in logged] == ["error"]
    assert str(path) in logged[0]["reason"]
    replaced(path, whole.replace(digest_of(shown.secret), digest_of("other")))
    await keys.refresh()
    assert not passes(keys, shown)
    assert passes(keys, ShownKey(shown.id, "other"))


# -- the command -------------------------------------------------------------------------------------


@pytest.fixture
def stopbank(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], path: Path) -> Iterator[Run]:
    monkeypatch.setenv("STOPBANK_GATEWAY_KEYS_FILE", str(path))
    monkeypatch.setenv("COLUMNS", "200")
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield runner(monkeypatch, capfd, "keys")
    root.handlers = handlers
    root.setLevel(level)


def test_the_life_of_a_key_by_command(stopbank: Run, path: Path) -> None:
    made = stopbank("create", "--scope", "decide", "--scope", "read", "--name", "checkout", "--expires", "90d")
    shown = read_shown(made.out.strip())
    assert made.code == 0
    assert shown is not None
    assert shown.secret not in made.err
    assert shown.secret not in path.read_text()
    assert passes(FileKeys(path), shown)
    (entry,) = read_keys(path)
    assert entry.created is not None
    assert entry.expires == entry.created + timedelta(days=90)

    listed = stopbank("list")
    assert listed.code == 0
    for part in (shown.id, "checkout", "decide, read", "the gateway's"):
        assert part in listed.out

    turned = read_shown(stopbank("rotate", shown.id, "--overlap", "1h").out.strip())
    assert turned is not None
    assert passes(FileKeys(path), turned)
    assert passes(FileKeys(path), shown)
    assert "old secret until" in stopbank("list").out

    assert stopbank("revoke", shown.id).out == f"the key {shown.id} is no more\n"
    assert not passes(FileKeys(path), turned)
    assert "there are no keys" in stopbank("list").out


def test_what_can_not_be_done_is_told_in_one_line(stopbank: Run, path: Path) -> None:
    assert_one_error(stopbank("list"), str(path), "No such file")
    assert_one_error(stopbank("revoke", "abcd"), "can't be read")
    shown = created(path, DECIDE)
    assert_one_error(stopbank("revoke", "abcd"), f"there is no key abcd: there are {shown.id}")
    assert_one_error(stopbank("rotate", "abcd"), "there is no key abcd")
    path.write_text("keys: 1")
    before = path.read_bytes()
    assert_one_error(stopbank("create", "--scope", "decide"), "keys: 1 is not a JSON array")
    assert path.read_bytes() == before


def test_a_file_in_a_place_that_is_not_there_is_told(stopbank: Run, path: Path) -> None:
    ran = stopbank("create", "--scope", "decide", "--file", path.parent / "none" / "keys.yaml")
    assert_one_error(ran, "can't be written: No such file or directory")


def test_the_file_is_plain_yaml(path: Path) -> None:
    created(path, DECIDE)
    document: Any = YAML(typ="safe", pure=True)
    assert list(document.load(path.read_text())["keys"][0]) == ["id", "sha256", "scopes", "created"]


def test_new_keys_have_ids_of_their_own() -> None:
    assert len({new_key([DECIDE], NOW)[1].id for _ in range(1_000)}) == 1_000
