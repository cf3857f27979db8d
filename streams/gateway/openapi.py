"""The OpenAPI document of the gateway: what it takes and what it answers, as strictly as it is checked."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Any, Final

import orjson
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from models.fields import Identifier
from models.schema import json_schemas
from models.settlement import SettlementKind
from streams.gateway.api_key import KeyScope
from streams.gateway.inbound import DEADLINE_HEADER, MAX_DEADLINE_MS, REQUEST_ID_HEADER
from streams.gateway.problems import PROBLEM_JSON, PROBLEMS, REQUEST_PREFIX, TYPE_PREFIX
from streams.gateway.purchases import BODIES

_COMPONENTS: Final = "#/components/schemas/"
_KEY: Final = "apiKey"
_JSON: Final = "application/json"
_ADVICE: Final = """
Ask before you authorise: `POST /v1/decisions` answers a purchase within the deadline, whether or not the stream behind
the gateway does. The deadline counts from the request's arrival; send the body at once, for a gateway waits for the
rest of it, 5 s at most, and then answers 408. An answer that is not the full decision names its tier and its cause in
`degraded` and in the header `Stopbank-Degraded`. The same purchase sent again gets the same decision. What goes wrong
is told as problem details (RFC 9457), which name the field.
"""
_EVENT_TIME_MS: Final = 1_772_431_200_000
_PURCHASE: Final = {
    "transaction_id": "t-1001",
    "account_id": "a-17",
    "amount": 1999,
    "currency": "CNY",
    "event_time": _EVENT_TIME_MS,
    "merchant_id": "m-1001",
    "mcc": "5411",
}
_DECISION: Final[dict[str, Any]] = {
    "transaction_id": "t-1001",
    "account_id": "a-17",
    "action": "approve",
    "reasons": [],
    "shadow": [],
    "anomaly": None,
    "contributions": [],
    "features": {},
    "ruleset": "checkout",
    "ruleset_version": "d212d85aef169ca3",
    "amount": 1999,
    "currency": "CNY",
    "event_time": _EVENT_TIME_MS,
    "late": False,
    "degraded": [],
}
_SETTLEMENTS: Final[dict[str, Any]] = {
    "capture": {"account_id": "a-17", "amount": 1999, "currency": "CNY"},
    "void": {"account_id": "a-17"},
    "refund": {"account_id": "a-17", "refund_id": "r-1", "amount": 500, "currency": "CNY"},
}

DECIDE: Final = "decide"
LOOK_UP: Final = "lookUp"
STATUS: Final = "status"


def operation(name: str) -> dict[str, Any]:
    """What the document says of an operation: `decide`, `lookUp`, `status`, or a kind of settlement."""
    return _OPERATIONS[name]


def document(app: FastAPI) -> dict[str, Any]:
    """The whole document. Raises nothing; it is made once."""
    made = get_openapi(
        title="Stopbank gateway",
        version=version("stopbank"),
        description=_ADVICE.strip(),
        routes=app.routes,
        license_info={"name": "MIT", "identifier": "MIT"},
    )
    made["components"] = {
        "schemas": _schemas(),
        "securitySchemes": {
            _KEY: {
                "type": "http",
                "scheme": "bearer",
                "description": "An API key: `sb_<id>_<secret>`. Its scopes are "
                + ", ".join(f"`{scope}`" for scope in KeyScope)
                + "; each operation says which it needs.",
            }
        },
    }
    return made


@cache
def _schemas() -> dict[str, Any]:
    found: dict[str, Any] = {}
    records = json_schemas()
    for name in ("purchase", "decision", "settlement-result"):
        _hoist(_class_name(name), records[name], found)
    for kind, body in BODIES.items():
        _hoist(kind.capitalize(), TypeAdapter[Any](body).json_schema(), found)
    return {**found, "Problem": _PROBLEM, "Status": _STATUS}


def _hoist(name: str, schema: dict[str, Any], found: dict[str, Any]) -> None:
    """Put a schema, and what it refers to, among the components."""
    moved = orjson.loads(orjson.dumps(schema).replace(b"#/$defs/", _COMPONENTS.encode()))
    found |= moved.pop("$defs", {})
    found[name] = {key: value for key, value in moved.items() if key not in ("$schema", "$id")}


def _class_name(record: str) -> str:
    return "".join(part.capitalize() for part in record.split("-"))


def _ref(name: str) -> dict[str, str]:
    return {"$ref": _COMPONENTS + name}


_TEXT: Final = {"type": "string"}
_PROBLEM: Final[dict[str, Any]] = {
    "type": "object",
    "title": "Problem",
    "description": "Problem details (RFC 9457). Members beside these may be there.",
    "required": ["type", "title", "status", "detail", "instance"],
    "properties": {
        "type": {"enum": [TYPE_PREFIX + name for name in PROBLEMS]},
        "title": _TEXT,
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {**_TEXT, "description": "What is wrong, where, and how to mend it."},
        "instance": {**_TEXT, "pattern": f"^{REQUEST_PREFIX}[A-Za-z0-9._-]{{1,64}}$"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["field", "detail"],
                "properties": {"field": _TEXT, "detail": _TEXT},
                "additionalProperties": False,
            },
        },
        "fields": {"type": "array", "items": _TEXT, "description": "Of a conflict: the fields that differ."},
        "reason": {**_TEXT, "description": "Why the record can't be used, as in `dlq-reason`."},
        "code": {**_TEXT, "description": "Why a settlement was refused."},
        "result": {**_ref("SettlementResult"), "description": "Of a refused settlement."},
    },
}
_STATUS: Final[dict[str, Any]] = {
    "type": "object",
    "title": "Status",
    "description": "How this gateway is, now.",
    "required": ["breaker", "in_flight", "queued_records", "ruleset", "more"],
    "properties": {
        "breaker": {**_TEXT, "description": "closed, open or half-open"},
        "in_flight": {"type": "integer", "minimum": 0},
        "queued_records": {"type": "integer", "minimum": 0},
        "ruleset": {"type": ["string", "null"]},
        "more": {"type": "object"},
    },
    "additionalProperties": False,
}
_REQUEST_ID: Final = {
    REQUEST_ID_HEADER: {
        "description": "The request's id: the caller's, or a new one.",
        "schema": {**_TEXT, "pattern": "^[A-Za-z0-9._-]{1,64}$"},
    }
}
_RETRY_AFTER: Final = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}}
_HEADERS_OF: Final[dict[int, dict[str, Any]]] = {
    401: {"WWW-Authenticate": {"schema": _TEXT}},
    403: {"WWW-Authenticate": {"schema": _TEXT}},
    429: _RETRY_AFTER,
    503: _RETRY_AFTER,
}
_TRANSACTION: Final = {
    "name": "transaction_id",
    "in": "path",
    "required": True,
    "schema": TypeAdapter[Any](Identifier).json_schema(),
    "example": "t-1001",
}
_ACCOUNT: Final = {
    "name": "account_id",
    "in": "query",
    "required": False,
    "description": "The transaction's account. With it one partition is asked, without it all.",
    "schema": TypeAdapter[Any](Identifier).json_schema(),
    "example": "a-17",
}
_DEADLINE: Final = {
    "name": DEADLINE_HEADER,
    "in": "header",
    "required": False,
    "description": "Milliseconds from the request's arrival within which it is answered.",
    "schema": {"type": "integer", "minimum": 1, "maximum": MAX_DEADLINE_MS},
    "example": 100,
}


def _problems(*statuses: int) -> dict[str, Any]:
    """Responses that tell problems; what every operation may say is among them."""
    return {str(status): _problem(status) for status in sorted({401, 403, 422, 429, 500, *statuses})}


def _problem(status: int) -> dict[str, Any]:
    titles = [title for code, title in PROBLEMS.values() if code == status]
    return {
        "description": "; ".join(titles) + ".",
        "headers": {**_REQUEST_ID, **_HEADERS_OF.get(status, {})},
        "content": {PROBLEM_JSON: {"schema": _ref("Problem")}},
    }


def _answered(
    description: str, schema: str, headers: dict[str, Any] | None = None, example: object = None
) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": _ref(schema)}
    if example is not None:
        content["example"] = example
    return {
        "description": description,
        "headers": {**_REQUEST_ID, **(headers or {})},
        "content": {_JSON: content},
    }


def _body(schema: str, example: object) -> dict[str, Any]:
    return {"required": True, "content": {_JSON: {"schema": _ref(schema), "example": example}}}


def _secured(*scopes: KeyScope) -> dict[str, Any]:
    needed = " or ".join(f"`{scope}`" for scope in scopes)
    return {"security": [{_KEY: []}], "x-stopbank-scopes": list(scopes), "description": f"Needs the scope {needed}."}


_DEGRADED: Final = {
    "Stopbank-Degraded": {
        "description": "The tier that answered, and why it had to: only where the decision is not the full one.",
        "schema": {**_TEXT, "pattern": "^[a-z-]+; cause=[a-z-]+$"},
    }
}
_POSTED: Final = (400, 408, 413, 415)


def _settling(kind: str) -> dict[str, Any]:
    return {
        "summary": f"{kind.capitalize()} a purchase",
        **_secured(KeyScope.DECIDE),
        "parameters": [_TRANSACTION, _DEADLINE],
        "requestBody": _body(kind.capitalize(), _SETTLEMENTS[kind]),
        "responses": {
            "200": _answered("Applied, now or before.", "SettlementResult"),
            "202": _answered(
                "Kept, and not applied yet: its result comes on `settlements.results`.", "SettlementResult"
            ),
            **_problems(404, 409, 503, *_POSTED),
        },
    }


_OPERATIONS: Final[dict[str, dict[str, Any]]] = {
    DECIDE: {
        "summary": "Decide on a purchase",
        **_secured(KeyScope.DECIDE),
        "parameters": [_DEADLINE],
        "requestBody": _body("Purchase", _PURCHASE),
        "responses": {
            "200": _answered("The decision: approve, flag or block.", "Decision", _DEGRADED, _DECISION),
            **_problems(409, *_POSTED),
        },
    },
    LOOK_UP: {
        "summary": "Give a decision again",
        **_secured(KeyScope.DECIDE, KeyScope.READ),
        "parameters": [_TRANSACTION, _ACCOUNT, _DEADLINE],
        "responses": {"200": _answered("The decision that was given.", "Decision"), **_problems(404, 503)},
    },
    STATUS: {
        "summary": "How this gateway is",
        **_secured(KeyScope.ADMIN),
        "responses": {"200": _answered("Its breaker and what is under way.", "Status"), **_problems()},
    },
    **{kind.value: _settling(kind.value) for kind in SettlementKind if kind.value in BODIES},
}
