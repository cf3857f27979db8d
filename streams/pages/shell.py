"""The shell of a self-contained page: its look, its charts' library and its data, all inside the one file.

Nothing is fetched when the page is opened: its own security policy forbids it, and allows no script but the two that
the page was made with. What a recording says reaches the page as escaped text, or as JSON that no browser runs.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly import offline
from pydantic import BaseModel

from streams.formats import Formats
from streams.pages.charts import Chart

_SCRIPT: Final = "page.js"


class Tile(NamedTuple):
    """A headline figure: what it is, its value now and before (None: nothing to compare with), and a word on it."""

    label: str
    new: str
    old: str | None
    detail: str


class Script(NamedTuple):
    """A script that the page holds, and the hash by which the page's policy lets it run."""

    text: Markup
    hash: str


def render(template: str, *, formats: Formats, data: BaseModel, charts: Sequence[Chart], **views: object) -> str:
    """A page from a template that extends `base.html`.

    `data` is embedded as JSON in the element with the id `report`. The template finds `views` by their names, the
    charts by theirs in `charts`, and `formats` as `f`.
    """
    scripts = [_plotly(), _script(_source(_SCRIPT))] if charts else []
    return (
        _environment()
        .get_template(template)
        .render(
            f=formats,
            data=data.model_dump(mode="json"),
            charts={chart.name: chart for chart in charts},
            scripts=scripts,
            **views,
        )
    )


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("streams.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # Fields in the order of the model, as `--json` prints them.
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False, "allow_nan": False}
    return environment


def _source(name: str) -> str:
    loader = _environment().loader
    assert loader is not None
    return loader.get_source(_environment(), name)[0]


@lru_cache(maxsize=1)
def _plotly() -> Script:
    text: str = offline.get_plotlyjs()
    return _script(text)


def _script(text: str) -> Script:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Script(Markup(text), f"sha256-{digest}")  # noqa: S704  # a file of ours or of the library, nothing recorded
