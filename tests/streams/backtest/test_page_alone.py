"""The page stands alone and safe: it fetches nothing, runs nothing that was recorded, and reads on any width."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path

import pytest

from streams.backtest.page import render_page
from tests.streams.backtest.sample_report import sample_report
from tests.streams.pages.browser import needs_chromium, open_page
from tests.streams.pages.parsed_page import ParsedPage

HOSTILE = """</script><script>alert(1)</script><img/src=x/onerror=alert(2)>&'"-->{{7*7}}\u202e"""


@pytest.fixture(scope="module")
def text() -> str:
    return render_page(sample_report(2_000))


@pytest.fixture(scope="module")
def hostile() -> str:
    """A page of a report whose every text that others choose is an attack."""
    report = sample_report(2_000, hostile_id=HOSTILE)
    changed = report.model_dump(mode="json")
    changed["recording"]["name"] = HOSTILE
    changed["notes"] = [HOSTILE]
    for side in (changed["old"], changed["new"]):
        side |= {"ruleset": HOSTILE, "version": HOSTILE, "file": HOSTILE, "rows_because": HOSTILE}
        for number, rule in enumerate(side["rules"]):
            rule |= {"rule": f"{number}{HOSTILE}", "code": HOSTILE}
    for flip in changed["flips"]["examples"]:
        flip["account_id"] = HOSTILE
        for why in (*flip["old_reasons"], *flip["new_reasons"]):
            why |= {"rule": HOSTILE, "code": HOSTILE, "feature": HOSTILE, "observed": HOSTILE, "threshold": HOSTILE}
        for stamp in flip["stamps"]:
            stamp["feature"] = HOSTILE
    return render_page(type(report).model_validate(changed))


def test_the_page_fetches_nothing(text: str) -> None:
    page = ParsedPage(text)
    assert not page.fetched
    library = max(page.code, key=len)
    beside = text.replace(library, "")
    assert not re.findall(r"""\w+://|["'(]//""", beside), "an address, or what could be one"
    assert "url(" not in beside
    assert "@import" not in beside


def test_the_policy_forbids_the_network_and_lets_only_the_two_scripts_run(text: str) -> None:
    page = ParsedPage(text)
    assert page.policy is not None
    policy = dict(part.strip().split(" ", 1) for part in page.policy.split(";"))
    hashes = {base64.b64encode(hashlib.sha256(code.encode()).digest()).decode() for code in page.code}
    assert len(page.code) == 2
    assert policy["default-src"] == "'none'"
    assert set(policy["script-src"].split()) == {f"'sha256-{each}'" for each in hashes}
    assert policy["img-src"] == "data: blob:"


def test_the_library_for_charts_is_there_once(text: str) -> None:
    assert text.count("* plotly.js v") == 1


def test_what_was_recorded_is_text_and_nothing_else(hostile: str) -> None:
    page = ParsedPage(hostile)
    assert len(page.code) == 2
    assert "img" not in re.findall(r"<(\w+)", "".join(hostile.split("<script>")[0]))
    assert HOSTILE in "".join(page.texts)
    assert page.tables["flips-shown"].rows[0][0] == HOSTILE
    assert {row[0] for row in page.tables["rules-hit"].rows} >= {f"0{HOSTILE}"}
    (held,) = page.json_of(id="report")
    assert json.loads(held)["recording"]["name"] == HOSTILE


def test_charts_take_names_as_plain_text(hostile: str) -> None:
    figures = [json.loads(text) for text in ParsedPage(hostile).json_of(**{"class": "figure"})]
    told = [text for figure in figures for trace in figure["data"] for text in trace["customdata"]]
    told += [text for figure in figures for text in figure["layout"]["yaxis"].get("ticktext", [])]
    assert [text for text in told if "&lt;script" in text]
    assert not [text for text in told if re.search(r"<(?!br>)", text)]


def test_the_page_reads_in_order_and_its_tables_have_headers(text: str) -> None:
    page = ParsedPage(text)
    assert page.language == "en"
    assert page.headings[0] == 1
    assert page.headings.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(page.headings, page.headings[1:], strict=False))
    assert all(cell.get("scope") in ("row", "col", "rowgroup", "colgroup") for cell in page.header_cells)


@needs_chromium
@pytest.mark.parametrize("width_px", [1280, 375])
def test_a_browser_draws_every_chart_and_scrolls_nothing_sideways(text: str, width_px: int, tmp_path: Path) -> None:
    measured = open_page(text, width_px, tmp_path)
    assert measured.console == []
    assert measured.fetched == []
    assert measured.drawn == measured.charts == 11
    assert (measured.inner_px, measured.scroll_px, measured.out) == (width_px, width_px, [])


@needs_chromium
def test_a_browser_runs_nothing_that_was_recorded(hostile: str, tmp_path: Path) -> None:
    measured = open_page(hostile, 375, tmp_path)
    assert measured.console == []
    assert measured.fetched == []
    assert measured.drawn == measured.charts
    assert (measured.scroll_px, measured.out) == (375, [])


@needs_chromium
def test_a_browser_that_refuses_a_script_is_noticed(text: str, tmp_path: Path) -> None:
    """What the tests above rely on: the console is read, and charts that are not drawn are not counted."""
    broken = text.replace("Draws each chart", "draws each chart")
    measured = open_page(broken, 375, tmp_path)
    assert any("Content Security Policy" in line for line in measured.console)
    assert measured.drawn == 0
