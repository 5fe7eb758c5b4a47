"""The fake of Azure for each test, at the names of Azure, over TLS that is verified; settings of a program at it."""

from __future__ import annotations

import os
import socket
from importlib.util import find_spec

import pytest

if find_spec("azure.keyvault.secrets") is None or find_spec("azure.identity") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(autouse=True)
def no_azure_of_this_machine(monkeypatch):
    """Nothing of the machine that runs the tests: no variables or proxies, nor what a test has left."""
    from azure.keyvault.secrets._shared import http_challenge_cache

    leading = ("AZURE_", "IDENTITY_", "IMDS_", "MSI_")
    for name in [name for name in os.environ if name.startswith(leading) or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("SSLKEYLOGFILE", raising=False)
    http_challenge_cache.clear()  # the SDK has one for the whole process


@pytest.fixture
async def server():
    """A running fake."""
    from asyncsecrets.testing.azure_server import AzureServer

    async with AzureServer(client_secret="canary-of-the-client") as running:
        yield running


@pytest.fixture(autouse=True)
def names(monkeypatch):
    """Azure's names lead to the fakes that are put in here, and no other name to anywhere."""
    fakes = []
    genuine = socket.getaddrinfo

    def getaddrinfo(host, port, *args, **kwargs):
        host = host.decode() if isinstance(host, bytes) else host
        if host is None or host in {"127.0.0.1", "localhost", "::1"}:
            return genuine(host, port, *args, **kwargs)
        for fake in fakes:
            if host in fake.addresses:
                return genuine(*fake.addresses[host], *args, **kwargs)
        raise socket.gaierror(socket.EAI_NONAME, "canary")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return fakes


@pytest.fixture
def reachable(server, names):
    """The fake, where Azure is."""
    names.append(server)
    return server


def settings_at(server, **more):
    """The ``key_management_settings`` of a program at a fake."""
    return {"azure_ca_cert": server.ca_file, "attempt_timeout": "10", **more}
