"""An app's secrets where a framework has one hook for the start and one for the end."""

from __future__ import annotations

import asyncio

import pytest

from asyncsecrets import SecretsClient, errors
from asyncsecrets.integrations.serving import AppSecrets
from asyncsecrets.providers.memory import MemoryProvider


async def test_what_was_started_is_closed(secrets):
    """As by `async with`."""
    client = await secrets.start()
    assert secrets.client is client
    assert (await client.get("KEY")).equals("canary-1")
    await secrets.aclose()
    assert not client.is_open


async def test_each_start_has_an_end(secrets):
    """The last one closes; one too many is harmless."""
    await secrets.aclose()
    assert await secrets.start() is await secrets.start()
    await secrets.aclose()
    client = secrets.client
    await secrets.aclose()
    await secrets.aclose()
    assert not client.is_open


async def test_it_ends_only_what_a_start_has_begun(secrets):
    """Not what others are within."""
    async with secrets.opened() as client:
        await secrets.aclose()
        assert client.is_open
        await secrets.start()
        await secrets.aclose()
        assert client.is_open


async def test_a_start_that_fails_has_nothing_to_end():
    """Its error says what is missing."""
    secrets = AppSecrets(lambda: SecretsClient.from_provider(MemoryProvider({})), required=["KEY"])
    with pytest.raises(errors.ResolveError, match="KEY"):
        await secrets.start()
    await secrets.aclose()


def test_it_ends_what_was_started_on_its_own_loop(secrets):
    """Also where another loop was stopped, or has started later."""
    with asyncio.Runner() as one, asyncio.Runner() as two:
        first, second = one.run(secrets.start()), two.run(secrets.start())
        one.run(secrets.aclose())
        assert (first.is_open, second.is_open) == (False, True)
        one.run(secrets.aclose())
        assert second.is_open
        two.run(secrets.aclose())
        assert not second.is_open
