"""The page of a sweep: its figures are the report's, it stands alone, and what others chose is text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streams.formats import Formats
from streams.timeline.labels import LabelTable
from streams.tune.options import Limits, RuleText, TuneOptions
from streams.tune.page import render_page
from streams.tune.report import Figures, TuneReport
from streams.tune.run import run_tune
from streams.tune.words import changes_in_words
from tests.streams.pages.browser import needs_chromium, open_page
from tests.streams.pages.parsed_page import ParsedPage
from tests.streams.tune.story import record_stream

RULES = """\
ruleset: checkout
rates: {USD: 7.1}
params:
  burst: {value: 5, try: [1, 2, 3, 8]}
  large: {value: 500.00, try: [300.00, 400.00]}
  reach: {value: 10m, try: [1h, 48h], description: How far back}
rules:
  - {id: device-burst, when: "count(device_id, $reach) > $burst", then: block}
  - {id: large, when: amount > $large, then: flag}
"""
HOSTILE = """</script><script>alert(1)</script><img/src=x/onerror=alert(2)>&'"-->{{7*7}}\u202e"""
FORMATS = Formats("CNY", "Asia/Shanghai")


@contextmanager
def quiet(what: str, total: int) -> Generator[Callable[[int], None], None, None]:
    yield lambda done: None


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> TuneReport:
    recording = record_stream(tmp_path_factory.mktemp("page") / "recording", 8, 150)
    options = TuneOptions(maturity_ms=0, limits=Limits(max_flag_share=0.5, max_block_share=0.5))
    rules = RuleText(RULES, "rules.yaml", "rules.yaml")
    made = run_tune(recording, rules, LabelTable.read(recording), options, quiet)
    assert made.best, "a candidate that changes something"
    return made


@pytest.fixture(scope="module")
def page(report: TuneReport) -> ParsedPage:
    return ParsedPage(render_page(report))


@pytest.fixture(scope="module")
def hostile(report: TuneReport) -> str:
    """A page whose every text that others choose is an attack."""
    changed = report.model_dump(mode="json")
    changed["recording"]["name"] = HOSTILE
    changed |= {"ruleset": HOSTILE, "version": HOSTILE, "file": HOSTILE, "rows_because": HOSTILE, "path": "rows"}
    changed |= {"notes": [HOSTILE], "patch": HOSTILE}
    for candidate in changed["candidates"]:
        for change in candidate["changes"]:
            change |= {"param": HOSTILE, "present": HOSTILE, "value": HOSTILE}
    for curve in changed["curves"]:
        curve |= {"param": HOSTILE, "description": HOSTILE, "present": HOSTILE}
        for number, point in enumerate(curve["points"]):
            point["value"] = f"{number}{HOSTILE}"
    for grid in changed["grids"]:
        grid |= {"first": HOSTILE, "second": HOSTILE}
        for name in ("first_values", "second_values"):
            grid[name] = [f"{number}{HOSTILE}" for number in range(len(grid[name]))]
    return render_page(TuneReport.model_validate(changed))


def cells(figures: Figures) -> list[str]:
    return [
        FORMATS.share(figures.stopped.recall),
        FORMATS.share(figures.only_blocked.recall),
        FORMATS.share(figures.stopped.precision),
        FORMATS.share(figures.flag_share),
        FORMATS.share(figures.block_share),
        FORMATS.count(figures.stopped.fp),
        FORMATS.money(figures.cost_minor),
    ]


def test_the_page_holds_the_whole_report_as_json(page: ParsedPage, report: TuneReport) -> None:
    (held,) = page.json_of(id="report")
    assert TuneReport.model_validate_json(held) == report


def test_the_choice_stands_beside_the_file_as_it_is_in_both_parts(page: ParsedPage, report: TuneReport) -> None:
    assert report.best is not None
    for number, name in ((0, "now"), (report.best, "chosen")):
        candidate = report.candidates[number]
        assert candidate.held_out is not None
        assert page.tables["parts"].row(name) == cells(candidate.figures)
        assert page.tables["parts"].row(f"{name}, held out") == cells(candidate.held_out)
    assert report.patch is not None
    assert [text for text in page.texts if text.strip() == report.patch.strip()]


