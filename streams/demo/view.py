"""The demo's live view and its last word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from models.decision import Action
from models.money import format_minor
from streams.demo.tally import Tally, percentile
from streams.show import STYLES, decision_line

_TOP_REASONS = 7


def live_view(tally: Tally, workers: int) -> RenderableType:
    """What the terminal shows while purchases stream."""
    decided = len(tally.actions)
    head = Text.assemble(
        ("Stopbank", "bold cyan"),
        f"   {workers} workers   ",
        (f"{tally.per_s():,.0f}", "bold"),
        " decisions/s   latency p50 ",
        (f"{percentile(tally.latencies_ms, 0.5)} ms", "bold"),
        "  p99 ",
        (f"{percentile(tally.latencies_ms, 0.99)} ms", "bold"),
    )
    progress = Columns(
        [
            ProgressBar(total=tally.expected, completed=decided, width=50),
            Text(f"{decided:,} of {tally.expected:,}"),
        ]
    )
    boxes = Columns([Panel(_actions(tally), title="decisions"), Panel(_reasons(tally), title="reasons")])
    blocks = Text("\n").join([decision_line(decision) for decision in tally.blocks])
    return Group(head, progress, boxes, Panel(blocks, title="last blocks", height=8))


def _actions(tally: Tally) -> Table:
    table = Table(box=None, show_header=False, min_width=28)
    for action in Action:
        count = tally.by_action[action]
        share = count / max(1, len(tally.actions))
        table.add_row(Text(action.value, STYLES[action]), f"{count:,}", f"{share:.1%}")
    return table


def _reasons(tally: Tally) -> Table:
    table = Table(box=None, show_header=False, min_width=36)
    for code, count in tally.reasons.most_common(_TOP_REASONS):
        table.add_row(code, f"{count:,}")
    return table


def status_line(tally: Tally) -> str:
    """The same in a line, for output that is no terminal."""
    actions = ", ".join(f"{action.value} {tally.by_action[action]}" for action in Action)
    return (
        f"{len(tally.actions)} of {tally.expected} decided ({actions}), {tally.per_s():.0f}/s, "
        f"p50 {percentile(tally.latencies_ms, 0.5)} ms, p99 {percentile(tally.latencies_ms, 0.99)} ms"
    )


def summary(tally: Tally, purchases: Sequence[Mapping[str, object]], fraud: frozenset[str]) -> RenderableType:
    """The decisions beside the labels. What has no label is taken as genuine."""
    table = Table("", title="decisions and labels")
    for action in Action:
        table.add_column(action.value, style=STYLES[action], justify="right")
    table.add_column("all", justify="right")
    for name, wanted in (("fraud", True), ("genuine", False)):
        ids = [str(p["transaction_id"]) for p in purchases if (p["transaction_id"] in fraud) is wanted]
        counts = [sum(1 for i in ids if tally.actions.get(i) == action) for action in Action]
        table.add_row(name, *(f"{count:,}" for count in counts), f"{len(ids):,}")
    stopped = {i for i, action in tally.actions.items() if action != Action.APPROVE}
    caught = len(stopped & fraud)
    return Group(
        table,
        Text(
            f"Of {len(fraud):,} frauds {caught:,} ({_share(caught, len(fraud))}) were blocked or flagged; "
            f"of {len(stopped):,} blocks and flags {_share(caught, len(stopped))} were fraud."
        ),
        Text(_amounts(tally, purchases, fraud)),
        Text(
            f"Latency from the broker's timestamp to the decision: p50 {percentile(tally.all_latencies_ms, 0.5)} ms, "
            f"p99 {percentile(tally.all_latencies_ms, 0.99)} ms."
        ),
    )


def _amounts(tally: Tally, purchases: Sequence[Mapping[str, object]], fraud: frozenset[str]) -> str:
    def total(action: Action, *, of_fraud: bool) -> str:
        amount = sum(
            int(str(p["amount"]))
            for p in purchases
            if p["currency"] == "CNY"
            and (p["transaction_id"] in fraud) is of_fraud
            and tally.actions.get(str(p["transaction_id"])) == action
        )
        return format_minor(amount, "CNY")

    return (
        f"Fraud blocked: {total(Action.BLOCK, of_fraud=True)}; fraud approved: {total(Action.APPROVE, of_fraud=True)}; "
        f"genuine blocked: {total(Action.BLOCK, of_fraud=False)} (purchases in CNY)."
    )


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "none"
