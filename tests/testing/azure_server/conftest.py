"""A fake whose clock is moved by hand, and Azure's own async clients for it, over TLS that they verify."""

from __future__ import annotations

import os
from importlib.util import find_spec

import aiohttp
import pytest

from asyncsecrets.testing.azure_server import AzureServer

NOW = 1_800_000_000.0
ONCE = {"retry_total": 0}

if find_spec("azure.keyvault.secrets") is None or find_spec("azure.identity") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(autouse=True)
def no_azure_of_this_machine(monkeypatch):
    """Nothing of the machine that runs the tests: no variables, no proxies."""
    leading = ("AZURE_", "IDENTITY_", "IMDS_", "MSI_")
    for name in [name for name in os.environ if name.startswith(leading) or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def challenges_of_nobody():
    """The SDK keeps challenges for the whole process, by host; and the default vault has the same one in each test."""
    from azure.keyvault.secrets._shared import http_challenge_cache

    http_challenge_cache.clear()


@pytest.fixture
async def server():
    """A running fake; its time stands still."""
    async with AzureServer(clock=lambda: NOW, client_secret="canary-of-the-client") as running:
        yield running


@pytest.fixture
async def transport(server):
    """Makes transports for the SDK's clients, on a session that finds the fake."""
    from azure.core.pipeline.transport import AioHttpTransport

    async with aiohttp.ClientSession(connector=server.connector()) as session:
        yield lambda: AioHttpTransport(session=session, session_owner=False)


@pytest.fixture
async def credential(server, transport):
    """A client secret."""
    from azure.identity.aio import ClientSecretCredential

    async with ClientSecretCredential(
        server.tenant, server.client_id, server.client_secret, transport=transport(), **ONCE
    ) as made:
        yield made


@pytest.fixture
async def connect(server, transport, credential):
    """Makes clients of the default vault, or of another one."""
    from azure.keyvault.secrets.aio import SecretClient

    made = []

    def client(uri=server.uri, credential=credential, **options):
        made.append(SecretClient(uri, credential, transport=transport(), **{**ONCE, **options}))
        return made[-1]

    yield client
    for each in made:
        await each.close()


@pytest.fixture
def client(connect):
    """A client of the default vault, without retries."""
    return connect()


async def refused(call):
    """What the SDK raises."""
    from azure.core.exceptions import AzureError

    with pytest.raises(AzureError) as caught:
        await call
    return caught.value


def codes(error):
    """The status, the code and the innererror of a refusal of Key Vault."""
    inner = error.error.innererror or {} if error.error else {}
    return error.status_code, error.error.code if error.error else "", inner.get("code", "")
