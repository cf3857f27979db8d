"""The rule files for the Handbook's set, and how well the number of matching rules ranks its payments.

The thresholds of `handbook.yaml` were chosen on the test weeks of 11 to 31 July 2018, whose labels are all known
when the week of 8 August begins; none was chosen on 1 to 14 August.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.datasets import CardPayment
from bench.handbook import TEST_WEEK, TEST_WEEKS, Quality, judge, mean_quality

_RULES: Final = Path(__file__).resolve().parent / "rules"
# Detection: its number of matching rules is a payment's risk.
DETECTION_RULES: Final = _RULES / "handbook.yaml"
# Speed: twelve velocity rules, and a parameter with 50 values to try.
VELOCITY_RULES: Final = _RULES / "twelve-accounts-terminals.yaml"


def judge_rules(payments: Sequence[CardPayment], matching: Sequence[int], first_day: int = TEST_WEEK) -> Quality:
    """Measure rules on the test week that begins on a day, counted from 1970-01-01.

    `matching[i]` is how many rules of the file match payment i, those in shadow too. Raises ValueError where
    it does not hold one number for each payment.
    """
    if len(matching) != len(payments):
        raise ValueError(f"{len(matching):,} numbers of matching rules for {len(payments):,} payments")
    return judge(payments, [float(rules) for rules in matching], first_day)


def judge_rules_on_all_weeks(payments: Sequence[CardPayment], matching: Sequence[int]) -> Quality:
    """Measure rules on the four test weeks, each figure averaged; three of the weeks come before the last."""
    return mean_quality([judge_rules(payments, matching, first_day) for first_day in TEST_WEEKS])
