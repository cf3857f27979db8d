"""What the rules may cost, and what they must catch, over a winter of purchases."""

from __future__ import annotations

import pytest

RULES = "rules/checkout.yaml"


@pytest.fixture(scope="module")
def winter(load_recording):
    """Purchases of December to February, with labels of their fraud."""
    return load_recording("recordings/winter")


@pytest.fixture(scope="module")
def report(backtest, winter):
    """Fraud is labelled within days here, and what has no label was good."""
    return backtest(winter, RULES, maturity_d=7, unlabelled_as="genuine")


def test_few_purchases_are_stopped(report):
    """Everybody's purchases, good and bad."""
    assert report.new.actions.block.share < 0.03
    assert report.new.actions.flag.share < 0.01


def test_most_of_the_fraud_is_stopped(report):
    """Blocked or looked at, by number."""
    assert report.labels.new.stopped.recall > 0.75


def test_hardly_a_good_purchase_is_blocked(report):
    """A block that hits a good customer costs more than the purchase."""
    assert report.labels.new.blocked.precision > 0.95


@pytest.mark.parametrize("burst", [2, 4])
def test_another_limit_on_bursts_would_change_little(backtest, winter, burst):
    """Nobody can fall off an edge between two values."""
    report = backtest(winter, RULES, against=RULES, params={"burst": burst})
    assert report.flips.purchases < 30
