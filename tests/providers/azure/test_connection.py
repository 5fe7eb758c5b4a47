"""Calls of a vault: by its names in Azure, with TLS and its challenge verified."""

from __future__ import annotations

import asyncio

import pytest

from asyncsecrets.providers.azure.connection import Connection
from asyncsecrets.providers.azure.settings import AzureSettings
from tests.providers.azure.conftest import settings_at

SYSTEM = "azure_key_vault"


@pytest.fixture
async def connected(reachable):
    """Make open connections by settings and an environment."""
    made = []

    async def build(environ=None, **more):
        environ = reachable.environ() if environ is None else environ
        settings = AzureSettings.from_mapping(SYSTEM, settings_at(reachable, **more), environ)
        connection = Connection(SYSTEM, settings)
        await connection.open()
        made.append(connection)
        return connection

    yield build
    for connection in made:
        await connection.aclose()


async def read(connection, name="NAME", **more):
    """The value of a secret."""
    found = await connection.call("GetSecret", name, lambda client: client.get_secret(name), **more)
    return found.value


async def test_reads(connected, reachable):
    """A secret is read, by one token for any number of calls."""
    reachable.add("NAME", "canary")
    connection = await connected()
    assert await asyncio.gather(*(read(connection) for _ in range(20))) == ["canary"] * 20
    assert reachable.count("token") == 1
