"""The compiled function, the typed interpreter and the linter against a plain walk over the syntax tree.

Rules and purchases are generated; the reference shares nothing with the compiler but the parser.
"""

from __future__ import annotations

import orjson
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from models.decision import Reason
from rules.calendar import period_clock
from rules.language.check import check_text
from rules.language.compile import CompiledRuleset, Verdict
from rules.language.domains import domains_of
from rules.language.facts import Facts
from rules.language.interpreter import truth as typed_truth
from rules.language.satisfiable import Fate, fate_of
from tests.rules.language.generated import RuleFileText, rule_files, worlds
from tests.rules.language.reference import World, feature_key, judge, truth

# Texts of rules are large as random things go, and slow to draw.
DRAWN = settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
REASONS = TypeAdapter(list[Reason])


def values_of(compiled: CompiledRuleset, world: World) -> list[int | None]:
    return [world.features[feature_key(feature)] for feature in compiled.plan.features]


def evaluated(compiled: CompiledRuleset, world: World) -> Verdict:
    clears = [(1,) * len(feature.clearings) for feature in compiled.plan.features]
    values = values_of(compiled, world)
    return compiled.evaluate(world.purchase, world.amount, values, clears, world.anomaly, world.available, world.limit)


def facts_of(compiled: CompiledRuleset, world: World) -> Facts:
    clock, values = period_clock(world.zone), values_of(compiled, world)
    return Facts(world.purchase, world.amount, values, [], world.anomaly, world.available, world.limit, clock)


@DRAWN
@given(data=st.data(), file=rule_files())
def test_the_compiled_function_decides_as_a_walk_over_the_syntax_tree_does(
    data: st.DataObject, file: RuleFileText
) -> None:
    for _ in range(4):
        world = data.draw(worlds(file))
        action, final, ids, shadow = judge(file.rules, world)
        verdict = evaluated(file.compiled, world)
        assert [reason.rule for reason in verdict.reasons] == ids
        assert [reason.rule for reason in verdict.shadow] == shadow
        assert (verdict.action, verdict.final) == (action, final)
        told = [*verdict.reasons, *verdict.shadow]
        assert REASONS.validate_json(orjson.dumps([reason._asdict() for reason in told])) == told


@DRAWN
@given(data=st.data(), file=rule_files())
def test_the_typed_interpreter_gives_each_condition_the_same_of_three_truth_values(
    data: st.DataObject, file: RuleFileText
) -> None:
    slots = {feature.name: slot for slot, feature in enumerate(file.compiled.plan.features)}
    for _ in range(4):
        world = data.draw(worlds(file))
        facts = facts_of(file.compiled, world)
        for rule, condition in zip(file.rules, file.compiled.conditions, strict=True):
            expected = truth(rule.when, world)
            event(f"truth {expected}")
            assert typed_truth(condition, facts, slots) is expected


@DRAWN
@given(data=st.data(), file=rule_files())
def test_what_the_linter_calls_never_is_never_true_and_what_it_calls_always_is_never_false(
    data: st.DataObject, file: RuleFileText
) -> None:
    domains = domains_of(file.compiled.document)
    fates = [fate_of(condition, domains) for condition in file.compiled.conditions]
    said = [diagnostic.message for diagnostic in check_text(file.text, "drawn.yaml").diagnostics]
    for fate, words in ((Fate.NEVER, "this rule never matches"), (Fate.ALWAYS, "this rule always matches")):
        event(f"{fate}", fates.count(fate))
        assert sum(message.startswith(words) for message in said) == fates.count(fate)
    for _ in range(6):
        world = data.draw(worlds(file))
        for rule, fate in zip(file.rules, fates, strict=True):
            value = truth(rule.when, world)
            assert not (fate is Fate.NEVER and value is True)
            assert not (fate is Fate.ALWAYS and value is False)
