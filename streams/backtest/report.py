"""The report of a backtest: what it found, as `--json` prints it and as pages and summaries show it.

Money is in minor units of `BacktestReport.currency`, times are epoch milliseconds, shares run from 0 to 1. A share
or a quotient is None where nothing is there to divide by.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from models.decision import Action

PathName = Literal["columnar", "rows"]
Verdict = Literal["fraud", "genuine"]
Unlabelled = Literal["left-out", "genuine"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Recorded(_Part):
    """The recording, and what of it is not compared.

    `purchases` were read and are each there once; `repeats` came again with the same body and `conflicts` with
    another one within 24 hours of event time, `malformed`, `future` and `oversized` ones were refused, as they
    are live; none of these are compared. `bad_account_records` are credit limits and repayments that were
    refused, `bad_labels` labels that can't be read, `labels` the transactions that there is a label of. `first_ms` and
    `last_ms` are the event times of the first and the last purchase, None without purchases; `weeks` is how many
    calendar weeks lie between them, theirs included.
    """

    name: str
    purchases: int
    repeats: int
    conflicts: int
    malformed: int
    future: int
    oversized: int
    bad_account_records: int
    bad_labels: int
    labels: int
    first_ms: int | None
    last_ms: int | None
    weeks: int


class Acted(_Part):
    """How many purchases were decided so, and their amount; the shares are of all that were compared."""

    purchases: int
    amount_minor: int
    share: float | None
    amount_share: float | None


class Acts(_Part):
    """What a ruleset did, by action."""

    approve: Acted
    flag: Acted
    block: Acted


class RuleReport(_Part):
    """One rule and the purchases that it matched.

    `hits_alone` are those that no other live rule matched: what would be lost without it, or, for a shadow
    rule, what it would add. `labelled_hits` are the hits whose label counts (see `Labels`), `fraud_hits` those of them
    that were fraud, and `precision` is their quotient; all of these are None without labels.
    """

    rule: str
    code: str
    action: Action
    final: bool
    shadow: bool
    hits: int
    hits_alone: int
    amount_minor: int
    labelled_hits: int | None
    fraud_hits: int | None
    precision: float | None


class Side(_Part):
    """One of the rulesets, and what it did with the purchases.

    `file` is the rule file, or None for the ruleset that was in force last in the recording. `path` is how it was
    evaluated, with the reason in `rows_because` where it was row by row. `purchases_per_s` is the rate of its
    evaluation alone, reading the recording left out. For `no_rate` purchases it has no rate to its `currency`, which
    the money in its reasons is in.
    """

    ruleset: str
    version: str
    file: str | None
    currency: str
    path: PathName
    rows_because: str | None
    purchases_per_s: float | None
    no_rate: int
    actions: Acts
    rules: list[RuleReport]


class Cell(_Part):
    """The purchases that the old ruleset decided as `old` and the new one as `new`.

    `fraud` and `genuine` are those whose label counts (see `Labels`); None without labels.
    """

    old: Action
    new: Action
    purchases: int
    amount_minor: int
    fraud: int | None
    genuine: int | None


class Why(_Part):
    """A live rule that matched: what was compared, observed and allowed, in the units of `models.decision.Reason`."""

    rule: str
    code: str
    action: Action
    feature: str | None
    observed: int | float | str | None
    threshold: int | float | str | None


class Stamp(_Part):
    """The value of a feature under each ruleset; None where it is unknown, or where the ruleset does not ask it."""

    feature: str
    old: int | None
    new: int | None


class Flip(_Part):
    """A purchase that the two rulesets decide differently.

    `amount` is in minor units of `currency`, the purchase's own; `amount_minor` in the report's. `stamps` are the
    features of the live rules that matched under either ruleset, as both know these rules. `verdict` is its label,
    however young, or None.
    """

    transaction_id: str
    account_id: str
    event_time: int
    amount: int
    currency: str
    amount_minor: int
    old: Action
    new: Action
    old_reasons: list[Why]
    new_reasons: list[Why]
    stamps: list[Stamp]
    verdict: Verdict | None


class Flips(_Part):
    """All purchases that are decided differently, and `examples`: the largest by amount, largest first."""

    purchases: int
    amount_minor: int
    examples: list[Flip]


class Caught(_Part):
    """How well a ruleset told fraud from good purchases, over those whose label counts.

    True and false positives and negatives; `precision` is tp / (tp + fp), `recall` tp / (tp + fn),
    `false_positives_per_fraud` fp / tp. `amount_saved_minor` is the amount of tp, `amount_wrongly_stopped_minor` of
    fp, `amount_missed_minor` of fn.
    """

    tp: int
    fp: int
    fn: int
    tn: int
    precision: float | None
    recall: float | None
    false_positives_per_fraud: float | None
    amount_saved_minor: int
    amount_wrongly_stopped_minor: int
    amount_missed_minor: int


class Detection(_Part):
    """What counts as caught: what was `blocked`, or all that was `stopped`, by a block or a flag."""

    blocked: Caught
    stopped: Caught


class Labels(_Part):
    """What the recording's labels say, and which purchases count.

    Too young is a purchase whose event_time is later than `mature_until_ms`, `maturity_d` days before the
    recording's last purchase: its fraud may not be known yet. `too_young` are all of these, `too_young_labelled`
    those among them with a label. Of the others, `labelled` (`fraud` + `genuine`) count as their label says, and
    the `unlabelled` are left out, or count as genuine, as `unlabelled_as` says. `fraud_without_purchase`, where a
    ruleset asks for `fraud`, are recorded labels that say fraud and carry no purchase: live, rules can't count these;
    None where nothing asks.
    """

    maturity_d: float
    mature_until_ms: int
    unlabelled_as: Unlabelled
    labelled: int
    fraud: int
    genuine: int
    unlabelled: int
    too_young: int
    too_young_labelled: int
    fraud_without_purchase: int | None
    new: Detection
    old: Detection | None


class WeekSide(_Part):
    """What a ruleset did in a week: purchases by action, and what it caught (None without labels)."""

    approve: int
    flag: int
    block: int
    caught: Detection | None


class Week(_Part):
    """A calendar week in the report's time zone. `begins` is its Monday, like 2026-03-02."""

    begins: str
    begins_ms: int
    purchases: int
    amount_minor: int
    new: WeekSide
    old: WeekSide | None


class BacktestReport(_Part):
    """What the new ruleset does with the purchases of a recording, beside what the old one does.

    Compared are the purchases that both rulesets have a rate for: `compared` of them, `amount_minor` in all; shares,
    rules, matrix, weeks and labels are over these. `currency` and `time_zone` are the new ruleset's. `matrix` has
    a cell for each pair of actions, old by old. Without an old ruleset `old` and `flips` are None and `matrix` is
    empty; without labels `labels` is None. `notes` says in words what a reader must know beside.
    """

    recording: Recorded
    currency: str
    time_zone: str
    compared: int
    amount_minor: int
    new: Side
    old: Side | None
    matrix: list[Cell]
    flips: Flips | None
    weeks: list[Week]
    labels: Labels | None
    notes: list[str]
    elapsed_s: float
