"""The simulated world: deterministic, readable by the decoders, with the fraud that it labels."""

from __future__ import annotations

import gzip
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from statistics import mean
from typing import cast

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.account import decode_credit_limit, decode_repayment
from models.label import decode_label
from models.money import convert_minor
from models.purchase import Purchase, decode_purchase
from streams.produce import read_lines
from streams.simulate import (
    SimulatedEvent,
    SimulationConfig,
    simulate,
    write_events,
)
from streams.simulate.accounts import populate
from streams.simulate.clock import ShoppingClock
from streams.simulate.demo import DEMO, DEMO_RECORDING
from streams.simulate.draft import Draft
from streams.simulate.events import Topic
from streams.simulate.fraud import (
    SCENARIOS,
    Underworld,
    account_takeover,
    bust_out,
    card_testing,
    device_farm,
    fraudulent_drafts,
    merchant_collusion,
)
from streams.simulate.merchants import RATES, Market

START_MS = 1_772_431_200_000
SMALL = SimulationConfig(seed=1, accounts=60, purchases=1_000, start_ms=START_MS, duration_s=6 * 3600)
DECODERS: dict[str, Callable[[bytes], object]] = {
    "purchases": decode_purchase,
    "accounts": decode_credit_limit,
    "repayments": decode_repayment,
    "labels": decode_label,
}
EVENT = SimulatedEvent("labels", "a-1", {"verdict": "fraud"}, START_MS)
CONFIGS = st.builds(
    SimulationConfig,
    seed=st.integers(0, 2**64),
    accounts=st.integers(10, 60),
    purchases=st.integers(0, 200),
    start_ms=st.integers(946_684_800_000, 4_000_000_000_000),
    duration_s=st.floats(1, 1_000_000),
    fraud_share=st.floats(0, 1),
)


def purchases_of(events: Iterable[SimulatedEvent]) -> list[Purchase]:
    return [decode_purchase(orjson.dumps(event.value)) for event in events if event.topic == "purchases"]


def underworld(seed: int) -> Underworld:
    rng = Random(seed)
    market = Market(rng, SMALL.accounts)
    return Underworld(rng, SMALL, populate(rng, SMALL.accounts, market), market, campaigns=1)


def campaigns(scenario: Callable[[Underworld], list[Draft]]) -> list[list[Draft]]:
    return [scenario(underworld(seed)) for seed in range(20)]


def span_s(drafts: list[Draft]) -> float:
    return (drafts[-1].at_ms - drafts[0].at_ms) / 1000


def written(path: Path, events: Iterable[SimulatedEvent]) -> bytes:
    write_events(events, path)
    return path.read_bytes()


def read_events(path: Path) -> Iterator[SimulatedEvent]:
    for line in read_lines(path):
        assert isinstance(line.at_ms, int)
        yield SimulatedEvent(cast(Topic, line.topic), line.key.decode(), line.value, line.at_ms)


def test_the_same_config_gives_the_same_bytes(tmp_path: Path) -> None:
    first = written(tmp_path / "one.jsonl.gz", simulate(SMALL).events)
    assert written(tmp_path / "two.jsonl.gz", simulate(SMALL).events) == first


def test_another_seed_gives_other_purchases() -> None:
    other = SimulationConfig(2, SMALL.accounts, SMALL.purchases, START_MS, SMALL.duration_s)
    assert purchases_of(simulate(other).events) != purchases_of(simulate(SMALL).events)


@settings(max_examples=40, deadline=None)
@given(CONFIGS)
def test_whatever_the_config_the_events_keep_their_promises(config: SimulationConfig) -> None:
    events = simulate(config).events
    topics = Counter(event.topic for event in events)
    assert topics["purchases"] == config.purchases
    assert topics["labels"] == config.fraudulent_purchases
    assert [event.topic for event in events[: config.accounts]] == ["accounts"] * config.accounts
    assert topics["accounts"] == config.accounts
    times = [event.at_ms for event in events]
    assert times == sorted(times)
    assert all(config.start_ms <= at_ms < config.end_ms for at_ms in times)
    for event in events:
        DECODERS[event.topic](orjson.dumps(event.value))
        assert event.value["event_time"] == event.at_ms
        assert event.value["account_id"] == event.key


