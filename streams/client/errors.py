"""What a gateway refuses, as exceptions: the problem details of RFC 9457, and one class for each thing to do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple, cast

_UNTYPED: Final = "about:blank"


class FieldProblem(NamedTuple):
    """What is wrong with one field of a request."""

    field: str
    detail: str


class Problem(NamedTuple):
    """Problem details: `type` is a URN to branch on, `detail` is for a person, `instance` is the request's id.

    `code` says why a settlement was refused, `fields` which differ from the first request of the same transaction.
    """

    status: int
    type: str
    title: str
    detail: str
    instance: str
    errors: tuple[FieldProblem, ...] = ()
    fields: tuple[str, ...] = ()
    code: str | None = None


class StopbankError(Exception):
    """What a request to a gateway may raise."""


class ProblemError(StopbankError):
    """The request was refused; the same request again would be refused again, and is not repeated."""

    def __init__(self, problem: Problem) -> None:
        faults = "".join(f"; {each.field}: {each.detail}" for each in problem.errors)
        said = problem.detail or problem.title or "refused without a reason"
        super().__init__(f"{problem.status} {problem.type}: {said}{faults}")
        self.problem = problem


class ConflictError(ProblemError):
    """The transaction was sent before with another body, or the settlement does not fit what became of it.

    `fields` are those that differ; `code` is why a settlement is refused.
    """

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that differ from the first request."""
        return self.problem.fields

    @property
    def code(self) -> str | None:
        """Why a settlement is refused."""
        return self.problem.code


class RefusedError(ProblemError):
    """The request can't be used; `problem.errors` names the fields at fault."""


class NotFoundError(RefusedError):
    """Nothing is known of the transaction."""


class UnauthorizedError(ProblemError):
    """The key is unknown, expired or revoked, or lacks the scope."""


class TooManyRequestsError(ProblemError):
    """The key's limit of rate or concurrency is reached; `retry_after_s` is when to try again, in seconds."""

    def __init__(self, problem: Problem, retry_after_s: float) -> None:
        super().__init__(problem)
        self.retry_after_s = retry_after_s


class UnavailableError(StopbankError):
    """No gateway gave a usable answer in time; `attempts` says what became of each request."""

    def __init__(self, attempts: tuple[str, ...]) -> None:
        super().__init__(f"no usable answer in time: {'; '.join(attempts)}")
        self.attempts = attempts


_BY_STATUS: Final[Mapping[int, type[ProblemError]]] = {
    HTTPStatus.UNAUTHORIZED: UnauthorizedError,
    HTTPStatus.FORBIDDEN: UnauthorizedError,
    HTTPStatus.NOT_FOUND: NotFoundError,
    HTTPStatus.CONFLICT: ConflictError,
}


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> ProblemError:
    """The exception for an answer of 4xx, whether or not its body is a problem."""
    problem = read_problem(status, body)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return TooManyRequestsError(problem, _seconds(headers.get("Retry-After")))
    return _BY_STATUS.get(status, RefusedError)(problem)


def read_problem(status: int, body: bytes) -> Problem:
    """Problem details; what a proxy on the way answers, which has none, becomes a problem without a type."""
    try:
        parsed: object = json.loads(body)
    except ValueError:
        parsed = None
    found = cast("dict[str, Any]", parsed) if isinstance(parsed, dict) else {}
    code = found.get("code")
    return Problem(
        status,
        _text(found, "type") or _UNTYPED,
        _text(found, "title"),
        _text(found, "detail"),
        _text(found, "instance"),
        tuple(FieldProblem(_text(each, "field"), _text(each, "detail")) for each in _objects(found, "errors")),
        tuple(each for each in _list(found, "fields") if isinstance(each, str)),
        code if isinstance(code, str) else None,
    )


def _text(found: dict[str, Any], name: str) -> str:
    value = found.get(name)
    return value if isinstance(value, str) else ""


def _list(found: dict[str, Any], name: str) -> list[Any]:
    value = found.get(name)
    return cast("list[Any]", value) if isinstance(value, list) else []


def _objects(found: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [cast("dict[str, Any]", each) for each in _list(found, name) if isinstance(each, dict)]


def _seconds(retry_after: str | None) -> float:
    """The seconds of a `Retry-After`; 1 where it has none that can be read."""
    try:
        return max(0.0, float(retry_after or ""))
    except ValueError:
        return 1.0
