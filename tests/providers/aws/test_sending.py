"""How far a write has come when it is given up: what is known of it is whether it was sent."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from asyncsecrets.errors import AccessDeniedError
from asyncsecrets.providers.aws import AwsSecretsManagerProvider
from asyncsecrets.sending import followed


@pytest.fixture
async def provider(environ):
    """One that waits for its answers."""
    provider = AwsSecretsManagerProvider.from_settings({"attempt_timeout": "60"}, environ)
    await provider.open()
    yield provider
    await provider.aclose()


async def given_up(provider, reached):
    """How far a put has come that is cancelled as soon as ``reached()``."""
    notes = []

    async def put():
        with followed() as sending:
            notes.append(sending)
            await provider.put("db", "canary-1", token="0" * 32)

    putting = asyncio.create_task(put())
    async with asyncio.timeout(30):
        while not reached():
            await asyncio.sleep(0.001)
    putting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await putting
    return notes[0].out


async def test_sent(aws, provider):
    """The write is not answered."""
    aws.delay = 60.0
    assert await given_up(provider, lambda: aws.calls)


async def test_waiting_for_a_connection(aws, provider):
    """All connections are taken."""
    room = provider._connection._https._room
    while not room.locked():
        await room.acquire()
    assert not await given_up(provider, lambda: room._waiters)
    room.release()


async def test_refused(aws, provider):
    """AWS said no, so nothing was done."""
    aws.denied = {"PutSecretValue", "CreateSecret"}
    with followed() as sending:
        with pytest.raises(AccessDeniedError):
            await provider.put("db", "canary-1", token="0" * 32)
        assert not sending.out


async def test_applied(aws, provider):
    """What was answered counts as sent, whatever comes after it."""
    with followed() as sending:
        await provider.put("db", "canary-1", token="0" * 32)
        await provider.get("db")
        assert sending.out
