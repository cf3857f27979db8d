"""A page opened in a real browser without a screen, and measured there."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on PATH")

# A frame of the width that is asked for: a window can't be as narrow as a phone.
FRAME = """<!doctype html><meta charset="utf-8"><body style="margin:0">
<iframe id="frame" src="{page}" style="border:0;width:{width_px}px;height:4000px"></iframe>
<script>
frame.onload = () => setTimeout(() => {{
  const page = frame.contentDocument, root = page.documentElement;
  const out = [...page.querySelectorAll("main *")].filter(
    (one) => !one.closest(".scroll") && one.getBoundingClientRect().right > root.clientWidth + 0.5);
  document.body.dataset.measured = JSON.stringify({{
    inner_px: root.clientWidth,
    scroll_px: root.scrollWidth,
    charts: page.querySelectorAll(".chart").length,
    drawn: [...page.querySelectorAll(".chart")].filter(
      (chart) => chart.querySelector("svg.main-svg :is(.trace, .hm)")
        && chart.getBoundingClientRect().height > 100).length,
    out: out.map((one) => one.outerHTML.slice(0, 120)),
    fetched: frame.contentWindow.performance.getEntriesByType("resource").map((entry) => entry.name),
  }});
}}, 1500);
</script>"""


class Measured(NamedTuple):
    """What a browser found: widths in CSS pixels, charts that are there and drawn, elements that stick out.

    `console` has what the page wrote to the console, `fetched` what it asked for beside itself.
    """

    inner_px: int
    scroll_px: int
    charts: int
    drawn: int
    out: list[str]
    fetched: list[str]
    console: list[str]


def open_page(page: str, width_px: int, directory: Path) -> Measured:
    """Open a page at a width, with no network to be had, and measure it."""
    assert CHROMIUM is not None
    (directory / "page.html").write_text(page, encoding="utf-8")
    frame = directory / "frame.html"
    frame.write_text(FRAME.format(page="page.html", width_px=width_px), encoding="utf-8")
    ran = subprocess.run(
        [
            CHROMIUM,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--allow-file-access-from-files",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--enable-logging=stderr",
            f"--user-data-dir={directory / 'profile'}",
            "--virtual-time-budget=10000",
            f"--window-size={max(width_px, 500)},4000",
            "--dump-dom",
            frame.as_uri(),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    found = re.search(r'data-measured="([^"]*)"', ran.stdout)
    assert found, f"the page was not measured:\n{ran.stderr[-2000:]}"
    measured: dict[str, Any] = json.loads(html.unescape(found[1]))
    console = [line for line in ran.stderr.splitlines() if "CONSOLE" in line]
    return Measured(**measured, console=console)
