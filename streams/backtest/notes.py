"""What a reader of a backtest must know beside its figures, in words."""

from __future__ import annotations

from streams.backtest.contender import Party
from streams.backtest.report import Labels, Recorded


def notes_of(recorded: Recorded, new: Party, old: Party | None, labels: Labels | None) -> list[str]:
    """A sentence for each."""
    notes: list[str] = []
    if not recorded.purchases:
        notes.append("The recording has no purchase that could be decided on: all figures are of nothing.")
    if old is None:
        notes.append("No ruleset was recorded and none was named with --against: there is nothing to compare with.")
    if labels is None:
        notes.append("The recording has no labels: what is fraud is not known, and nothing is said about it.")
    else:
        notes += _about_labels(labels)
    for party in [new, *([old] if old is not None else [])]:
        notes += _about_money(party)
    return notes


def _about_labels(labels: Labels) -> list[str]:
    notes: list[str] = []
    if not labels.labelled:
        notes.append(
            f"No label counts: all {labels.too_young_labelled} are on purchases of the last "
            f"{labels.maturity_d:g} days; a shorter maturity counts more of them."
        )
    elif not labels.genuine and labels.unlabelled_as == "left-out":
        notes.append(
            "No label says genuine, so that precision tells nothing: `--unlabelled genuine` takes what has no label "
            "for good."
        )
    if labels.fraud_without_purchase:
        notes.append(
            f"Fraud labels that carry no purchase: {labels.fraud_without_purchase:,}. Here they count in rules that "
            "ask for `fraud`, live they could not."
        )
    return notes


def _about_money(party: Party) -> list[str]:
    rules, notes = party.file or "The rules that were in force last", list[str]()
    if party.no_rate:
        notes.append(
            f"Left out for want of a rate: {party.no_rate:,} of the purchases. {rules}: add their currencies under "
            "`rates`."
        )
    if party.account_records_without_rate:
        notes.append(
            f"Without effect for want of a rate: {party.account_records_without_rate:,} of the credit limits and "
            f"repayments. {rules}: add their currencies under `rates`."
        )
    return notes
