"""What the HTTP edge counts, as whoever keeps the metrics sees it."""

from __future__ import annotations

from typing import Protocol


class EdgeMetrics(Protocol):
    """Takes the edge's measurements."""

    def observe(self, route: str, status: int, seconds: float) -> None:
        """A request to a route (its template, never its path) was answered after so many seconds."""
        ...

    def in_flight(self, requests: int) -> None:
        """So many requests are under way now."""
        ...
