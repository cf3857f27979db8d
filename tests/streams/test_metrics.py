"""Metrics: read with Prometheus's own parser, named by its conventions, and of no person."""

from __future__ import annotations

import re

import pytest
from prometheus_client import Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from streams.metrics import DEAD_LETTER_REASONS, LATENCY_BUCKETS_S, WorkerMetrics

# Labels with few values, none of which is of a person, a card or a device.
LABELS = {"action", "reason", "rule", "mode", "topic", "partition", "le", "version", "differs"}
# Prometheus's base units, as far as they are used here; counts of things need none.
UNITS = ("_seconds", "_bytes", "_total", "_records", "_info", "_fds", "stopbank_ready")


def read(metrics: WorkerMetrics) -> dict[str, Metric]:
    text = generate_latest(metrics.registry).decode()
    return {family.name: family for family in text_string_to_metric_families(text)}


def value(metrics: WorkerMetrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


@pytest.fixture
def metrics() -> WorkerMetrics:
    metrics = WorkerMetrics(lambda: [("purchases", 0, 3), ("purchases", 1, 0)])
    metrics.rule_hits.labels("device-burst", "live").inc()
    return metrics


def test_everything_that_is_promised_is_there(metrics: WorkerMetrics) -> None:
    kinds = {name: family.type for name, family in read(metrics).items() if name.startswith("stopbank_")}
    assert kinds == {
        "stopbank_decisions": "counter",
        "stopbank_rule_hits": "counter",
        "stopbank_repeated_purchases": "counter",
        "stopbank_late_purchases": "counter",
        "stopbank_reconciliations": "counter",
        "stopbank_unreconciled_answers": "counter",
        "stopbank_dead_letters": "counter",
        "stopbank_expired_records": "counter",
        "stopbank_recovery_seconds": "gauge",
        "stopbank_ready": "gauge",
        "stopbank_build_info": "gauge",
        "stopbank_decision_latency_seconds": "histogram",
        "stopbank_step_latency_seconds": "histogram",
        "stopbank_lag_records": "gauge",
    }


def test_names_follow_the_conventions(metrics: WorkerMetrics) -> None:
    for family in read(metrics).values():
        name = family.name + ("_total" if family.type == "counter" else "")
        assert re.fullmatch(r"(stopbank|process)_[a-z_]+", name)
        assert name.endswith(UNITS), name
        assert family.documentation, name
        assert not name.endswith(("_ms", "_milliseconds", "_count_total"))


def test_labels_have_few_values_and_name_nobody(metrics: WorkerMetrics) -> None:
    used = {label for family in read(metrics).values() for sample in family.samples for label in sample.labels}
    assert used <= LABELS


def test_no_counter_has_a_gauge_of_its_birth_beside_it(metrics: WorkerMetrics) -> None:
    assert not [name for name in read(metrics) if name.endswith("_created")]


def test_what_may_happen_is_0_before_it_does(metrics: WorkerMetrics) -> None:
    for action in ("approve", "flag", "block"):
        assert value(metrics, "stopbank_decisions_total", action=action) == 0
    for reason in DEAD_LETTER_REASONS:
        assert value(metrics, "stopbank_dead_letters_total", reason=reason) == 0


def test_lag_is_asked_for_when_it_is_read(metrics: WorkerMetrics) -> None:
    assert value(metrics, "stopbank_lag_records", topic="purchases", partition="0") == 3
    assert value(metrics, "stopbank_lag_records", topic="purchases", partition="1") == 0


def test_a_histogram_counts_a_run_of_records_at_once(metrics: WorkerMetrics) -> None:
    metrics.end_to_end_s.observe(0.004, 300)
    metrics.end_to_end_s.observe(0.005)
    metrics.end_to_end_s.observe(100.0)
    name = "stopbank_decision_latency_seconds"
    assert value(metrics, f"{name}_bucket", le="0.003") == 0
    # A bound belongs to its bucket.
    assert value(metrics, f"{name}_bucket", le="0.005") == 301
    assert value(metrics, f"{name}_bucket", le="60.0") == 301
    assert value(metrics, f"{name}_bucket", le="+Inf") == value(metrics, f"{name}_count") == 302
    assert value(metrics, f"{name}_sum") == pytest.approx(0.004 * 300 + 0.005 + 100)


def test_buckets_ascend_and_tell_milliseconds_apart() -> None:
    assert list(LATENCY_BUCKETS_S) == sorted(set(LATENCY_BUCKETS_S))
    assert sum(bound <= 0.01 for bound in LATENCY_BUCKETS_S) >= 5
