"""A page taken apart: its tables by id, its tiles, what its scripts hold, and whatever it would fetch."""

from __future__ import annotations

import re
from html.parser import HTMLParser

FETCHING = {"src", "srcset", "poster", "data", "action", "formaction", "background", "ping"}
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Table:
    """A table of a page: its head's rows and its body's, as texts."""

    def __init__(self) -> None:
        self.head: list[list[str]] = []
        self.rows: list[list[str]] = []

    def row(self, *first: str) -> list[str]:
        """The one row that begins with these texts, without them."""
        found = [row for row in self.rows if row[: len(first)] == list(first)]
        assert len(found) == 1, f"{len(found)} rows begin with {first}"
        return found[0][len(first) :]


class ParsedPage(HTMLParser):
    """Reads a page whose tags are all closed. A cell's text has that of a table inside it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: dict[str, Table] = {}
        self.tiles: list[list[str]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.fetched: list[str] = []
        self.texts: list[str] = []
        self.headings: list[int] = []
        self.header_cells: list[dict[str, str | None]] = []
        self.language: str | None = None
        self.policy: str | None = None
        # The tags that are open, each with the list whose last text its own is added to.
        self._open: list[tuple[str, list[str] | None]] = []
        self._tables: list[Table] = []
        self.feed(page)
        self.close()
        assert not self._open, "tags that are not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self._look_for_fetches(tag, attributes)
        texts: list[str] | None = None
        if tag == "html":
            self.language = attributes.get("lang")
        elif tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy":
            self.policy = attributes.get("content")
        elif tag in ("h1", "h2", "h3", "h4"):
            self.headings.append(int(tag[1]))
        elif tag == "script":
            self.scripts.append((attributes, ""))
        elif tag == "p" and attributes.get("class") in ("label", "value", "detail"):
            if attributes["class"] == "label":
                self.tiles.append([])
            texts = self.tiles[-1]
        else:
            texts = self._start_of_table(tag, attributes)
        if texts is not None:
            texts.append("")
        if tag not in VOID:
            self._open.append((tag, texts))

    def _start_of_table(self, tag: str, attributes: dict[str, str | None]) -> list[str] | None:
        if tag == "table":
            self._tables.append(Table())
            if attributes.get("id"):
                self.tables[str(attributes["id"])] = self._tables[-1]
        elif tag == "tr":
            self._rows().append([])
        elif tag in ("td", "th"):
            if tag == "th":
                self.header_cells.append(attributes)
            return self._rows()[-1]
        return None

    def _rows(self) -> list[list[str]]:
        """Where the innermost table's rows go at this place."""
        part = next(tag for tag, _ in reversed(self._open) if tag in ("thead", "tbody"))
        return self._tables[-1].head if part == "thead" else self._tables[-1].rows

    def _look_for_fetches(self, tag: str, attributes: dict[str, str | None]) -> None:
        for name, value in attributes.items():
            fetches = name in FETCHING or (name == "href" and not (tag == "a" and str(value).startswith("#")))
            if fetches and value != "data:,":
                self.fetched.append(f"<{tag} {name}={value}>")

    def handle_endtag(self, tag: str) -> None:
        opened, _ = self._open.pop()
        assert opened == tag, f"<{opened}> is closed by </{tag}>"
        if tag == "table":
            self._tables.pop()

    def handle_data(self, data: str) -> None:
        inside = self._open[-1][0] if self._open else ""
        if inside == "script":
            attributes, text = self.scripts[-1]
            self.scripts[-1] = attributes, text + data
        elif inside != "style":
            self.texts.append(data)
            for _, texts in self._open:
                if texts is not None:
                    texts[-1] = re.sub(r"\s+", " ", texts[-1] + data).lstrip()

    def json_of(self, **wanted: str) -> list[str]:
        """The JSON that lies in the page in scripts with these attributes."""
        return [
            text
            for attributes, text in self.scripts
            if attributes.get("type") == "application/json"
            and all(attributes.get(name) == value for name, value in wanted.items())
        ]

    @property
    def code(self) -> list[str]:
        """The scripts that a browser runs."""
        return [text for attributes, text in self.scripts if attributes.get("type") != "application/json"]