def test_ids_are_unique_and_rise_with_event_time() -> None:
    ids = [purchase.transaction_id for purchase in purchases_of(simulate(SMALL).events)]
    assert ids == sorted(set(ids))


def test_each_account_has_one_credit_limit() -> None:
    limits = [event.key for event in simulate(SMALL).events if event.topic == "accounts"]
    assert len(set(limits)) == len(limits) == SMALL.accounts
    assert {purchase.account_id for purchase in purchases_of(simulate(SMALL).events)} <= set(limits)


def test_a_label_says_fraud_and_follows_its_purchase() -> None:
    seen: dict[str, dict[str, object]] = {}
    for event in simulate(SMALL).events:
        if event.topic == "purchases":
            seen[event.value["transaction_id"]] = event.value
        if event.topic == "labels":
            assert event.value["verdict"] == "fraud"
            purchase = seen.pop(event.value["transaction_id"])
            assert event.key == purchase["account_id"]
            assert event.value["purchase"] == purchase


def test_labels_may_come_without_their_purchases_and_nothing_else_changes() -> None:
    whole, bare = simulate(SMALL).events, simulate(replace(SMALL, whole_labels=False)).events
    assert not any("purchase" in event.value for event in bare)
    assert [event for event in whole if event.topic != "labels"] == [e for e in bare if e.topic != "labels"]


def test_without_fraud_nothing_is_labelled() -> None:
    honest = SimulationConfig(1, 60, 500, START_MS, 3600.0, fraud_share=0.0)
    assert {event.topic for event in simulate(honest).events} <= {"accounts", "purchases", "repayments"}


@pytest.mark.parametrize("seed", range(3, 9))
def test_genuine_purchases_never_pass_the_credit_limit_nor_repayments_the_balance(seed: int) -> None:
    balances: defaultdict[str, int] = defaultdict(int)
    limits: dict[str, int] = {}
    # A low limit soon reached: many purchases for few accounts.
    crowded = SimulationConfig(seed, 10, 3_000, START_MS, 86_400.0, fraud_share=0.0)
    events = simulate(crowded).events
    assert any(event.topic == "repayments" for event in events)
    for event in events:
        if event.topic == "accounts":
            limits[event.key] = event.value["credit_limit"]
        elif event.topic == "repayments":
            balances[event.key] -= event.value["amount"]
            assert balances[event.key] >= 0
        else:
            balances[event.key] += convert_minor(event.value["amount"], event.value["currency"], "CNY", RATES)
            assert balances[event.key] <= limits[event.key]


def test_shoppers_keep_their_habits() -> None:
    honest = SimulationConfig(4, 50, 5_000, START_MS, 86_400.0, fraud_share=0.0)
    by_account: defaultdict[str, list[Purchase]] = defaultdict(list)
    for purchase in purchases_of(simulate(honest).events):
        by_account[purchase.account_id].append(purchase)
    home_shares = [
        Counter(purchase.ip for purchase in bought).most_common(1)[0][1] / len(bought) for bought in by_account.values()
    ]
    devices = [len({purchase.device_id for purchase in bought}) for bought in by_account.values()]
    assert mean(home_shares) > 0.75
    assert mean(devices) < 3


