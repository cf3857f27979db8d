"""The demo's last word: the decisions beside what the labels say was fraud."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from models.decision import Action
from models.money import format_minor
from streams.demo.requests import DEADLINE_MS, RequestTally, degraded_words
from streams.demo.tally import Tally, percentile
from streams.show import STYLES


def summary(
    tally: Tally,
    requests: RequestTally,
    purchases: Sequence[Mapping[str, object]],
    fraud: frozenset[str],
    currency: str,
) -> RenderableType:
    """Counts, money and latency; `fraud` holds transaction ids, what is not there is taken as genuine.

    Money is summed over the purchases in `currency`.
    """
    table = Table("", title="decisions beside labels", title_justify="left")
    for action in Action:
        table.add_column(action.value, style=STYLES[action], justify="right")
    table.add_column("all", justify="right")
    for name, wanted in (("fraud", True), ("genuine", False)):
        ids = [str(p["transaction_id"]) for p in purchases if (p["transaction_id"] in fraud) is wanted]
        counts = [sum(1 for i in ids if tally.actions.get(i) == action) for action in Action]
        table.add_row(name, *(f"{count:,}" for count in counts), f"{len(ids):,}")
    stopped = {i for i, action in tally.actions.items() if action != Action.APPROVE}
    caught = len(stopped & fraud)
    p50, p99 = (percentile(tally.all_latencies_ms, share) for share in (0.5, 0.99))
    return Group(
        table,
        Text(
            f"Fraud caught: {caught:,} of {len(fraud):,} ({_share(caught, len(fraud))}) blocked or flagged; "
            f"of {len(stopped):,} blocks and flags {_share(caught, len(stopped))} were fraud."
        ),
        Text(_money(tally, purchases, fraud, currency)),
        Text(f"Latency from the broker's timestamp to the decision: p50 {p50:,} ms, p99 {p99:,} ms."),
        Text(_over_http(requests)),
    )


def _over_http(requests: RequestTally) -> str:
    p50, p99 = (percentile(requests.latencies_ms, share) for share in (0.5, 0.99))
    failed = f", {requests.failures.total():,} without an answer" if requests.failures else ""
    return (
        f"Over HTTP, with {DEADLINE_MS} ms for each: {requests.sent:,} purchases{failed}; p50 {p50:,} ms, "
        f"p99 {p99:,} ms; degraded {degraded_words(requests)}; breaker {requests.breaker or 'unknown'}."
    )


def _money(tally: Tally, purchases: Sequence[Mapping[str, object]], fraud: frozenset[str], currency: str) -> str:
    def total(action: Action, *, of_fraud: bool) -> str:
        amount_minor = sum(
            int(str(p["amount"]))
            for p in purchases
            if p["currency"] == currency
            and (p["transaction_id"] in fraud) is of_fraud
            and tally.actions.get(str(p["transaction_id"])) == action
        )
        return format_minor(amount_minor, currency)

    return (
        f"Fraud blocked: {total(Action.BLOCK, of_fraud=True)}; fraud approved: {total(Action.APPROVE, of_fraud=True)}; "
        f"genuine blocked: {total(Action.BLOCK, of_fraud=False)}."
    )


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "none"
