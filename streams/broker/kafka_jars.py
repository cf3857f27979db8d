"""Apache Kafka's published jars: fetched once by their Maven coordinates, kept in `.build/`."""

from __future__ import annotations

import fcntl
import re
import shutil
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from streams.broker.broker import BrokerError

PROJECT: Final = Path(__file__).resolve().parents[2]
POM: Final = PROJECT / "deploy" / "kafka" / "pom.xml"
JAVA_WANTED: Final = 17

_NAMESPACE: Final = {"m": "http://maven.apache.org/POM/4.0.0"}
_FETCH_WAIT_S: Final = 600.0
_TAIL_CHARS: Final = 3_000


def kafka_version() -> str:
    """The version of Kafka that the coordinates name. Raises BrokerError outside a checkout."""
    try:
        # Our own file, so nothing hostile to parse.
        version = ElementTree.parse(POM).findtext("m:properties/m:kafka.version", None, _NAMESPACE)  # noqa: S314
    except OSError as error:
        raise BrokerError(f"Kafka's coordinates can't be read; is this a checkout? {error}") from None
    if not version:
        raise BrokerError(f"{POM} names no kafka.version")
    return version


def java_version() -> int | None:
    """The major version of the Java on the path; None where there is none."""
    java = shutil.which("java")
    if java is None:
        return None
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False, timeout=30)
    found = re.search(r'version "(\d+)', told.stderr + told.stdout)
    return int(found.group(1)) if found else None


def why_no_kafka() -> str | None:
    """Why Kafka can't run here; None where it can."""
    version = java_version()
    if version is None:
        return "there is no Java on the path"
    if version < JAVA_WANTED:
        return f"Java {version} is too old, Kafka needs {JAVA_WANTED}"
    if not POM.exists():
        return "this is no checkout, so Kafka's coordinates are not here"
    if not _jars_are_here() and shutil.which("mvn") is None:
        return "there is no Maven on the path to fetch Kafka with"
    return None


def kafka_jars() -> Path:
    """The folder that holds Kafka's jars, fetched if need be. Raises BrokerError.

    Sessions that run side by side wait for each other's fetch.
    """
    folder = _folder()
    if not _jars_are_here():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.with_suffix(".lock")):
            if not _jars_are_here():
                _fetch(folder)
    return folder


def _folder() -> Path:
    return PROJECT / ".build" / f"kafka-{kafka_version()}"


def _marker(folder: Path) -> Path:
    return folder / ".complete"


def _jars_are_here() -> bool:
    """Are the jars of these very coordinates here, and all of them?"""
    marker = _marker(_folder())
    return marker.exists() and marker.read_bytes() == POM.read_bytes()


def _fetch(folder: Path) -> None:
    mvn = shutil.which("mvn")
    if mvn is None:
        raise BrokerError("Kafka can't be fetched: there is no Maven (mvn) on the path")
    shutil.rmtree(folder, ignore_errors=True)
    command = [mvn, "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={folder}"]
    try:
        told = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=_FETCH_WAIT_S,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise BrokerError(f"Kafka can't be fetched: Maven took more than {_FETCH_WAIT_S:.0f} s") from None
    if told.returncode:
        raise BrokerError(f"Kafka can't be fetched:\n{(told.stdout + told.stderr)[-_TAIL_CHARS:]}")
    _marker(folder).write_bytes(POM.read_bytes())


@contextmanager
def _locked(path: Path) -> Generator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
