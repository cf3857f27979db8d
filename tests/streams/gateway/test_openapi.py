"""The gateway does what its OpenAPI document says, whatever is sent: no failure, no answer beside the document."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

import orjson
import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from schemathesis.config import SchemathesisConfig
from structlog.testing import capture_logs

from models.card_number import find_card_number
from models.fields import MAX_EVENT_TIME_MS
from models.money import CURRENCIES
from rules.language.compile import compile_ruleset
from streams.gateway.config import EdgeConfig
from tests.streams.gateway.conftest import Gateway
from tests.streams.gateway.memory import MemoryBackend

SEED = 20_260_301
EXAMPLES = 40

# Every currency can be reckoned with, no time is in the future, and nobody is too fast: what is left to refuse is
# what the document says.
RULES = compile_ruleset(
    f"""
ruleset: checkout
currency: CNY
rates: {{{", ".join(f"{code}: 1" for code in CURRENCIES if code != "CNY")}}}
max_rows: 32
rules:
  - {{id: large, when: amount >= 500, then: flag}}
  - {{id: burst, when: "count(account_id, 10m) > 2", then: block}}
"""
)
gateway = Gateway(
    MemoryBackend(RULES, broker_clock_ms=lambda: MAX_EVENT_TIME_MS),
    EdgeConfig(max_ahead_s=100 * 366 * 86_400, key_rate_per_s=1_000_000),
)
KEY = {"Authorization": f"Bearer {gateway.shown}"}


def without_tuples(schema: Any) -> Any:
    """A schema with an array's first entries described together: Schemathesis reads responses as of an older draft."""
    if isinstance(schema, list):
        return [without_tuples(each) for each in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    changed = {name: without_tuples(value) for name, value in cast("dict[str, Any]", schema).items()}
    if "prefixItems" in changed:
        changed["items"] = {"anyOf": changed.pop("prefixItems")}
    return changed


async def prepared() -> bytes:
    """The document; the purchase of its examples is decided, so that there is something to look up and to settle."""
    document = (await gateway.ask("GET", "/openapi.json")).body
    body: Any = orjson.loads(document)["paths"]["/v1/decisions"]["post"]["requestBody"]
    assert (await gateway.ask("POST", "/v1/decisions", body["content"]["application/json"]["example"])).status == 200
    return document


with capture_logs():
    DOCUMENT = asyncio.run(prepared())
config: Any = SchemathesisConfig.from_dict(  # pyright: ignore[reportUnknownMemberType]  # its types are half told
    {"seed": SEED, "generation": {"max-examples": EXAMPLES, "database": "none", "no-shrink": True}}
)
schema: Any = schemathesis.openapi.from_dict(without_tuples(orjson.loads(DOCUMENT)), config=config)
schema.app = gateway.app

# The years that the document can't tell of a text.
times: Any = st.datetimes(datetime(2000, 1, 2), datetime(2099, 12, 30), timezones=st.just(UTC))  # noqa: DTZ001  # bounds of a strategy have no zone
schemathesis.openapi.format("date-time", times.map(datetime.isoformat))

tried: dict[tuple[str, str], set[int]] = {}


def leaves(value: Any) -> Iterator[Any]:
    """Every value that holds no others."""
    if isinstance(value, dict):
        for entry in cast("dict[str, Any]", value).values():
            yield from leaves(entry)
    elif isinstance(value, list):
        for entry in cast("list[Any]", value):
            yield from leaves(entry)
    else:
        yield value


def is_whole_float(value: Any) -> bool:
    return isinstance(value, float) and value.is_integer()


@schema.hook
def filter_case(context: Any, case: Any) -> bool:
    """Leaves out what no schema can tell apart: card numbers, and whole numbers that are written with a point."""
    parts: list[Any] = [case.body, case.path_parameters, case.query]
    # Where nothing is generated there is a mark, and there may be bytes.
    found = [part for part in parts if type(part) in (dict, list, str, int, float)]
    return not any(find_card_number(part) or any(map(is_whole_float, leaves(part))) for part in found)


@pytest.fixture(autouse=True)
def told(request: pytest.FixtureRequest) -> Iterator[None]:
    """What went wrong is told with the seed, and without a line for each request."""
    sys.stdout.write(f"seed {SEED}\n")
    with capture_logs():
        yield


@schema.parametrize()
@settings(deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.function_scoped_fixture])
def test_each_operation_answers_as_the_document_says(case: Any) -> None:
    response = case.call(headers=KEY)
    mode = "explicit" if case.meta is None else case.meta.generation.mode.value
    tried.setdefault((case.operation.label, mode), set()).add(response.status_code)
    case.validate_response(response, headers=KEY)


# What each operation answered, beside others, to what fits the document and to what does not.
ANSWERS = {
    "POST /v1/decisions": ({200, 409}, {400, 401, 405, 415, 422}),
    "GET /v1/decisions/{transaction_id}": ({200, 404}, {401, 405, 422}),
    "POST /v1/purchases/{transaction_id}/capture": (set[int](), {400, 401, 405, 415, 422}),
    "POST /v1/purchases/{transaction_id}/void": (set[int](), {400, 401, 405, 415, 422}),
    "POST /v1/purchases/{transaction_id}/refund": (set[int](), {400, 401, 405, 415, 422}),
    "GET /v1/status": ({200}, {401, 405}),
}


def test_each_operation_was_tried_with_what_fits_and_with_what_does_not() -> None:
    if len({label for label, _ in tried}) < len(ANSWERS):
        pytest.skip("some operations were not tried: run the whole file")
    assert {label for label, _ in tried} == set(ANSWERS)
    for label, (fits, fits_not) in ANSWERS.items():
        assert tried[label, "positive"] >= fits, label
        assert tried[label, "positive"] & {200, 202}, label
        assert tried[label, "negative"] >= fits_not, label
