"""What the demo counts and shows: tally, live view and summary, read as the text that a terminal gets."""

from __future__ import annotations

from collections import Counter
from io import StringIO
from typing import Any

import pytest
from rich.console import Console, RenderableType

from models.decision import Decision, Reason
from streams.demo.requests import DEADLINE_MS, RequestTally, degraded_words, goes_over_http, scheduled
from streams.demo.stage import stage_env
from streams.demo.summary import summary
from streams.demo.tally import BLOCKS_KEPT, Tally, percentile
from streams.demo.view import live_view, status_line
from streams.produce import OutgoingLine
from streams.settings import read_settings

BURST = Reason("burst", "DEVICE_BURST", "block", "count(device_id, 10m)", 6, 5)
LARGE = Reason("large", "LARGE", "flag", "sum(amount, merchant_id, 1h)", 1_523_210, 1_500_000)


def requests(**tiers: int) -> RequestTally:
    answered = sum(tiers.values())
    named = {name.replace("_", "-"): count for name, count in tiers.items()}
    return RequestTally(answered + 2, list(range(1, answered + 1)), Counter(named), breaker="half-open")


REQUESTS = requests(full=1_600, default=250, stateless_rules=150)


def decision(number: int, action: str, *reasons: Reason) -> Decision:
    return Decision(
        f"t-{number}", f"a-{number:05}", action, list(reasons), [], None, [], {}, "checkout", "v1", 123_456, "CNY",
        1_772_431_200_000 + number * 60_000, False, [],
    )  # fmt: skip


def text(what: RenderableType, width: int = 100) -> str:
    console = Console(file=StringIO(), record=True, width=width)
    console.print(what)
    return console.export_text()


def view(tally: Tally, width: int) -> str:
    return text(live_view(tally, REQUESTS, 2, "CNY", width), width)


@pytest.fixture
def tally() -> Tally:
    tally = Tally(expected=20)
    for number in range(12):
        tally.take(decision(number, "approve"), 10 + number)
    for number in range(12, 15):
        tally.take(decision(number, "flag", LARGE), 40)
    tally.take(decision(15, "block", LARGE, BURST), 90)
    return tally


# -- counting ---------------------------------------------------------------------------------------


def test_a_transaction_counts_once_however_often_it_is_announced(tally: Tally) -> None:
    tally.take(decision(15, "block", BURST), 500)
    assert tally.by_action == {"approve": 12, "flag": 3, "block": 1}
    assert tally.reasons == {"LARGE": 4, "DEVICE_BURST": 1}
    assert max(tally.all_latencies_ms) == 90


def test_all_is_done_when_every_purchase_is_decided(tally: Tally) -> None:
    assert not tally.done
    for number in range(16, 20):
        tally.take(decision(number, "approve"), 1)
    assert tally.done


def test_the_last_blocks_are_kept_and_no_more(tally: Tally) -> None:
    for number in range(100, 120):
        tally.take(decision(number, "block", BURST), 1)
    assert [d.transaction_id for d in tally.blocks] == [f"t-{n}" for n in range(120 - BLOCKS_KEPT, 120)]


def test_what_has_no_decision_is_known(tally: Tally) -> None:
    lines = [OutgoingLine("purchases", b"a", {"transaction_id": f"t-{n}"}) for n in (3, 99)]
    labels = [OutgoingLine("labels", b"a", {"transaction_id": "t-98"})]
    assert tally.undecided(lines + labels) == [lines[1]]


def test_decisions_a_second_are_those_of_the_last_seconds(tally: Tally) -> None:
    assert tally.per_s() == pytest.approx(16 / 5)
    assert Tally(1).per_s() == 0


@pytest.mark.parametrize(("share", "wanted"), [(0.0, 1), (0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100)])
def test_a_percentile_is_by_nearest_rank(share: float, wanted: int) -> None:
    assert percentile(list(range(100, 0, -1)), share) == wanted


def test_the_percentile_of_one_is_that_one_and_of_none_is_0() -> None:
    assert (percentile([7], 0.5), percentile([7], 0.99), percentile([], 0.5)) == (7, 7, 0)


# -- the view ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [80, 100, 110, 160])
def test_the_view_has_every_figure_at_every_width(tally: Tally, width: int) -> None:
    shown = view(tally, width)
    assert "16 of 20" in shown
    assert "2 workers" in shown
    for figure in ("12", "75.0%", "18.8%", "6.2%", "latency p50", "17", "latency p99", "90"):
        assert figure in shown
    assert "DEVICE_BURST 6 purchases on one device" in shown
    assert "1,234.56 CNY" in shown
    assert "2,000 answered   p50 1,000 ms   p99 1,980 ms   in flight 2" in shown
    assert "degraded 20.0% (default 12.5%, stateless-rules 7.5%)   breaker half-open" in shown
    assert all(len(line) <= width for line in shown.splitlines())


