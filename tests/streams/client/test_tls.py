"""The client over TLS: whom it trusts, and whom it doesn't."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest

from streams.client import UnavailableError
from tests.streams.client.scripted import MADE, serving
from tests.streams.client.test_client import client


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that signs itself, and its key. Skips where there is no openssl to make one."""
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    made = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout key.pem -out ca.pem -subj /CN=gateway "
        "-addext subjectAltName=IP:127.0.0.1"
    )
    subprocess.run(made.split(), cwd=folder, capture_output=True, check=True)
    return folder / "ca.pem", folder / "key.pem"


@pytest.fixture
def tls(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


async def test_a_gateway_is_trusted_by_the_authority_that_one_names(
    certificate: tuple[Path, Path], tls: ssl.SSLContext
) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate[0]))
    async with serving(tls=tls) as gateway, client(gateway, ssl=trusting) as asked:
        assert (await asked.decide(MADE)).url.startswith("https://")


async def test_a_gateway_that_nobody_vouches_for_gets_neither_key_nor_purchase(tls: ssl.SSLContext) -> None:
    async with serving(tls=tls) as gateway, client(gateway) as asked:
        with pytest.raises(UnavailableError, match="certificate verify failed"):
            await asked.decide(MADE)
    assert gateway.seen == []
