"""The candidates that no other beats: more fraud stopped is better, and fewer good purchases stopped."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Standing(NamedTuple):
    """Where a candidate stands: fraud stopped, good purchases stopped, and how many parameters it changes."""

    number: int
    fraud: int
    good: int
    changes: int


def pareto_front(standings: Iterable[Standing]) -> list[int]:
    """The numbers of the candidates on the front, from the fewest good purchases stopped on.

    A candidate is on it if no other stops as much fraud with fewer good purchases, or more fraud with no more of
    them. Of those that stand alike the one with the fewest changes is on it, or else the first.
    """
    front: list[int] = []
    most_fraud = -1
    for standing in sorted(standings, key=lambda each: (each.good, -each.fraud, each.changes, each.number)):
        if standing.fraud > most_fraud:
            front.append(standing.number)
            most_fraud = standing.fraud
    return front
