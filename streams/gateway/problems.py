"""What goes wrong with a request, as problem details (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from pydantic import ValidationError
from starlette.responses import Response

from models.problem import field_problems

PROBLEM_JSON: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:stopbank:problem:"
REQUEST_PREFIX: Final = "urn:stopbank:request:"
# More would help nobody to mend a record.
_MAX_ERRORS: Final = 20

# Status and title by the problem's name. A reason of a dead letter is a problem's name as well.
PROBLEMS: Final[Mapping[str, tuple[int, str]]] = {
    "malformed-json": (400, "The body is not JSON"),
    "unauthorized": (401, "No valid API key"),
    "forbidden": (403, "The API key may not do this"),
    "not-found": (404, "There is nothing at this path"),
    "unknown-transaction": (404, "No such transaction"),
    "method-not-allowed": (405, "The path has no such method"),
    "slow-body": (408, "The body did not arrive in time"),
    "conflict": (409, "The transaction was sent before, with another body"),
    "settlement-refused": (409, "The purchase is not in a state that allows this"),
    "body-too-large": (413, "The body is too large"),
    "unsupported-media-type": (415, "The body is not sent as plain JSON"),
    "invalid": (422, "The request does not fit its schema"),
    "card-number": (422, "The request holds a card number"),
    "future": (422, "The time is in the future"),
    "no-rate": (422, "The rules can't reckon with this currency"),
    "malformed": (422, "The record can't be used"),
    "oversized": (422, "The record is too large"),
    "too-many-requests": (429, "Too many requests"),
    "internal": (500, "The gateway failed"),
    "stream-away": (503, "No answer from the stream"),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem, by its name in PROBLEMS; `errors` are pairs of a field's path and what is wrong with it.

    `detail` says what is wrong and how to mend it, and tells nothing that a log must not hold. `more` are members
    beside the standard ones, `headers` go with the response.
    """

    name: str
    detail: str
    errors: Sequence[tuple[str, str]] = ()
    more: Mapping[str, Any] = field(default_factory=dict[str, Any])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def status(self) -> int:
        """The HTTP status."""
        return PROBLEMS[self.name][0]


class ProblemError(Exception):
    """A request ends with a problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.name)
        self.problem = problem


def failed(
    name: str, detail: str, errors: Sequence[tuple[str, str]] = (), headers: Mapping[str, str] | None = None
) -> ProblemError:
    """The error that ends a request with this problem."""
    return ProblemError(Problem(name, detail, errors, headers=headers or {}))


def invalid(where: str, sentence: str) -> ProblemError:
    """The error for one field that is not what it should be."""
    return failed("invalid", f"{where}: {sentence}", [(where, sentence)])


def invalid_record(error: ValidationError, what: str) -> ProblemError:
    """The error for a body that is not the record it should be. It quotes what is wrong: never for a log."""
    problems = field_problems(error)
    where, sentence = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    detail = f"{what}: {where or 'the record'}: {sentence}{more}"
    return failed("invalid", detail, problems[:_MAX_ERRORS])


def problem_response(problem: Problem, request_id: str) -> Response:
    """The response that tells a problem."""
    status, title = PROBLEMS[problem.name]
    told: dict[str, Any] = {
        "type": TYPE_PREFIX + problem.name,
        "title": title,
        "status": status,
        "detail": problem.detail,
        "instance": REQUEST_PREFIX + request_id,
    }
    if problem.errors:
        told["errors"] = [{"field": where, "detail": sentence} for where, sentence in problem.errors]
    body = orjson.dumps({**told, **problem.more})
    return Response(body, status, headers={**problem.headers, "Cache-Control": "no-store"}, media_type=PROBLEM_JSON)
