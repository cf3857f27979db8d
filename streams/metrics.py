"""Prometheus metrics of a worker. No account, card or device is ever a label."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, disable_created_metrics
from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from models.decision import Action
from rules.dead_letter import CONFLICT, FOREIGN, FUTURE, MALFORMED, NO_RATE, OVERSIZED

# Beside each counter it would give a gauge of when the counter was made: nobody asks, everybody stores it.
disable_created_metrics()

DEAD_LETTER_REASONS: Final = (MALFORMED, OVERSIZED, FUTURE, NO_RATE, CONFLICT, FOREIGN)
# Whether a reconciliation says that the answer was another than the decision, as a label.
DIFFERS: Final = {True: "true", False: "false"}

LATENCY_BUCKETS_S: Final = (
    0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5,
    1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip


class LatencyHistogram(Collector):
    """A histogram that takes many equal observations at once: a run of records shares its latency."""

    def __init__(self, name: str, documentation: str) -> None:
        self._name = name
        self._documentation = documentation
        self._counts = [0] * (len(LATENCY_BUCKETS_S) + 1)
        self._sum_s = 0.0

    def observe(self, latency_s: float, times: int = 1) -> None:
        """Count a latency `times` times."""
        self._counts[bisect_left(LATENCY_BUCKETS_S, latency_s)] += times
        self._sum_s += latency_s * times

    def collect(self) -> Iterable[Metric]:
        """The histogram as Prometheus wants it: cumulative buckets."""
        buckets: list[tuple[str, float]] = []
        total = 0
        for bound, count in zip((*map(str, LATENCY_BUCKETS_S), "+Inf"), self._counts, strict=True):
            total += count
            buckets.append((bound, total))
        family = HistogramMetricFamily(self._name, self._documentation)
        family.add_metric([], buckets=buckets, sum_value=self._sum_s)
        yield family


class LagCollector(Collector):
    """Records behind, asked for when Prometheus comes by."""

    def __init__(self, lags: Callable[[], Sequence[tuple[str, int, int]]]) -> None:
        self._lags = lags

    def collect(self) -> Iterable[Metric]:
        """One gauge for each partition that this worker owns."""
        family = GaugeMetricFamily(
            "stopbank_lag_records",
            "Records written and not yet finished by this worker, by partition",
            labels=["topic", "partition"],
        )
        for topic, partition, lag in self._lags():
            family.add_metric([topic, str(partition)], lag)
        yield family


class WorkerMetrics:
    """All metrics of one worker, in a registry of their own.

    What may happen is there with 0 before it first does: a rate over a series that begins at 1 misses the first.
    """

    def __init__(self, lags: Callable[[], Sequence[tuple[str, int, int]]]) -> None:
        self.registry = registry = CollectorRegistry()
        self.decisions = _counter(registry, "stopbank_decisions", "Purchases decided, each once", ["action"])
        self.rule_hits = _counter(
            registry, "stopbank_rule_hits", "Decisions in which a rule matched, live or in shadow", ["rule", "mode"]
        )
        self.repeats = _counter(
            registry, "stopbank_repeated_purchases", "Purchases sent again, answered with their first decision"
        )
        self.late = _counter(
            registry, "stopbank_late_purchases", "Purchases decided that were later than the allowed lateness"
        )
        self.dead_letters = _counter(
            registry, "stopbank_dead_letters", "Records that could not be used, by reason", ["reason"]
        )
        self.reconciliations = _counter(
            registry,
            "stopbank_reconciliations",
            "Degraded answers held against the full decision, each once, by whether they differ from it",
            ["differs"],
        )
        self.unreconciled = _counter(
            registry, "stopbank_unreconciled_answers", "Degraded answers forgotten before their full decision came"
        )
        self.expired = _counter(
            registry, "stopbank_expired_records", "Records that retention removed before they were read"
        )
        self.recovery_s = Gauge(
            "stopbank_recovery_seconds", "How long the last recovery of state took", registry=registry
        )
        self.ready = Gauge("stopbank_ready", "1 while every partition assigned is open, else 0", registry=registry)
        self.end_to_end_s = LatencyHistogram(
            "stopbank_decision_latency_seconds",
            "From the broker's timestamp on a purchase to its decision acknowledged",
        )
        self.in_process_s = LatencyHistogram(
            "stopbank_step_latency_seconds", "From a record taken in to its outputs acknowledged, within one worker"
        )
        build = Gauge("stopbank_build_info", "1; the version is in the label", ["version"], registry=registry)
        build.labels(version("stopbank")).set(1)
        for action in Action:
            self.decisions.labels(action.value)
        for reason in DEAD_LETTER_REASONS:
            self.dead_letters.labels(reason)
        for differs in DIFFERS.values():
            self.reconciliations.labels(differs)
        for collector in (self.end_to_end_s, self.in_process_s, LagCollector(lags)):
            registry.register(collector)
        ProcessCollector(registry=registry)


def _counter(registry: CollectorRegistry, name: str, documentation: str, labels: Sequence[str] = ()) -> Counter:
    return Counter(name, documentation, labels, registry=registry)
