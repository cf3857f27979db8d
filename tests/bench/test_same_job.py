"""What a worker is compared with does the same job: it decides as the rules do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from bench import least
from bench.bare_loop import same_step
from bench.quix_rules import decide
from bench.stage import RULES, purchases_ending_now
from rules.language.check import check_text
from rules.language.compile import compile_ruleset


class JsonState:
    """What Quix Streams gives of one account: values come back as JSON keeps them."""

    def __init__(self) -> None:
        self._values: dict[str, bytes] = {}

    def get(self, key: str, default: Any = None) -> Any:
        return orjson.loads(self._values[key]) if key in self._values else default

    def set(self, key: str, value: Any) -> None:
        self._values[key] = orjson.dumps(value)


def of_quix(_: str) -> Callable[[bytes], bytes]:
    states: dict[str, JsonState] = {}

    def answer(raw: bytes) -> bytes:
        purchase = orjson.loads(raw)
        return orjson.dumps(decide(purchase, states.setdefault(purchase["account_id"], JsonState())))

    return answer


@pytest.mark.parametrize(
    ("rules", "decider"),
    [("account_only", least.decider), ("account_only", of_quix), ("twelve_rules", least.decider)],
    ids=["least-account", "quix-account", "least-twelve"],
)
def test_each_decides_as_the_rules_do(rules: str, decider: Callable[[str], Callable[[bytes], bytes]]) -> None:
    file = RULES[rules].name
    by_rules, by_hand = same_step(file), decider(file)
    actions: set[str] = set()
    for record in purchases_ending_now(6_000):
        wanted, found = orjson.loads(by_rules(record.value)), orjson.loads(by_hand(record.value))
        assert found["action"] == wanted["action"]
        assert sorted(found["reasons"]) == sorted(reason["code"] for reason in wanted["reasons"])
        actions.add(found["action"])
    assert actions == {"approve", "flag", "block"}


def test_the_log_that_quix_keeps_drops_what_has_left_the_longest_window() -> None:
    state, day_ms = JsonState(), 24 * 3_600_000
    for time_ms in (0, 1, day_ms):
        purchase = {
            "transaction_id": str(time_ms),
            "account_id": "a",
            "amount": 100,
            "currency": "CNY",
            "event_time": time_ms,
        }
        decide(purchase, state)
    assert state.get("log") == [[1, day_ms], [100, 100]]


def test_the_sixty_rules_count_the_same_entities_as_the_twelve_and_share_what_they_count() -> None:
    sixty, twelve = (compile_ruleset(RULES[name].read_text(), name) for name in ("sixty_rules", "twelve_rules"))
    assert len(sixty.conditions) == 60
    assert {feature.entity for feature in sixty.plan.features} == {feature.entity for feature in twelve.plan.features}
    assert {feature.name for feature in twelve.plan.features} <= {feature.name for feature in sixty.plan.features}
    assert len(sixty.plan.features) <= 18


def test_no_rule_of_the_sixty_is_warned_of() -> None:
    checked = check_text(RULES["sixty_rules"].read_text(), "sixty-rules.yaml")
    assert not checked.diagnostics