def test_the_front_is_that_of_the_report(page: ParsedPage, report: TuneReport) -> None:
    rows = page.tables["front-table"].rows
    for number, row in zip(report.front, rows, strict=True):
        mark = " (best within the budget)" if number == report.best else ""
        assert row == [changes_in_words(report.candidates[number]) + mark, *cells(report.candidates[number].figures)]


def test_curves_and_grids_are_those_of_the_report(page: ParsedPage, report: TuneReport) -> None:
    for number, curve in enumerate(report.curves):
        for point, row in zip(curve.points, page.tables[f"curve-{number}"].rows, strict=True):
            assert row[0] == point.value + (" (now)" if point.value == curve.present else "")
            assert row[1:] == cells(report.candidates[point.candidate].figures)
    for number, grid in enumerate(report.grids):
        table = page.tables[f"grid-{number}"]
        assert table.head == [[f"${grid.first}", *grid.second_values]]
        for value, candidates, row in zip(grid.first_values, grid.candidates, table.rows, strict=True):
            figures = [report.candidates[each].figures for each in candidates]
            told = [FORMATS.share(each.stopped.recall) + FORMATS.count(each.stopped.fp) for each in figures]
            assert [re.sub(r"\s", "", cell) for cell in row] == [value, *told]


def test_charts_show_what_the_tables_do(page: ParsedPage, report: TuneReport) -> None:
    figures = [json.loads(text) for text in page.json_of(**{"class": "figure"})]
    assert len(figures) == 1 + 3 * len(report.curves) + 2 * len(report.grids)
    tried, front, now, best = figures[0]["data"]
    assert tried["x"] == [each.figures.stopped.fp for each in report.candidates]
    assert tried["y"] == [each.figures.stopped.recall for each in report.candidates]
    assert front["x"] == [report.candidates[number].figures.stopped.fp for number in report.front]
    assert (now["x"], best["x"]) == ([tried["x"][0]], [tried["x"][report.best or 0]])
    for text, candidate in zip(tried["customdata"], report.candidates, strict=True):
        assert all(f"{change.param} {change.present} → {change.value}" in text for change in candidate.changes)
    first_map = figures[1 + 3 * len(report.curves)]["data"][0]
    grid = report.grids[0]
    recalls = [[report.candidates[each].figures.stopped.recall for each in row] for row in grid.candidates]
    assert first_map["z"] == recalls


def test_what_others_chose_is_text_and_nothing_else(hostile: str) -> None:
    page = ParsedPage(hostile)
    assert len(page.code) == 2
    assert not page.fetched
    assert "img" not in re.findall(r"<(\w+)", "".join(hostile.split("<script>")[0]))
    figures = [json.loads(text) for text in page.json_of(**{"class": "figure"})]
    shown = json.dumps([(figure["layout"], [trace["customdata"] for trace in figure["data"]]) for figure in figures])
    assert "&lt;script" in shown
    assert not re.search(r"<(?!br>)", shown)


@needs_chromium
@pytest.mark.parametrize("width_px", [1280, 375])
def test_a_browser_draws_every_chart_and_scrolls_nothing_sideways(
    report: TuneReport, width_px: int, tmp_path: Path
) -> None:
    measured = open_page(render_page(report), width_px, tmp_path)
    assert (measured.console, measured.fetched) == ([], [])
    assert measured.drawn == measured.charts == 1 + 3 * 3 + 2 * 3
    assert (measured.inner_px, measured.scroll_px, measured.out) == (width_px, width_px, [])


@needs_chromium
def test_a_browser_runs_nothing_that_others_chose(hostile: str, tmp_path: Path) -> None:
    measured = open_page(hostile, 1280, tmp_path)
    assert (measured.console, measured.fetched) == ([], [])
