"""Which gateway is asked first: each in its turn, but one that has just failed or been too slow last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

# How long a gateway that failed or was overtaken is asked last.
_SHUNNED_S: Final = 1.0


class Places:
    """The addresses of the gateways. Raises ValueError for one that is no http or https address."""

    def __init__(self, urls: Sequence[str]) -> None:
        if isinstance(urls, str) or not urls:
            raise ValueError("urls: give a list of at least one address, e.g. ['http://127.0.0.1:8080']")
        self._urls = [_base(url) for url in urls]
        self._shunned_until_s = dict.fromkeys(self._urls, 0.0)
        self._turn = 0

    def next_two(self, now_s: float) -> tuple[str, str]:
        """Whom to ask, and whom to ask besides; the same where there is one alone."""
        self._turn = (self._turn + 1) % len(self._urls)
        turned = self._urls[self._turn :] + self._urls[: self._turn]
        turned.sort(key=lambda url: self._shunned_until_s[url] > now_s)
        return turned[0], turned[1 % len(turned)]

    def shun(self, url: str, now_s: float) -> None:
        """Ask this one last for a moment."""
        self._shunned_until_s[url] = now_s + _SHUNNED_S


def _base(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError(
            f"urls: {url!r} is no address of a gateway: give a host and a port behind http:// or https:// alone"
        )
    return url.rstrip("/")
