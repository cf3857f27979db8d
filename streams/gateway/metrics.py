"""Prometheus metrics of a gateway. No account, card, device or API key is ever a label."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from rules.degraded import CAUSES, TIERS
from streams.gateway.breaker import BreakerState

# The tier of an answer that is the full decision; it has no cause.
FULL: Final = "full"
REQUEST_BUCKETS_S: Final = (
    0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.06, 0.075, 0.09, 0.1, 0.11,
    0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip


class _Now(Collector):
    """What is asked for when Prometheus comes by."""

    def __init__(self, breaker: Callable[[], BreakerState], queued: Callable[[], tuple[int, int, float]]) -> None:
        self._breaker = breaker
        self._queued = queued

    def collect(self) -> Iterable[Metric]:
        """The breaker's state, one series each, and the outbox."""
        states = GaugeMetricFamily(
            "stopbank_gateway_breaker_state", "1 for the state that the circuit breaker is in, else 0", labels=["state"]
        )
        current = self._breaker()
        for state in BreakerState:
            states.add_metric([state.value], state is current)
        yield states
        records, size_bytes, wait_s = self._queued()
        for name, documentation, value in (
            ("queued_records", "Records that wait to be written to Kafka", records),
            ("queued_bytes", "What they hold", size_bytes),
            ("queued_seconds", "How long the oldest of them has waited", wait_s),
        ):
            yield GaugeMetricFamily(f"stopbank_gateway_{name}", documentation, value)


class GatewayMetrics:
    """All metrics of one gateway, in a registry of their own; it is what the HTTP edge tells its measurements.

    What may happen is there with 0 before it first does.
    """

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._request_s = Histogram(
            "stopbank_gateway_request_seconds",
            "From a request's arrival to its answer",
            ["route", "status"],
            buckets=REQUEST_BUCKETS_S,
            registry=registry,
        )
        self._children: dict[tuple[str, int], Histogram] = {}
        self.in_flight_requests = Gauge(
            "stopbank_gateway_in_flight", "Requests that are being answered", registry=registry
        )
        self._answers = Counter(
            "stopbank_gateway_answers",
            "Answers to purchases, by tier and, for those without the full decision, by cause",
            ["tier", "cause"],
            registry=registry,
        )
        self.conflicts = _counter(registry, "conflicts", "Purchases whose transaction id was used with another body")
        self.refusals = _counter(registry, "refusals", "Purchases that workers refused")
        self.late_replies = _counter(registry, "late_replies", "Replies that came after their deadline")
        self.unrecorded = _counter(
            registry, "unrecorded", "Records that were not written: the outbox was full, or a broker refused them"
        )
        build = Gauge("stopbank_build_info", "1; the version is in the label", ["version"], registry=registry)
        build.labels(version("stopbank")).set(1)
        ProcessCollector(registry=registry)
        # A labelled counter's look-up costs more than its counting.
        tiers = {(FULL, ""): self._answers.labels(FULL, "")}
        tiers |= {(tier, cause): self._answers.labels(tier, cause) for tier in TIERS for cause in CAUSES}
        self._by_tier = tiers

    def watch(self, breaker: Callable[[], BreakerState], queued: Callable[[], tuple[int, int, float]]) -> None:
        """Tell the breaker's state, and the outbox's records, bytes and oldest wait in seconds."""
        self.registry.register(_Now(breaker, queued))

    def answered(self, tier: str, cause: str = "") -> None:
        """Count an answer to a purchase."""
        self._by_tier[tier, cause].inc()

    def observe(self, route: str, status: int, seconds: float) -> None:
        """A request to a route was answered after so many seconds."""
        # One series for each class of statuses: 2xx, 4xx and so on.
        key = route, status // 100
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._request_s.labels(route, f"{status // 100}xx")
        child.observe(seconds)

    def in_flight(self, requests: int) -> None:
        """So many requests are under way now."""
        self.in_flight_requests.set(requests)


def _counter(registry: CollectorRegistry, name: str, documentation: str) -> Counter:
    return Counter(f"stopbank_gateway_{name}", documentation, registry=registry)
