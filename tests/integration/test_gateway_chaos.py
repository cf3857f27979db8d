"""Two gateways under traffic while the workers are killed, the broker is away, and one of the two is killed."""

from __future__ import annotations

import asyncio
import gc
import signal
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from models.decision import Action
from models.purchase import Purchase
from rules.step import amount_in
from streams.broker.kafka import KafkaBroker
from streams.topics import DECISIONS, DEGRADED, RECONCILIATIONS
from tests.integration.cluster import Workers
from tests.integration.conftest import Tell
from tests.integration.gateway_traffic import Asked, Checkout, answers_of, percentile
from tests.integration.gateways import Gateway, Gateways
from tests.integration.ledger import hold, hold_reconciliations, read_ledger
from tests.integration.line import Line
from tests.integration.priority import let_give_way
from tests.integration.shopping import purchases_in, ruleset, shopping

SEED = 41
PER_S = 200
AWAY_S = 10.0
CALM_S = 3.0
DEADLINE_MS = 100
# What is allowed beyond the deadline; counted and told, and not asserted.
GRACE_MS = 10
# All of this runs on one machine: what has a deadline goes first, and still may have to wait so long for a processor.
MARGIN_MS = "20"
# No machine that is merely busy takes so long.
LATEST_MS = 8_000
RECOVERED_WITHIN_S = 80
PATIENCE_S, SLOW_PACE = 20, 0.1
# So many answers in a second tell how it goes.
LEAST = 10
# Beyond what a gateway has when it is warm: purchases of a whole outage lie in its outbox.
GROWTH_MB = 96
DEAR_MINOR, BANDS = 150_000, "approve<20000,flag<80000,block"
# Two stations on the way, so that it is short on a machine that runs all of this at once; `dear` needs no state.
RULES = """
ruleset: checkout
currency: CNY
time_zone: Asia/Shanghai
rates: {USD: 7.1}
allowed_lateness: 12h
max_rows: 4096
rules:
  - {id: over-credit, when: amount > available_credit, then: block, final: true}
  - {id: account-burst, when: "count(account_id, 10m) > 4", then: block}
  - {id: declined-before, when: "count(account_id, 1h, declined) >= 2", then: flag}
  - {id: device-burst, when: "count(device_id, 10m) > 5", then: block}
  - {id: device-farm, when: "distinct(account_id, device_id, 1h) >= 3", then: block}
  - {id: ip-burst, when: "count(ip, 1m) > 2 or distinct(account_id, ip, 10m) > 3", then: flag}
  - {id: dear, when: "amount > 1_500.00", then: flag}
"""


