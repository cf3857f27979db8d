"""A client of the gateway for checkouts that are written in Python: typed, asynchronous, within a deadline."""

from __future__ import annotations

from streams.client.answers import DecisionAnswer, Settled
from streams.client.client import StopbankClient
from streams.client.errors import (
    ConflictError,
    FieldProblem,
    NotFoundError,
    Problem,
    ProblemError,
    RefusedError,
    StopbankError,
    TooManyRequestsError,
    UnauthorizedError,
    UnavailableError,
)

__all__ = [
    "ConflictError",
    "DecisionAnswer",
    "FieldProblem",
    "NotFoundError",
    "Problem",
    "ProblemError",
    "RefusedError",
    "Settled",
    "StopbankClient",
    "StopbankError",
    "TooManyRequestsError",
    "UnauthorizedError",
    "UnavailableError",
]
