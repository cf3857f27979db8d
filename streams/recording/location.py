"""Where a recording lies: a directory, or a place in an object store, through Arrow's file systems."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import pyarrow as pa
import pyarrow.fs as pafs

from streams.recording.errors import RecordingError

_Result = TypeVar("_Result")

# Behind the name of a file that is not whole yet.
PARTIAL: Final = ".partial"


class Location:
    """A place that files are read from and written to, each of them whole or not at all.

    `text` is a path, or a URI of a file system that Arrow knows, like `s3://bucket/recording`. With a `system` it is
    a path there: for stores of which a URI can't say how they are reached.
    """

    def __init__(self, text: str, system: pafs.FileSystem | None = None) -> None:
        """Raises RecordingError for a URI that no file system answers to."""
        self.text = text.rstrip("/") or text
        self._system: pafs.FileSystem
        if system is not None:
            self._system, self._root = system, self.text
        elif "://" in text:
            self._system, self._root = self._told("", lambda: _system_of(text))
            self._root = self._root.rstrip("/")
        else:
            self._system, self._root = pafs.LocalFileSystem(), str(Path(text).absolute())
        self._local = isinstance(self._system, pafs.LocalFileSystem)

    def of(self, file: str) -> str:
        """A file as it is named in messages."""
        return f"{self.text}/{file}"

    def exists(self, file: str) -> bool:
        """Whether a file is there. Raises RecordingError where nothing can be said."""
        info = self._told(file, lambda: self._system.get_file_info(self._path(file)))
        return info.type is pafs.FileType.File

    def read(self, file: str) -> pa.Buffer:
        """The bytes of a file. Raises RecordingError."""

        def reading() -> pa.Buffer:
            with self._system.open_input_file(self._path(file)) as stream:
                return stream.read_buffer()

        return self._told(file, reading)

    def write(self, file: str, content: bytes | memoryview) -> None:
        """Write a file, or put a new one into its place. Raises RecordingError."""
        self._told(file, lambda: self._write(self._path(file), content))

    def files(self) -> list[str]:
        """All files below, sorted; none where nothing is there. Raises RecordingError."""
        selector = pafs.FileSelector(self._root, allow_not_found=True, recursive=True)
        found = self._told("", lambda: self._system.get_file_info(selector))
        return sorted(
            info.path.removeprefix(self._root).lstrip("/") for info in found if info.type is pafs.FileType.File
        )

    def delete(self, file: str) -> None:
        """Delete a file. Raises RecordingError."""
        self._told(file, lambda: self._system.delete_file(self._path(file)))

    def local_path(self) -> Path | None:
        """The directory, where it is on this machine's own file system."""
        return Path(self._root) if self._local else None

    def _path(self, file: str) -> str:
        return f"{self._root}/{file}"

    def _write(self, path: str, content: bytes | memoryview) -> None:
        # A store shows an object when it is whole; a directory shows a file from its first byte on.
        target = path + PARTIAL if self._local else path
        self._system.create_dir(path.rpartition("/")[0], recursive=True)
        with self._system.open_output_stream(target) as stream:
            stream.write(content)
        if self._local:
            _to_disk(target)
            Path(target).replace(path)
            _to_disk(str(Path(path).parent))

    def _told(self, file: str, work: Callable[[], _Result]) -> _Result:
        try:
            return work()
        except FileNotFoundError:
            raise RecordingError(f"{self.of(file)}: no such file: is it moved or deleted?") from None
        except (OSError, pa.ArrowException, ValueError) as error:
            said = getattr(error, "strerror", None) or str(error).splitlines()[0]
            raise RecordingError(f"{self.of(file) if file else self.text}: {said}") from None


def _system_of(uri: str) -> tuple[pafs.FileSystem, str]:
    try:
        return pafs.FileSystem.from_uri(uri)
    except pa.ArrowInvalid as error:
        said = str(error).splitlines()[0]
        raise RecordingError(f"{said}: name a directory, or a URI of s3://, gs://, abfs:// or hdfs://") from None


def _to_disk(path: str) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
