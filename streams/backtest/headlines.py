"""What a report says first: its headline figures, and what a reader must know before using them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from models.decision import Action
from streams.backtest.report import BacktestReport, Caught, Flips, Labels
from streams.backtest.views import acted, sides
from streams.formats import Formats
from streams.pages.shell import Tile


def headline_tiles(report: BacktestReport, formats: Formats) -> list[Tile]:
    """The figures that decide whether the new ruleset is better; what is stopped is blocked or flagged."""
    tiles = [*_action_tiles(report, formats)]
    if report.labels is not None:
        tiles += _label_tiles(report.labels, formats)
    if report.flips is not None:
        tiles.append(_flips_tile(report, report.flips, formats))
    return tiles


def warnings(report: BacktestReport, formats: Formats) -> list[str]:
    """What is missing from the comparison, or was refused: a sentence for each such thing that there is."""
    recorded, labels = report.recording, report.labels
    no_rate = [
        (side.no_rate, f"Purchases without a rate to the currency of the {name} ruleset")
        for name, side in sides(report)
    ]
    counted = [
        (recorded.conflicts, "Purchases that came again with another body, and were left out"),
        (recorded.malformed, "Purchases that could not be read"),
        (recorded.future, "Purchases in the future of their record"),
        (recorded.oversized, "Purchases that are too large"),
        (recorded.bad_account_records, "Credit limits and repayments that were refused"),
        (recorded.bad_labels, "Labels that could not be read"),
        *no_rate,
    ]
    if labels is not None:
        carry_none = "Labels that say fraud and carry no purchase, so that rules can't count it live"
        counted.append((labels.fraud_without_purchase or 0, carry_none))
    return [f"{text}: {formats.count(count)}." for count, text in counted if count]


def _action_tiles(report: BacktestReport, formats: Formats) -> Iterator[Tile]:
    for action, word in ((Action.BLOCK, "blocked"), (Action.FLAG, "flagged")):
        new = acted(report.new, action)
        old = acted(report.old, action) if report.old else None
        yield Tile(
            f"Purchases {word}",
            formats.share(new.share),
            formats.share(old.share) if old else None,
            _from_to(formats.count(old.purchases) if old else None, formats.counted(new.purchases, "purchase")),
        )
        yield Tile(
            f"Amount {word}",
            formats.share(new.amount_share),
            formats.share(old.amount_share) if old else None,
            _from_to(formats.money(old.amount_minor) if old else None, formats.money_named(new.amount_minor)),
        )


def _label_tiles(labels: Labels, formats: Formats) -> Iterator[Tile]:
    new, old = labels.new.stopped, labels.old.stopped if labels.old else None

    def tile(label: str, show: Callable[[Caught], str], detail: str) -> Tile:
        return Tile(label, show(new), show(old) if old else None, detail)

    def money(of: Callable[[Caught], int]) -> Callable[[Caught], str]:
        return lambda caught: formats.money(of(caught))

    yield tile(
        "Fraud caught (recall)",
        lambda caught: formats.share(caught.recall),
        f"{_counts(old, new, formats)} of {formats.counted(labels.fraud, 'fraud')}",
    )
    yield tile(
        "Good purchases stopped",
        lambda caught: formats.count(caught.fp),
        f"{_per_fraud(old, new, formats)} per caught fraud",
    )
    yield tile(
        f"Amount saved ({formats.currency})",
        money(lambda caught: caught.amount_saved_minor),
        f"of fraud that was stopped; {formats.money(new.amount_missed_minor)} missed",
    )
    yield tile(
        f"Amount wrongly stopped ({formats.currency})",
        money(lambda caught: caught.amount_wrongly_stopped_minor),
        f"of good purchases; precision {_precision(old, new, formats)}",
    )


def _counts(old: Caught | None, new: Caught, formats: Formats) -> str:
    return _from_to(formats.count(old.tp) if old else None, formats.count(new.tp))


def _per_fraud(old: Caught | None, new: Caught, formats: Formats) -> str:
    before = formats.ratio(old.false_positives_per_fraud) if old else None
    return _from_to(before, formats.ratio(new.false_positives_per_fraud))


def _precision(old: Caught | None, new: Caught, formats: Formats) -> str:
    return _from_to(formats.share(old.precision) if old else None, formats.share(new.precision))


def _flips_tile(report: BacktestReport, flips: Flips, formats: Formats) -> Tile:
    share = formats.share(flips.purchases / report.compared if report.compared else None)
    amount = formats.money_named(flips.amount_minor)
    return Tile("Decided differently", formats.count(flips.purchases), None, f"{share} of purchases; {amount}")


def _from_to(old: str | None, new: str) -> str:
    return new if old is None else f"{old} → {new}"