def test_nobody_shops_in_a_local_hour_without_weight() -> None:
    config = SimulationConfig(5, 50, 0, START_MS - 14 * 3_600_000, 86_400.0)
    morning_only = (0.0,) * 7 + (1.0,) * 3 + (0.0,) * 14
    clock, rng = ShoppingClock(config, morning_only), Random(5)
    # The local time is UTC+8: START_MS is two in the afternoon, the config starts at midnight.
    hours = {(clock.draw(rng) - config.start_ms) // 3_600_000 for _ in range(200)}
    assert hours == {7, 8, 9}


def test_card_testing_is_many_small_purchases_of_several_accounts_from_one_device() -> None:
    for drafts in campaigns(card_testing):
        assert len(drafts) >= 12
        assert max(draft.home_minor for draft in drafts) < 1_000
        assert len({draft.device for draft in drafts}) == len({draft.ip for draft in drafts}) == 1
        assert len({draft.account.account_id for draft in drafts}) >= 2
        assert len({draft.card for draft in drafts}) >= 2
        assert span_s(drafts) < 900


def test_an_account_takeover_is_a_new_device_and_address_and_high_amounts() -> None:
    for drafts in campaigns(account_takeover):
        (account,) = {draft.account.account_id: draft.account for draft in drafts}.values()
        assert {draft.device for draft in drafts}.isdisjoint(account.devices)
        assert account.home_ip not in {draft.ip for draft in drafts}
        assert min(draft.home_minor for draft in drafts) >= account.credit_limit_minor * 0.08 - 1


def test_a_device_farm_is_one_device_with_accounts_that_nobody_knew() -> None:
    for drafts in campaigns(device_farm):
        assert len({draft.device for draft in drafts}) == 1
        assert len({draft.account.account_id for draft in drafts}) >= 6
    shoppers = {account.account_id for account in underworld(1).population.shoppers}
    assert shoppers.isdisjoint(draft.account.account_id for draft in device_farm(underworld(1)))


def test_a_bust_out_runs_up_the_whole_limit_and_ends_the_shopping() -> None:
    for drafts in campaigns(bust_out):
        (account,) = {draft.account.account_id: draft.account for draft in drafts}.values()
        assert sum(draft.home_minor for draft in drafts) >= account.credit_limit_minor * 0.99
        assert account.closed_at_ms == drafts[0].at_ms
        assert span_s(drafts) < 3 * 3600


def test_merchant_collusion_is_round_high_amounts_of_a_ring_at_one_merchant() -> None:
    for drafts in campaigns(merchant_collusion):
        assert len({draft.merchant.merchant_id for draft in drafts}) == 1
        assert 2 <= len({draft.account.account_id for draft in drafts}) <= 10
        assert all(draft.home_minor % 50_000 == 0 and draft.home_minor >= 100_000 for draft in drafts)


def test_every_scenario_takes_place_in_the_demo() -> None:
    rng = Random(DEMO.seed)
    market = Market(rng, DEMO.accounts)
    world = Underworld(rng, DEMO, populate(rng, DEMO.accounts, market), market)
    drafts = fraudulent_drafts(world, DEMO.fraudulent_purchases)
    assert {draft.fraud for draft in drafts} == set(SCENARIOS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"accounts": 9}, "accounts is 9: it must be at least 10"),
        ({"purchases": -1}, "purchases is -1: it must be at least 0"),
        ({"fraud_share": 1.5}, "fraud_share is 1.5: it must be from 0 to 1"),
        ({"duration_s": 0.0}, "duration_s is 0.0: it must be at least 1 second"),
        ({"start_ms": 1_772_431_200}, "start_ms is 1772431200: it must be epoch milliseconds"),
    ],
)
def test_a_config_that_makes_no_sense_is_refused(change: dict[str, float], message: str) -> None:
    good = {"seed": 1, "accounts": 10, "purchases": 1, "start_ms": START_MS, "duration_s": 60.0}
    with pytest.raises(ValueError, match=message):
        SimulationConfig(**{**good, **change})  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("name", ["recording.jsonl", "recording.jsonl.gz"])
def test_a_file_of_events_is_read_as_it_was_written(tmp_path: Path, name: str) -> None:
    events = simulate(SMALL).events
    write_events(events, tmp_path / name)
    assert list(read_events(tmp_path / name)) == events


def test_a_file_of_events_is_one_json_line_an_event(tmp_path: Path) -> None:
    line = b'{"topic":"labels","key":"a-1","at_ms":1772431200000,"value":{"verdict":"fraud"}}\n'
    assert written(tmp_path / "r.jsonl", [EVENT, EVENT]) == line * 2
    packed = written(tmp_path / "r.jsonl.gz", [EVENT])
    assert gzip.decompress(packed) == line
    # Bytes 4 to 7 of a gzip file tell when it was made: zero, so that equal events are equal files.
    assert packed[4:8] == bytes(4)


def test_without_events_the_file_is_empty(tmp_path: Path) -> None:
    assert gzip.decompress(written(tmp_path / "r.jsonl.gz", [])) == b""


def test_the_shipped_recording_is_the_demo_simulation() -> None:
    path = Path(__file__).parents[2] / DEMO_RECORDING
    assert list(read_events(path)) == simulate(DEMO).events
    assert path.stat().st_size < 2_000_000
