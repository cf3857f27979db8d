"""The page of a backtest: each of its figures is the report's, and nothing leaves or enters it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from models.decision import Action
from streams.backtest.page import render_page
from streams.backtest.report import Acted, Acts, BacktestReport, Caught, RuleReport, WeekSide
from tests.streams.backtest.sample_report import sample_report
from tests.streams.pages.parsed_page import ParsedPage

REPORT = sample_report()


@pytest.fixture(scope="module")
def page() -> ParsedPage:
    return ParsedPage(render_page(REPORT))


def number(text: str) -> int:
    return int(text.replace(",", ""))


def minor(text: str) -> int:
    """An amount of a currency with two decimals, which are always written."""
    assert re.fullmatch(r"[\d,]+\.\d\d", text), text
    return int(Decimal(text.replace(",", "")) * 100)


def same_share(text: str, share: float | None) -> bool:
    if share is None or text in ("n/a", "<0.01%", ">99.99%"):
        return {"n/a": share is None, "<0.01%": 0 < (share or 0) < 0.00005, ">99.99%": 0.99995 <= (share or 0) < 1}[
            text
        ]
    assert re.fullmatch(r"\d+\.\d\d%", text), text
    return abs(float(text[:-1]) / 100 - share) <= 0.000051


def same_ratio(text: str, value: float | None) -> bool:
    return text == "n/a" if value is None else abs(float(text.replace(",", "")) - value) <= 0.0051


def test_the_page_holds_the_whole_report_as_json(page: ParsedPage) -> None:
    (held,) = page.json_of(id="report")
    assert json.loads(held) == REPORT.model_dump(mode="json")
    assert BacktestReport.model_validate_json(held) == REPORT


def test_the_actions_are_those_of_the_report(page: ParsedPage) -> None:
    assert REPORT.old is not None
    for action in Action:
        sides: list[Acted] = [getattr(side.actions, action) for side in (REPORT.old, REPORT.new)]
        row = page.tables["acts"].row(action.value)
        assert [number(text) for text in row[:2]] == [side.purchases for side in sides]
        assert all(same_share(text, side.share) for text, side in zip(row[2:4], sides, strict=True))
        assert [minor(text) for text in row[4:6]] == [side.amount_minor for side in sides]
        assert all(same_share(text, side.amount_share) for text, side in zip(row[6:], sides, strict=True))


def test_the_matrix_is_that_of_the_report(page: ParsedPage) -> None:
    assert page.tables["matrix"].head == [["old \\ new", "approve", "flag", "block"]]
    shown = {old: [number(text) for text in page.tables["matrix"].row(old.value)] for old in Action}
    assert shown == {old: [cell.purchases for cell in REPORT.matrix if cell.old == old] for old in Action}
    for cell in REPORT.matrix:
        purchases, amount, fraud, genuine, rest = page.tables["changes"].row(f"{cell.old.value} → {cell.new.value}")
        assert (number(purchases), minor(amount)) == (cell.purchases, cell.amount_minor)
        assert (number(fraud), number(genuine)) == (cell.fraud, cell.genuine)
        assert number(fraud) + number(genuine) + number(rest) == cell.purchases


def rules_by_name(rules: list[RuleReport]) -> dict[str, RuleReport]:
    return {rule.rule: rule for rule in rules}


def shown_rules(page: ParsedPage) -> Iterator[tuple[str, str, list[str]]]:
    """The rows of the rules' table: a rule's name stands at the first of its rows."""
    name = ""
    for row in page.tables["rules-hit"].rows:
        if row[0] not in ("old", "new"):
            name, *row = row
        yield name, row[0], row[1:]


def test_the_rules_are_those_of_the_report(page: ParsedPage) -> None:
    assert REPORT.old is not None
    sides = {"old": rules_by_name(REPORT.old.rules), "new": rules_by_name(REPORT.new.rules)}
    shown = list(shown_rules(page))
    assert [name for name, side, _ in shown if side == "new"] == [*sides["new"], *(sides["old"].keys() - sides["new"])]
    for name, side, cells in shown:
        rule = sides[side].get(name)
        if rule is None:
            assert cells == ["not in this ruleset"]
            continue
        action, code, hits, alone, amount, labelled, fraud, precision = cells
        assert action == rule.action.value + ", final" * rule.final + ", shadow" * rule.shadow
        assert (code, number(hits), number(alone)) == (rule.code, rule.hits, rule.hits_alone)
        assert (minor(amount), number(labelled), number(fraud)) == (
            rule.amount_minor,
            rule.labelled_hits,
            rule.fraud_hits,
        )
        assert same_share(precision, rule.precision)


def same(texts: list[str], field: str, sides: list[Caught]) -> bool:
    """Whether texts are a field's values, each side's in turn."""
    values: list[Any] = [getattr(side, field) for side in sides]
    if field.endswith("_minor"):
        return [minor(text) for text in texts] == values
    if field in ("tp", "fp", "fn", "tn"):
        return [number(text) for text in texts] == values
    compare: Callable[[str, float | None], bool] = same_share if field in ("precision", "recall") else same_ratio
    return all(compare(text, value) for text, value in zip(texts, values, strict=True))


def test_what_was_caught_is_what_the_report_says(page: ParsedPage) -> None:
    assert REPORT.labels is not None
    assert REPORT.labels.old is not None
    old, new = REPORT.labels.old, REPORT.labels.new
    fields = list(Caught.model_fields)
    rows = [row[1:5] for row in page.tables["caught"].rows]
    assert len(rows) == len(fields)
    for field, row in zip(fields, rows, strict=True):
        assert same(row, field, [old.stopped, new.stopped, old.blocked, new.blocked]), field


def test_the_counts_of_labels_are_those_of_the_report(page: ParsedPage) -> None:
    labels = REPORT.labels
    assert labels is not None
    shown = [number(row[1]) for row in page.tables["label-counts"].rows]
    assert shown == [
        labels.labelled,
        labels.fraud,
        labels.genuine,
        labels.unlabelled,
        labels.too_young,
        labels.too_young_labelled,
        labels.fraud_without_purchase,
    ]


def of_kind(week: list[WeekSide], kind: str) -> list[Caught]:
    return [getattr(side.caught, kind) for side in week]


def test_the_weeks_are_those_of_the_report(page: ParsedPage) -> None:
    judged = 0
    for week in REPORT.weeks:
        assert week.old is not None
        sides = [week.old, week.new]
        cells = page.tables["weeks-acts"].row(week.begins)
        assert (number(cells[0]), minor(cells[1])) == (week.purchases, week.amount_minor)
        acts = [getattr(side, action) for action in ("approve", "flag", "block") for side in sides]
        assert [number(text) for text in cells[2:]] == acts
        stopped = of_kind(sides, "stopped")
        if not sum((stopped[0].tp, stopped[0].fp, stopped[0].fn, stopped[0].tn)):
            continue
        judged += 1
        for kind, end in (("stopped", ""), ("blocked", "-blocked")):
            caught = page.tables[f"weeks-caught{end}"].row(week.begins)
            amounts = page.tables[f"weeks-amounts{end}"].row(week.begins)
            for place, field in enumerate(("precision", "recall", "tp", "fn", "fp")):
                assert same(caught[2 * place : 2 * place + 2], field, of_kind(sides, kind)), field
            for place, field in enumerate(
                ("amount_saved_minor", "amount_wrongly_stopped_minor", "amount_missed_minor")
            ):
                assert same(amounts[2 * place : 2 * place + 2], field, of_kind(sides, kind)), field
    assert 0 < judged == len(page.tables["weeks-caught"].rows) < len(REPORT.weeks)


def test_the_tiles_show_what_changes(page: ParsedPage) -> None:
    assert REPORT.old is not None
    assert REPORT.flips is not None
    tiles = {label: (value.split(" → "), detail) for label, value, detail in page.tiles}
    for word, action in (("blocked", Action.BLOCK), ("flagged", Action.FLAG)):
        sides: list[Acted] = [getattr(side.actions, action) for side in (REPORT.old, REPORT.new)]
        shares, counts = tiles[f"Purchases {word}"]
        assert all(same_share(text, side.share) for text, side in zip(shares, sides, strict=True))
        counted = counts.removesuffix(" purchases").split(" → ")
        assert [number(text) for text in counted] == [side.purchases for side in sides]
        shares, amounts = tiles[f"Amount {word}"]
        assert all(same_share(text, side.amount_share) for text, side in zip(shares, sides, strict=True))
        named = amounts.removesuffix(" CNY").split(" → ")
        assert [minor(text) for text in named] == [side.amount_minor for side in sides]
    assert number(tiles["Decided differently"][0][0]) == REPORT.flips.purchases


def test_the_tiles_show_what_is_caught_and_what_it_costs(page: ParsedPage) -> None:
    assert REPORT.labels is not None
    assert REPORT.labels.old is not None
    tiles = {label: value.split(" → ") for label, value, _ in page.tiles}
    sides = [REPORT.labels.old.stopped, REPORT.labels.new.stopped]
    assert same(tiles["Fraud caught (recall)"], "recall", sides)
    assert same(tiles["Good purchases stopped"], "fp", sides)
    assert same(tiles["Amount saved (CNY)"], "amount_saved_minor", sides)
    assert same(tiles["Amount wrongly stopped (CNY)"], "amount_wrongly_stopped_minor", sides)


def test_every_flip_is_shown_with_its_reasons_and_values(page: ParsedPage) -> None:
    assert REPORT.flips is not None
    rows = page.tables["flips-shown"].rows
    assert len(rows) == 2 * len(REPORT.flips.examples)
    for flip, shown, (why,) in zip(REPORT.flips.examples, rows[::2], rows[1::2], strict=True):
        transaction, change, amount, label, time, account = shown
        assert (transaction, account) == (flip.transaction_id, flip.account_id)
        assert change == f"{flip.old.value} → {flip.new.value}"
        assert minor(amount[: amount.index(".") + 3]) == flip.amount_minor
        assert amount.endswith(" USD") == (flip.currency == "USD")
        assert label == (flip.verdict or "none")
        # All of it in the report's time zone, eight hours ahead of UTC.
        assert datetime.fromisoformat(f"{time}+08:00").timestamp() == flip.event_time // 1000
        assert all(reason.code in why and reason.rule in why for reason in (*flip.old_reasons, *flip.new_reasons))
        assert all(stamp.feature in why for stamp in flip.stamps)


def test_reasons_are_in_the_currency_of_their_ruleset() -> None:
    report = sample_report(2_000)
    assert report.old is not None
    page = ParsedPage(render_page(report.model_copy(update={"old": report.old.model_copy(update={"currency": "EUR"})})))
    told = "".join(row[0] for row in page.tables["flips-shown"].rows[1::2])
    # The rule night-and-large is one of the old ruleset alone.
    assert "amount 6,400.00 EUR, limit 5,000.00" in told
    assert "amount 6,400.00 CNY, limit 5,000.00" not in told


def test_what_was_left_out_is_counted(page: ParsedPage) -> None:
    recorded = REPORT.recording
    shown = {row[0]: number(row[1]) for row in page.tables["recorded"].rows}
    assert shown == {
        "Compared": REPORT.compared,
        "Purchases": recorded.purchases,
        "Calendar weeks": recorded.weeks,
        "Repeats": recorded.repeats,
        "Conflicts": recorded.conflicts,
        "Malformed": recorded.malformed,
        "Future": recorded.future,
        "Oversized": recorded.oversized,
        "Account records refused": recorded.bad_account_records,
        "Labels": recorded.labels,
        "Labels refused": recorded.bad_labels,
    }


def test_every_figure_on_a_chart_stands_in_a_table(page: ParsedPage) -> None:
    cells = {cell for table in page.tables.values() for row in table.rows for cell in row}
    figures = [json.loads(text) for text in page.json_of(**{"class": "figure"})]
    assert len(figures) == 11
    for figure in figures:
        for trace in figure["data"]:
            told = [hover.rpartition(": ")[2] for hover in trace["customdata"]]
            assert told
            assert {text.replace("&lt;", "<") for text in told if text} <= cells


def test_a_report_without_labels_says_so_and_shows_the_rest() -> None:
    report = sample_report(300, labels=False)
    page = ParsedPage(render_page(report))
    assert "The recording has no labels" in "".join(page.texts)
    assert "caught" not in page.tables
    assert [label for label, _, _ in page.tiles if "raud" in label] == []
    assert number(page.tables["matrix"].row("approve")[0]) == report.matrix[0].purchases


def test_a_report_of_one_ruleset_compares_with_nothing() -> None:
    report = sample_report(300, against=False)
    page = ParsedPage(render_page(report))
    assert not {"matrix", "changes", "flips-shown"} & page.tables.keys()
    assert [number(text) for text in page.tables["acts"].row("block")[:1]] == [report.new.actions.block.purchases]
    assert not [value for _, value, detail in page.tiles if "→" in value + detail]


def test_a_report_of_nothing_is_a_page_all_the_same() -> None:
    none = {"purchases": 0, "amount_minor": 0, "share": None, "amount_share": None}
    some = sample_report(300, against=False, labels=False)
    new = some.new.model_copy(
        update={"rules": [], "actions": Acts.model_validate(dict.fromkeys(("approve", "flag", "block"), none))}
    )
    recording = some.recording.model_copy(update={"purchases": 0, "first_ms": None, "last_ms": None, "weeks": 0})
    empty = some.model_copy(
        update={"recording": recording, "compared": 0, "amount_minor": 0, "new": new, "weeks": [], "notes": []}
    )
    page = ParsedPage(render_page(empty))
    assert page.tables["acts"].row("block") == ["0", "n/a", "0.00", "n/a"]
    assert not page.code, "no chart, so no library for charts"
