"""How well scores rank fraud: area under the ROC curve, average precision, card precision."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]
Marks = NDArray[np.bool_]


def auc_roc(scores: Scores, is_fraud: Marks) -> float:
    """The probability that a fraud scores above a genuine purchase; ties count half."""
    hits, taken = _cumulated(scores, is_fraud)
    recall = hits / hits[-1]
    false_alarms = (taken - hits) / (taken[-1] - hits[-1])
    return float(np.trapezoid(np.r_[0.0, recall], np.r_[0.0, false_alarms]))


def average_precision(scores: Scores, is_fraud: Marks) -> float:
    """Precision at each distinct score, weighted by the recall that it adds (no interpolation)."""
    hits, taken = _cumulated(scores, is_fraud)
    recall = np.r_[0.0, hits / hits[-1]]
    return float(np.sum(np.diff(recall) * hits / taken))


def card_precision(days: Iterable[Sequence[tuple[str, float, bool]]], top: int, *, remove_detected: bool) -> float:
    """The share of each day's `top` highest-scored cards that are defrauded that day, averaged over days.

    A day is its payments' (card, score, is fraud). With `remove_detected`, as in the Handbook's own code,
    cards that were rightly among the top on one day are left out of the days that follow.
    """
    shares: list[float] = []
    detected: set[str] = set()
    for day in days:
        highest: dict[str, float] = {}
        defrauded: set[str] = set()
        for card, value, is_fraud in day:
            if remove_detected and card in detected:
                continue
            highest[card] = max(value, highest.get(card, value))
            if is_fraud:
                defrauded.add(card)
        chosen = sorted(highest, key=highest.__getitem__, reverse=True)[:top]
        hits = defrauded.intersection(chosen)
        shares.append(len(hits) / top)
        detected |= hits
    return float(np.mean(shares))


def _cumulated(scores: Scores, is_fraud: Marks) -> tuple[Scores, Scores]:
    """Frauds and purchases at or above each distinct score, from the highest down."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last_of_score = np.r_[ranked[1:] != ranked[:-1], True]
    hits = np.cumsum(is_fraud[order], dtype=np.float64)[last_of_score]
    taken = np.flatnonzero(last_of_score).astype(np.float64) + 1.0
    return hits, taken
