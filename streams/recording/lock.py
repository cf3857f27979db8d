"""One writer at a time: a lock that is gone with the process that holds it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from streams.recording.errors import RecordingError
from streams.recording.location import Location
from streams.recording.manifest import MANIFEST
from streams.recording.recorded import RECORDED

LOCK: Final = ".lock"


@contextmanager
def locked(location: Location) -> Generator[None]:
    """Hold a directory for writing; an object store knows no locks, and none is held there.

    Where no recording came of it, an empty directory is removed again. Raises RecordingError where another
    process holds it.
    """
    folder = location.local_path()
    if folder is None:
        yield
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise RecordingError(
            f"{location.text}: can't be written to: {(error.strerror or str(error)).lower()}"
        ) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise RecordingError(
            f"{location.text}: another process writes to it: stop that one first, or name another place"
        ) from None
    try:
        yield
    finally:
        if not (folder / MANIFEST).exists():
            _leave(folder)
        os.close(handle)


def _leave(folder: Path) -> None:
    """Remove the lock and the directories that a recording would have had; one that holds something stays."""
    (folder / LOCK).unlink(missing_ok=True)
    for topic in RECORDED:
        for empty in (*(folder / topic).glob("[0-9]*"), folder / topic):
            with contextlib.suppress(OSError):
                empty.rmdir()
    with contextlib.suppress(OSError):
        folder.rmdir()
