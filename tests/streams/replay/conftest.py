"""The command line, as the tests of all commands have it."""

from __future__ import annotations

from tests.streams.test_cli import clean, stopbank

__all__ = ["clean", "stopbank"]
