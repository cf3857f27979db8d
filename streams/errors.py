"""Errors that a person can mend."""

from __future__ import annotations


class PlainError(Exception):
    """Its message is enough: it names what is wrong, where, and how to mend it. Commands end with it, exit code 2."""