def test_a_block_can_be_read_to_its_end_in_100_columns(tally: Tally) -> None:
    assert "06:15Z a-00015  1,234.56 CNY DEVICE_BURST 6 purchases on one device in 10 min, limit 5 (+1)" in view(
        tally, 100
    )


@pytest.mark.parametrize("width", [80, 110])
def test_the_view_does_not_jump(tally: Tally, width: int) -> None:
    """From before the first decision to after many, nothing moves to another line."""
    heights = {len(view(Tally(20), width).splitlines()), len(view(tally, width).splitlines())}
    for number in range(100, 200):
        reason = BURST._replace(code=f"CODE_{number}", feature="count(device_id, 10m) " * 10)
        tally.take(decision(number, "block", reason), number * 1_000)
    heights.add(len(view(tally, width).splitlines()))
    assert len(heights) == 1


def test_the_newest_block_is_on_top(tally: Tally) -> None:
    tally.take(decision(30, "block", BURST), 1)
    shown = view(tally, 110)
    assert shown.index("a-00030") < shown.index("a-00015")


def test_one_line_says_the_same_where_there_is_no_terminal(tally: Tally) -> None:
    assert status_line(tally, requests(full=2)) == (
        "16 of 20 decided (approve 12, flag 3, block 1), 3/s, p50 17 ms, p99 90 ms; "
        "over HTTP 2, p50 1 ms, p99 2 ms, degraded 0.0%"
    )


# -- the summary ------------------------------------------------------------------------------------


def test_the_summary_sets_decisions_beside_labels(tally: Tally) -> None:
    purchases: list[dict[str, Any]] = [
        {"transaction_id": f"t-{n}", "amount": 100_000, "currency": "CNY" if n else "USD"} for n in range(16)
    ]
    fraud = frozenset({"t-15", "t-14", "t-11", "t-10"})
    lines = [
        " ".join(line.split()) for line in text(summary(tally, REQUESTS, purchases, fraud, "CNY"), 200).splitlines()
    ]
    assert "│ fraud │ 2 │ 1 │ 1 │ 4 │" in lines
    assert "│ genuine │ 10 │ 2 │ 0 │ 12 │" in lines
    assert "Fraud caught: 2 of 4 (50%) blocked or flagged; of 4 blocks and flags 50% were fraud." in lines
    assert "Fraud blocked: 1,000.00 CNY; fraud approved: 2,000.00 CNY; genuine blocked: 0.00 CNY." in lines
    assert "Latency from the broker's timestamp to the decision: p50 17 ms, p99 90 ms." in lines
    assert (
        f"Over HTTP, with {DEADLINE_MS} ms for each: 2,002 purchases; p50 1,000 ms, p99 1,980 ms; "
        "degraded 20.0% (default 12.5%, stateless-rules 7.5%); breaker half-open."
    ) in lines


def test_requests_without_an_answer_are_told() -> None:
    failed = RequestTally(3, [5], Counter(full=1), Counter(UnavailableError=2))
    assert failed.in_flight == 0
    assert "3 purchases, 2 without an answer;" in text(summary(Tally(0), failed, [], frozenset(), "CNY"), 200)


def test_a_summary_of_nothing_divides_by_nothing() -> None:
    assert "0 of 0 (none)" in text(summary(Tally(0), RequestTally(), [], frozenset(), "CNY"), 200)
    assert degraded_words(RequestTally()) == "0.0%"


# -- requests ---------------------------------------------------------------------------------------


def test_an_account_keeps_to_one_way_and_some_go_over_http() -> None:
    lines = [OutgoingLine("purchases", f"a-{n % 100}".encode(), {"transaction_id": f"t-{n}"}) for n in range(300)]
    limits = [OutgoingLine("accounts", f"a-{n}".encode(), {}) for n in range(100)]
    records = scheduled([*limits, *lines], 10)
    assert [record.due_s for record in records[:3]] == [0.0, 0.1, 0.2]
    chosen = [record for record in records if goes_over_http(record)]
    assert {record.topic for record in chosen} == {"purchases"}
    accounts = {record.key for record in chosen}
    assert 0 < len(accounts) < 30
    assert len(chosen) == 3 * len(accounts)


# -- the stage --------------------------------------------------------------------------------------


def test_the_demo_does_not_take_over_settings_meant_for_another_broker() -> None:
    env = {
        "PATH": "bin",
        "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092",
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "STOPBANK_TOPIC_PREFIX": "prod.",
        "STOPBANK_HTTP_PORT": "not a port",
    }
    made = stage_env(env, "127.0.0.1:20000")
    assert made["PATH"] == "bin"
    settings = read_settings(made)
    assert settings.kafka.bootstrap_servers == "127.0.0.1:20000"
    assert settings.kafka.security_protocol == "PLAINTEXT"
    assert settings.topic_prefix == ""
    assert not settings.idempotent