@dataclass
class Stage:
    """The line under traffic, and when what was done to it."""

    broker: KafkaBroker
    workers: Workers
    gateways: list[Gateway]
    checkout: Checkout
    marks: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    recovered_s: list[float] = field(default_factory=list[float])
    rss_mb: list[float] = field(default_factory=list[float])
    slow: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    async def calm(self) -> None:
        """Until full decisions come again, and a while longer."""
        asked_s = time.monotonic()
        deadline_s = asked_s + RECOVERED_WITHIN_S
        while not self._is_calm():
            for code in self.workers.reap():
                assert code != 0, "a worker left"
                self.workers.start()
            assert time.monotonic() < deadline_s, f"no full decisions after {RECOVERED_WITHIN_S} s"
            if time.monotonic() > asked_s + PATIENCE_S:
                # A machine with other things to do never makes up for what it missed at the full rate.
                self.checkout.pace = SLOW_PACE
            await asyncio.sleep(0.2)
        began_s = time.monotonic()
        self.recovered_s.append(round(began_s - asked_s, 1))
        await asyncio.sleep(CALM_S)
        self.mark(f"calm {len(self.marks)}", began_s)
        # Where the full rate was too much for the machine, the calm is one at the slow one.
        self.checkout.pace = 1.0

    def _is_calm(self) -> bool:
        """Most of the latest answers are full ones; how many depends on how busy the machine is."""
        answered = [one.answer for one in self.checkout.asked[-PER_S:] if one.answer is not None]
        latest = [reply for reply in answered if reply.sent_s > time.monotonic() - 1]
        return len(latest) >= LEAST and sum(not reply.degraded for reply in latest) > len(latest) / 2

    async def kill_workers(self) -> None:
        # In a thread: waiting for them to end must not hold up the checkout, which lives in this process.
        for worker in list(self.workers.alive):
            await asyncio.to_thread(self.workers.send, worker, signal.SIGKILL)
        began_s = time.monotonic()
        await asyncio.sleep(AWAY_S)
        self.mark("no worker", began_s)
        self.workers.start(2)

    async def stop_broker(self) -> None:
        await asyncio.to_thread(self.broker.stop)
        began_s = time.monotonic()
        await asyncio.sleep(AWAY_S)
        self.mark("no broker", began_s)
        starting = asyncio.create_task(asyncio.to_thread(self.broker.start))
        while not starting.done():
            self.let_broker_give_way()
            await asyncio.sleep(0.1)
        starting.result()

    def let_broker_give_way(self) -> None:
        """A broker that starts keeps both processors of a small machine busy for seconds."""
        for node in self.broker.nodes:
            if node.process.pid is not None:
                let_give_way(node.process.pid)

    async def kill_gateway(self) -> None:
        began_s = time.monotonic()
        self.gateways[0].stop(signal.SIGKILL)
        await asyncio.sleep(CALM_S)
        self.mark("one gateway", began_s)

    def note_slow(self, gateway: Gateway) -> None:
        """By its own clock, how many requests it answered too late so far, of how many."""
        self.slow.append(gateway.slower_than((DEADLINE_MS + GRACE_MS) / 1000))

    def mark(self, name: str, began_s: float) -> None:
        self.marks[name] = (began_s, time.monotonic())

    def during(self, name: str) -> list[Asked]:
        """What was asked in a phase, and due for an answer in it."""
        began_s, ended_s = self.marks[name]
        return [one for one in self.checkout.asked if began_s <= one.due_s < ended_s - DEADLINE_MS / 1000]


@pytest.mark.needs_kafka
@pytest.mark.timeout(400)
async def test_every_purchase_is_answered_whatever_is_away(own_broker: KafkaBroker, tmp_path: Path, tell: Tell) -> None:
    line = Line(own_broker.bootstrap_servers, "gateways")
    await line.set_up(RULES)
    sent = shopping(SEED, 24_000, accounts=2_400, ends_ms=int(time.time() * 1000))
    purchases = purchases_in(sent)
    over = asyncio.Event()
    with line.workers(tmp_path) as workers, Gateways(line, tmp_path) as gateways:
        workers.give_way = True
        workers.start(2)
        running = [await gateways.started(DEFAULT_ANSWERS=BANDS, MARGIN_MS=MARGIN_MS) for _ in range(2)]
        await line.send([one for one in sent if one.topic == "accounts"])
        await line.finish(workers, 60)
        key = str(gateways.shown)
        async with Checkout([each.url for each in running], key, deadline_ms=DEADLINE_MS) as checkout:
            stage = Stage(own_broker, workers, running, checkout)
            stage.let_broker_give_way()
            with uncollected():
                traffic = checkout.run(purchases, PER_S, SEED, over)
                await rage(stage, tell)
                over.set()
                await traffic
                await checkout.settled()
        await line.finish(workers, 90, supervised=True)
        counted = running[1].counted()
        stage.note_slow(running[1])
        slow, requests = map(sum, zip(*stage.slow, strict=True))
        tell(f"by the gateways' own clocks {slow} of {requests} took longer than {DEADLINE_MS + GRACE_MS} ms")
        verify_memory(stage, tell)
    asked = stage.checkout.asked
    verify_answered(stage, tell)
    verify_degraded(stage)
    assert counted == answers_of(asked, 1), "the metrics count other answers than the checkout got"
    hold(await read_ledger(line), ruleset(RULES), [one.purchase for one in asked])
    degraded = await line.read(DEGRADED)
    verify_published(stage, {record.value for record in degraded})
    again = hold_reconciliations(degraded, await line.read(DECISIONS), await line.read(RECONCILIATIONS))
    tell(f"{len(degraded)} degraded answers on the topic, {again} reconciliations written again")


