"""The worker's app for Faust's own command: `faust -A streams.app worker`."""

from __future__ import annotations

from streams.settings import read_settings
from streams.worker import make_app

app = make_app(read_settings())
