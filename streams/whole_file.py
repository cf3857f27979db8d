"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def write_whole(path: Path, content: str | bytes) -> None:
    """Put content, a text in UTF-8, into a file's place at once: whoever looks finds the old file or the new one.

    Raises OSError.
    """
    handle, partial = _begun(path)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        # What mkstemp makes is for its owner alone.
        partial.chmod(0o666 & ~_umask())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def verify_can_be_written(path: Path) -> None:
    """Look whether `write_whole` would find a place for the file, and leave nothing behind. Raises OSError."""
    handle, partial = _begun(path)
    os.close(handle)
    partial.unlink()


def _begun(path: Path) -> tuple[int, Path]:
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent or Path())
    except OSError as error:
        # The name that was to be is nobody's business.
        raise type(error)(error.errno, error.strerror, str(path)) from None
    return handle, Path(name)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
