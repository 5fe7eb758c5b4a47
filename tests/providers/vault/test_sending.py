"""How far a write has come when it is given up: what is known of it is whether it was sent."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from asyncsecrets.sending import followed
from asyncsecrets.testing.vault_server import VaultServer

LOGIN, DATA = "/v1/auth/approle/login", "/v1/secret/data/"


async def given_up(provider, reached):
    """How far a put has come that is cancelled as soon as ``reached()``."""
    notes = []

    async def put():
        with followed() as sending:
            notes.append(sending)
            await provider.put("name", "canary-1")

    putting = asyncio.create_task(put())
    async with asyncio.timeout(30):
        while not reached():
            await asyncio.sleep(0.001)
    putting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await putting
    return notes[0].out


@pytest.fixture
async def app(provider_at):
    """A server, and a provider that logs in there when it is first asked."""
    async with VaultServer() as server:
        server.call("update", "sys/auth/approle", {"type": "approle"})
        server.call("update", "auth/approle/role/app", {"token_policies": "root-like"})
        server.write_policy("root-like", 'path "*" { capabilities = ["create", "update", "read", "delete"] }')
        role_id = server.call("read", "auth/approle/role/app/role-id")["data"]["role_id"]
        secret_id = server.call("update", "auth/approle/role/app/secret-id")["data"]["secret_id"]
        login = {"approle_role_id": role_id, "approle_secret_id": secret_id, "kv_version": 2}
        async with provider_at(server.url, **login) as provider:
            yield server, provider


async def test_behind_a_login(app):
    """The login hangs: the write has sent nothing."""
    server, provider = app
    server.faults.hang(prefix=LOGIN)
    assert not await given_up(provider, lambda: server.count(prefix=LOGIN) == 1)


async def test_behind_a_login_that_a_refusal_led_to(app):
    """The server refused the token, so it did nothing; the login for another one hangs."""
    server, provider = app
    server.faults.hang(prefix=LOGIN, skip=1)
    server.faults.status(403, "permission denied", prefix=DATA)
    assert not await given_up(provider, lambda: server.count(prefix=LOGIN) == 2)


async def test_sent(app):
    """The write itself is not answered."""
    server, provider = app
    server.faults.hang(prefix=DATA)
    assert await given_up(provider, lambda: server.count(prefix=DATA) == 1)


async def test_waiting_for_a_connection(app):
    """All connections are taken."""
    _, provider = app
    await provider.tokens.obtain()
    slots = provider._transport._slots
    while not slots.locked():
        await slots.acquire()
    assert not await given_up(provider, lambda: slots._waiters)


async def test_applied(app):
    """What was answered counts as sent, whatever comes after it."""
    _, provider = app
    with followed() as sending:
        await provider.put("name", "canary-1")
        await provider.get("name")
        assert sending.out
