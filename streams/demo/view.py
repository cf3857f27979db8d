"""The demo's live view: what a fraud lead watches while purchases stream."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from rich.bar import Bar
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from models.decision import Action, Decision
from models.money import format_minor
from streams.demo.requests import DEADLINE_MS, RequestTally, degraded_words
from streams.demo.tally import BLOCKS_KEPT, Tally, percentile
from streams.show import STYLES, shortened, telling_first
from streams.wording import reason_words

_TOP_REASONS: Final = 6
_REQUEST_LINES: Final = 2
_BORDERS: Final = 2
_BAR_CHARS: Final = 10
# In fewer columns, whose purchase it was gives way to why it was blocked.
_WIDE: Final = 100


def live_view(tally: Tally, requests: RequestTally, workers: int, currency: str, width: int) -> RenderableType:
    """What a terminal of this many columns shows; of one height, whatever was decided.

    `currency` is the ruleset's.
    """
    boxes = Table.grid(expand=True)
    boxes.add_column(ratio=5)
    boxes.add_column(ratio=4)
    boxes.add_row(_box(_numbers(tally), "decisions", _TOP_REASONS), _box(_reasons(tally), "top reasons", _TOP_REASONS))
    return Group(
        _head(tally, workers),
        Padding(boxes, (1, 0, 0, 0)),
        _box(_requests(requests), f"over HTTP, {DEADLINE_MS} ms for each", _REQUEST_LINES),
        _box(_blocks(tally, currency, narrow=width < _WIDE), "last blocks", BLOCKS_KEPT),
    )


def _box(content: RenderableType, title: str, rows: int) -> Panel:
    return Panel(content, title=title, title_align="left", border_style="dim", height=rows + _BORDERS)


def _head(tally: Tally, workers: int) -> RenderableType:
    decided = len(tally.actions)
    line = Table.grid(expand=True, padding=(0, 1))
    line.add_column(no_wrap=True)
    line.add_column(ratio=1)
    # As wide as it will get, so that the bar does not move.
    line.add_column(no_wrap=True, justify="right", min_width=2 * len(f"{tally.expected:,}") + 4)
    line.add_column(no_wrap=True)
    line.add_row(
        Text("Stopbank", "bold cyan"),
        ProgressBar(total=max(1, tally.expected), completed=decided, complete_style="cyan", finished_style="green"),
        f"{decided:,} of {tally.expected:,}",
        Text(f"{workers} worker{'' if workers == 1 else 's'}", "dim"),
    )
    return line


def _numbers(tally: Tally) -> RenderableType:
    """Actions with their shares, then how fast."""
    decided = max(1, len(tally.actions))
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True, min_width=11)
    table.add_column(no_wrap=True, justify="right", min_width=7)
    table.add_column(no_wrap=True, justify="right", min_width=6)
    table.add_column(no_wrap=True)
    for action in Action:
        count = tally.by_action[action]
        share = count / decided
        bar = Bar(1, 0, share, width=_BAR_CHARS, color=STYLES[action].removeprefix("bold "))
        table.add_row(Text(action.value, STYLES[action]), f"{count:,}", f"{share:.1%}", bar)
    table.add_row("decided", Text(f"{tally.per_s():,.0f}", "bold"), Text("per s", "dim"))
    for name, share in (("latency p50", 0.5), ("latency p99", 0.99)):
        table.add_row(name, Text(f"{percentile(tally.latencies_ms, share):,}", "bold"), Text("ms", "dim"))
    return table


def _requests(requests: RequestTally) -> RenderableType:
    """What came of the requests to the gateway: how long they took, then who answered."""
    p50, p99 = (percentile(requests.latencies_ms, share) for share in (0.5, 0.99))
    times = Text.assemble(
        (f"{len(requests.latencies_ms):,}", "bold"), " answered   p50 ", (f"{p50:,}", "bold"), (" ms", "dim"),
        "   p99 ", (f"{p99:,}", "bold"), (" ms", "dim"), "   in flight ", (f"{requests.in_flight:,}", "bold"),
    )  # fmt: skip
    tiers = Text.assemble("degraded ", (degraded_words(requests), "bold"), "   breaker ", (requests.breaker, "bold"))
    for line in (times, tiers):
        line.no_wrap, line.overflow = True, "ellipsis"
    return Group(times, tiers)


def _reasons(tally: Tally) -> RenderableType:
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True, min_width=17, overflow="ellipsis")
    table.add_column(no_wrap=True, justify="right", min_width=5)
    table.add_column(no_wrap=True)
    top = tally.reasons.most_common(_TOP_REASONS)
    for code, count in top:
        table.add_row(code, f"{count:,}", Bar(top[0][1], 0, count, width=_BAR_CHARS, color="cyan"))
    return table


def _blocks(tally: Tally, currency: str, *, narrow: bool) -> RenderableType:
    """The last blocks, newest first."""
    table = Table.grid(expand=True, padding=(0, 1))
    table.add_column(no_wrap=True, style="dim")
    if not narrow:
        table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right", min_width=13)
    table.add_column(no_wrap=True, style="red")
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for decision in reversed(tally.blocks):
        at, account, *rest = _block(decision, currency)
        table.add_row(at, *([] if narrow else [account]), *rest)
    return table


def _block(decision: Decision, currency: str) -> tuple[str, str, str, str, str]:
    at = datetime.fromtimestamp(decision.event_time / 1000, UTC).strftime("%H:%MZ")
    amount = format_minor(decision.amount, decision.currency)
    first, *others = telling_first(decision)
    more = f" (+{len(others)})" if others else ""
    return at, shortened(decision.account_id), amount, first.code, reason_words(first, currency) + more


def status_line(tally: Tally, requests: RequestTally) -> str:
    """The same in a line, for output that is no terminal."""
    actions = ", ".join(f"{action.value} {tally.by_action[action]:,}" for action in Action)
    return (
        f"{len(tally.actions):,} of {tally.expected:,} decided ({actions}), {tally.per_s():,.0f}/s, "
        f"p50 {percentile(tally.latencies_ms, 0.5)} ms, p99 {percentile(tally.latencies_ms, 0.99)} ms; over HTTP "
        f"{len(requests.latencies_ms):,}, p50 {percentile(requests.latencies_ms, 0.5)} ms, "
        f"p99 {percentile(requests.latencies_ms, 0.99)} ms, degraded {degraded_words(requests)}"
    )
