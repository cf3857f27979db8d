"""Degraded answers: the rules that need no state say what they say in the full decision, else the amount decides."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from models.decision import Action, decode_decision, encode_decision
from models.money import MoneyError, convert_minor
from models.purchase import Purchase
from rules.decider import Decider, approval_of
from rules.degraded import (
    BREAKER_OPEN,
    DEADLINE,
    DEFAULT,
    NO_BROKER,
    OVERLOADED,
    STATELESS_RULES,
    AmountBand,
    DegradedAnswers,
    parse_bands,
)
from rules.degraded_text import read_answer
from rules.entity import transaction_hash
from rules.language import syntax
from rules.language.compile import CompiledRuleset, compile_ruleset
from rules.language.parser import parse_expression
from rules.language.stateless import stateless_part
from tests.rules.language.generated import RuleFileText, purchases, rule_files, worlds
from tests.rules.language.reference import World, judge

START_MS = 1_792_951_200_000
BANDS = parse_bands("approve<20000,flag<200000,block")
DRAWN = settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
OF_THE_ACCOUNT = {"anomaly", "available_credit", "credit_limit"}


def purchase(**fields: Any) -> Purchase:
    known: dict[str, Any] = {
        "transaction_id": "t-1",
        "account_id": "a-1",
        "amount": 500,
        "currency": "CNY",
        "event_time": START_MS,
        "merchant_id": "m-1",
        "mcc": "5411",
    }
    return Purchase(**(known | fields))


def ruleset(*rules: str, head: str = "") -> CompiledRuleset:
    return compile_ruleset(f"ruleset: a\n{head}\nrules:\n" + "".join(f"- {{{rule}}}\n" for rule in rules))


def answers(compiled: CompiledRuleset | None, bands: tuple[AmountBand, ...] = BANDS) -> DegradedAnswers:
    answering = DegradedAnswers(bands)
    answering.use(compiled)
    return answering


# -- which rules need no state ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "when",
    [
        "amount > 5.00",
        "mcc in @categories and amount > $limit",
        "hour < 6 or day_of_week in [6, 7]",
        "is_missing(device_id)",
        "attributes.n * 2 > 1",
        "instalments > 3",
        "true",
    ],
)
def test_a_rule_that_asks_the_purchase_alone_needs_no_state(when: str) -> None:
    head = "lists: {categories: ['5411']}\nparams: {limit: {value: 2.00}}"
    assert stateless_part(ruleset(f"id: r, when: '{when}', then: flag", head=head)).document.rules


@pytest.mark.parametrize(
    "when",
    [
        "count(account_id, 1h) > 1",
        "is_missing(count(device_id, 1h))",
        "not is_missing(since(account_id))",
        "amount > 1.00 and not (sum(amount, ip, 1h) < 2.00)",
        "amount * 2 > avg(amount, account_id, 1h) + 1.00",
        "amount > 1.00 or anomaly > 0.9",
        "is_missing(anomaly)",
        "amount > available_credit",
        "is_missing(credit_limit)",
        "distinct(device_id, account_id, 1h) in [1, 2]",
    ],
)
def test_a_rule_that_asks_anything_kept_needs_state_even_if_only_whether_it_is_missing(when: str) -> None:
    assert not stateless_part(ruleset(f"id: r, when: '{when}', then: flag")).document.rules


def names_in(node: Any) -> set[str]:
    """Every name and every call in an expression as it was written, by a walk over all that it is made of."""
    found: set[str] = set()
    if isinstance(node, syntax.Name):
        found.add(node.name)
    if isinstance(node, syntax.Call):
        found.add(f"{node.name}()")
    parts: Sequence[Any] = (
        cast(tuple[Any, ...], node)
        if isinstance(node, tuple)
        else [getattr(node, slot) for slot in getattr(node, "__slots__", ())]
    )
    return found.union(*(names_in(part) for part in parts)) if parts else found


def test_the_walk_of_this_test_sees_names_and_calls() -> None:
    file = ruleset("id: r, when: 'not (count(ip, 1h) > 2 and is_missing(anomaly))', then: flag")
    assert stateless_part(file).document.rules == []
    found = names_in(parse_expression(file.document.rules[0].when))
    assert found >= {"count()", "is_missing()", "anomaly"}


def stateless_rules(file: RuleFileText) -> list[Any]:
    def asks_state(when: Any) -> bool:
        names = names_in(when)
        return bool(OF_THE_ACCOUNT & names) or any(name.endswith("()") and name != "is_missing()" for name in names)

    return [rule for rule in file.rules if not asks_state(rule.when)]


# -- what they say ------------------------------------------------------------------------------------


def told_by_amount(amount_minor: int | None) -> Action:
    if amount_minor is None or amount_minor >= 200_000:
        return Action.BLOCK
    return Action.APPROVE if amount_minor < 20_000 else Action.FLAG


def amount_of(compiled: CompiledRuleset, asked: Purchase) -> int | None:
    try:
        return convert_minor(asked.amount, asked.currency, compiled.plan.currency, compiled.plan.rates)
    except MoneyError:
        return None


@DRAWN
@given(data=st.data(), file=rule_files(8))
def test_an_answer_is_what_a_walk_over_the_syntax_trees_of_the_stateless_rules_says(
    data: st.DataObject, file: RuleFileText
) -> None:
    answering, rules = answers(file.compiled), stateless_rules(file)
    assert [rule.id for rule in stateless_part(file.compiled).document.rules] == [rule.id for rule in rules]
    for _ in range(4):
        asked = data.draw(purchases(file.compiled))
        amount = amount_of(file.compiled, asked)
        assert amount is not None
        # Whatever is known of the account, these rules do not look at it.
        world: World = replace(data.draw(worlds(file)), purchase=asked, amount=amount)
        action, _, ids, shadow = judge(rules, world)
        answer = answering.answer(asked, DEADLINE)
        assert [reason.rule for reason in answer.reasons] == ids
        assert [reason.rule for reason in answer.shadow] == shadow
        tier = STATELESS_RULES if ids else DEFAULT
        event(tier)
        assert answer.degraded == [tier, DEADLINE]
        assert answer.action == (action if ids else told_by_amount(amount))
        assert (answer.ruleset, answer.ruleset_version) == (file.compiled.id, file.compiled.version)
        assert (answer.anomaly, answer.contributions, answer.features, answer.late) == (None, [], {}, False)
        assert read_answer(encode_decision(answer)) == answer


@DRAWN
@given(data=st.data(), file=rule_files(8))
def test_where_no_rule_needs_state_the_answer_is_the_full_decision(data: st.DataObject, file: RuleFileText) -> None:
    part = stateless_part(file.compiled)
    # Nothing matches: the full decision approves, and so does this default.
    answering = answers(part, parse_bands("approve"))
    for number in range(4):
        asked = data.draw(purchases(part)).model_copy(update={"transaction_id": f"t-{number}"})
        amount, transaction = amount_of(part, asked), transaction_hash(asked.transaction_id)
        assert amount is not None
        decider = Decider()
        account = decider.accounts.get(asked.account_id)
        values, told = decider.decide(part, account, asked, amount, transaction, (), late=False)
        full = told or approval_of(part, asked, values)
        answer = answering.answer(asked, OVERLOADED)
        event(f"reasons {len(full.reasons)}")
        assert answer._replace(degraded=[]) == full


# -- the default ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "action"),
    [
        (1, Action.APPROVE),
        (19_999, Action.APPROVE),
        (20_000, Action.FLAG),
        (199_999, Action.FLAG),
        (200_000, Action.BLOCK),
        (10**15, Action.BLOCK),
    ],
)
def test_where_no_stateless_rule_matches_the_amount_decides(amount: int, action: Action) -> None:
    answer = answers(ruleset("id: r, when: 'count(ip, 1h) > 1', then: block")).answer(
        purchase(amount=amount), BREAKER_OPEN
    )
    assert (answer.action, answer.degraded) == (action, [DEFAULT, BREAKER_OPEN])
    assert answer.reasons == []


def test_a_shadow_rule_is_told_and_decides_nothing() -> None:
    answer = answers(ruleset("id: r, when: amount > 0, then: block, mode: shadow")).answer(purchase(), DEADLINE)
    assert (answer.action, answer.degraded) == (Action.APPROVE, [DEFAULT, DEADLINE])
    assert [reason.code for reason in answer.shadow] == ["R"]


def test_an_allow_is_an_approval_though_the_amount_alone_would_be_blocked() -> None:
    answer = answers(ruleset("id: r, when: 'merchant_id in [\"m-1\"]', then: allow")).answer(
        purchase(amount=10**9), DEADLINE
    )
    assert (answer.action, answer.degraded) == (Action.APPROVE, [STATELESS_RULES, DEADLINE])


def test_the_amount_is_told_in_the_rulesets_currency() -> None:
    answering = answers(ruleset("id: r, when: 'count(ip, 1h) > 1', then: block", head="rates: {USD: 7, JPY: 0.05}"))
    assert answering.answer(purchase(amount=2_858, currency="USD"), DEADLINE).action == Action.FLAG
    assert answering.answer(purchase(amount=2_857, currency="USD"), DEADLINE).action == Action.APPROVE
    assert answering.answer(purchase(amount=3_999, currency="JPY"), DEADLINE).action == Action.APPROVE


def test_an_amount_without_a_rate_is_in_the_last_band_whatever_rules_say() -> None:
    answer = answers(ruleset("id: r, when: amount > 0, then: allow")).answer(purchase(currency="EUR"), DEADLINE)
    assert (answer.action, answer.degraded, answer.reasons) == (Action.BLOCK, [DEFAULT, DEADLINE], [])
    assert answer.ruleset == "a"


def test_before_any_ruleset_is_known_all_amounts_are_in_the_last_band() -> None:
    answer = DegradedAnswers(BANDS).answer(purchase(amount=1), NO_BROKER)
    assert (answer.action, answer.degraded) == (Action.BLOCK, [DEFAULT, NO_BROKER])
    assert (answer.ruleset, answer.ruleset_version) == ("", "")
    assert decode_decision(encode_decision(answer)) == answer


def test_the_rules_in_force_change_and_end() -> None:
    answering = answers(ruleset("id: r, when: amount > 0, then: flag"))
    assert answering.answer(purchase(), DEADLINE).action == Action.FLAG
    answering.use(ruleset("id: r, when: amount > 0, then: block"))
    assert answering.answer(purchase(), DEADLINE).action == Action.BLOCK
    answering.use(None)
    assert answering.answer(purchase(), DEADLINE).degraded == [DEFAULT, DEADLINE]


# -- bands ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "bands"),
    [
        ("block", [(None, Action.BLOCK)]),
        ("approve<1,block", [(1, Action.APPROVE), (None, Action.BLOCK)]),
        (
            " approve < 20000 , flag<200000,approve",
            [(20_000, Action.APPROVE), (200_000, Action.FLAG), (None, Action.APPROVE)],
        ),
        (f"flag<{10**18},block", [(10**18, Action.FLAG), (None, Action.BLOCK)]),
    ],
)
def test_bands_are_read(text: str, bands: list[tuple[int | None, Action]]) -> None:
    assert list(parse_bands(text)) == bands


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is no amount band: write approve, flag or block"),
        ("approve<20000,", "'' is no amount band"),
        ("allow<5,block", "'allow<5' is no amount band"),
        ("approve<20,000,block", "'000' is no amount band"),
        ("approve<-1,block", "'approve<-1' is no amount band"),
        ("approve<1.5,block", "'approve<1.5' is no amount band"),
        ("approve<٣,block", "'approve<٣' is no amount band"),
        ("approve<5", "the last band, approve<5, has a bound: end with an action for all larger amounts"),
        ("approve,block", "approve has no bound and is not the last band"),
        ("approve<5,flag<5,block", "flag<5 holds no amount: begin above 0 and let bounds ascend"),
        ("approve<9,flag<5,block", "flag<5 holds no amount"),
        ("approve<0,block", "approve<0 holds no amount"),
        (f"approve<{10**18 + 1},block", "is bounded beyond 10^18 minor units"),
    ],
)
def test_what_is_no_bands_is_explained(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parse_bands(text)
