"""The fake of Azure for each test, at the names of Azure, over TLS that is verified; settings of a program at it."""

from __future__ import annotations

import contextlib
import os
import socket
from importlib.util import find_spec

import pytest

SYSTEM = "azure_key_vault"

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


@contextlib.contextmanager
def known(places):
    """Have hosts be where ``places`` says, each with its address and port; of others only this machine is anywhere."""
    genuine = socket.getaddrinfo

    def getaddrinfo(host, port, *args, **kwargs):
        text = host.decode() if isinstance(host, bytes) else host
        if text in places:
            return genuine(*places[text], *args, **kwargs)
        if text in {None, "127.0.0.1", "localhost", "::1"}:
            return genuine(host, port, *args, **kwargs)
        raise socket.gaierror(socket.EAI_NONAME, "canary")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", getaddrinfo)
        yield


@pytest.fixture(autouse=True)
def names():
    """Where hosts are: what a test puts in here."""
    places = {}
    with known(places):
        yield places


@pytest.fixture
async def server(names):
    """A running fake, where Azure is; the machine is none of Azure's unless a test says so."""
    from asyncsecrets.testing.azure_server import AzureServer

    async with AzureServer(client_secret="canary-of-the-client") as running:
        running.add("NAME", "canary")
        names.update(running.addresses)
        del names["169.254.169.254"]
        yield running


def settings_at(server, **more):
    """The ``key_management_settings`` of a program at a fake."""
    return {"azure_ca_cert": server.ca_file, "attempt_timeout": "10", **more}


@pytest.fixture
async def connected(server):
    """Make open connections, by an environment (that of a client secret) and more settings."""
    from asyncsecrets.providers.azure.connection import Connection
    from asyncsecrets.providers.azure.settings import AzureSettings

    made = []

    async def build(environ=None, **more):
        environ = server.environ() if environ is None else {"AZURE_KEY_VAULT_URI": server.uri, **environ}
        settings = AzureSettings.from_mapping(SYSTEM, settings_at(server, **more), environ)
        connection = Connection(SYSTEM, settings)
        await connection.open()
        made.append(connection)
        return connection

    yield build
    for connection in made:
        await connection.aclose()


async def read(connection, name="NAME", **more):
    """The value of a secret."""
    return await ask(connection, "GetSecret", "GET", f"/secrets/{name}/", name, lambda found: found["value"], **more)


async def write(connection, name="NAME", value="canary anew", **more):
    """Set a secret."""
    body = {"value": value}
    return await ask(connection, "SetSecret", "PUT", f"/secrets/{name}", name, lambda found: found, body, **more)


async def ask(connection, operation, method, path, name, take, body=None, **more):
    """What `take` takes of the answer to an operation."""
    from azure.core.rest import HttpRequest

    return await connection.call(operation, name, HttpRequest(method, path, json=body), take, **more)


def answer(status, *headers, body=b""):
    """An answer of a server that is none of the fake's, byte for byte."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