@contextmanager
def uncollected() -> Generator[None]:
    """Keep Python from looking through all that there is now: that holds the checkout up for a tenth of a second."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


async def rage(stage: Stage, tell: Tell) -> None:
    """All that happens to the line, one thing after the other."""
    await stage.calm()
    stage.rss_mb = [gateway.memory_mb()[0] for gateway in stage.gateways]
    await stage.kill_workers()
    await stage.calm()
    await stage.stop_broker()
    await stage.calm()
    tell(f"full decisions after {stage.recovered_s} s: at the start, after the workers, after the broker")
    stage.note_slow(stage.gateways[0])
    tell(f"peak RSS of both gateways {[round(gateway.memory_mb()[1]) for gateway in stage.gateways]} MB")
    await stage.kill_gateway()


def verify_answered(stage: Stage, tell: Tell) -> None:
    """Every request got an answer. How late they were is told; a machine that is busy makes them later."""
    asked = stage.checkout.asked
    unanswered = [one for one in asked if one.answer is None]
    assert not unanswered, f"{len(unanswered)} of {len(asked)} have no answer, the first: {unanswered[0]}"
    for name in (*stage.marks, "all"):
        of_phase = asked if name == "all" else stage.during(name)
        late_ms = [one.late_ms for one in of_phase]
        beyond = sum(each > DEADLINE_MS + GRACE_MS for each in late_ms)
        tiers = Counter("/".join(one.answer.degraded) or "full" for one in of_phase if one.answer is not None)
        p50_ms, p99_ms = (percentile(late_ms, share) for share in (0.5, 0.99))
        tell(
            f"{name}: {len(late_ms)} answers, ms p50 {p50_ms:.1f} p99 {p99_ms:.1f} max {max(late_ms):.1f}, "
            f"{beyond} past deadline + {GRACE_MS} ms; {dict(tiers)}"
        )
    assert max(one.late_ms for one in asked) < LATEST_MS


def verify_degraded(stage: Stage) -> None:
    """Each degraded answer is the one of its tier, and each phase has its causes."""
    expected = degraded_answers()
    for one in stage.checkout.asked:
        for reply in one.replies:
            if reply.status == 200 and reply.degraded:
                assert (reply.degraded[0], reply.action) == expected(one.purchase), (one.purchase, reply)
    for name, away in (("no worker", ("breaker-open",)), ("no broker", ("breaker-open", "no-broker"))):
        causes = Counter(one.answer.degraded[1] for one in stage.during(name) if one.answer and one.answer.degraded)
        assert causes.keys() <= {"deadline", *away}, f"{name}: {causes}"
        assert causes["deadline"] < causes.total() / 2, f"{name}: the breaker never opened: {causes}"
        assert causes.total() == len(stage.during(name)), f"{name}: some decisions are full ones"
    for name in stage.marks:
        if name.startswith("calm"):
            answers = [one.answer for one in stage.during(name) if one.answer is not None]
            assert any(not answer.degraded for answer in answers), f"{name}: no full decision"


def verify_published(stage: Stage, texts: set[bytes]) -> None:
    """Each degraded answer that was given is on the topic, but for those that a gateway was killed with."""
    killed_s = stage.marks["one gateway"][0]
    replies = [reply for one in stage.checkout.asked for reply in one.replies if reply.status == 200 and reply.degraded]
    written = [reply for reply in replies if reply.gateway == 1 or reply.answered_s < killed_s - CALM_S / 2]
    missing = [reply for reply in written if reply.text not in texts]
    assert not missing, f"{len(missing)} of {len(written)} degraded answers were not published, like {missing[0]}"


def degraded_answers() -> Callable[[Purchase], tuple[str, str]]:
    """Tier and action of each purchase's degraded answer, told from the amount alone."""
    plan = ruleset(RULES).plan

    def expected(purchase: Purchase) -> tuple[str, str]:
        amount_minor = amount_in(plan, purchase)
        if amount_minor > DEAR_MINOR:
            return "stateless-rules", Action.FLAG
        if amount_minor < 20_000:
            return "default", Action.APPROVE
        return "default", Action.FLAG if amount_minor < 80_000 else Action.BLOCK

    return expected


def verify_memory(stage: Stage, tell: Tell) -> None:
    """What the outages left in the gateways' memory, and the most there ever was."""
    before_mb, (after_mb, peak_mb) = stage.rss_mb[1], stage.gateways[1].memory_mb()
    tell(f"RSS of the surviving gateway: {before_mb:.0f} MB warm, {peak_mb:.0f} MB peak, {after_mb:.0f} MB after")
    assert peak_mb - before_mb < GROWTH_MB
