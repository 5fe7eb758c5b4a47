"""What goes wrong at Secret Manager, seen through a client: which error, after how many attempts, what is served."""

from __future__ import annotations

import traceback

import pytest

from asyncsecrets import SecretsClient
from asyncsecrets.errors import (
    AccessDeniedError,
    AuthenticationError,
    ConfigError,
    IntegrityError,
    MalformedResponseError,
    RateLimitedError,
    SecretNotFoundError,
    UnavailableError,
    WriteOutcomeUnknownError,
)
from asyncsecrets.providers.google.connection import Connection
from asyncsecrets.retry import RetryPolicy
from asyncsecrets.testing.google_server import GoogleServer
from tests.providers.google.support import PROJECT

RETRY = RetryPolicy(attempts=3, deadline=20.0, backoff=(0.001, 0.01))
READ = "AccessSecretVersion"
ADD = "AddSecretVersion"

READ_FAULTS = {
    "unavailable": (3, UnavailableError, lambda server: server.faults.status("UNAVAILABLE", "canary")),
    "internal": (3, UnavailableError, lambda server: server.faults.status("INTERNAL", "canary")),
    "timeout": (3, UnavailableError, lambda server: server.faults.hang()),
    "reset": (3, UnavailableError, lambda server: server.faults.drop()),
    "rate_limited": (3, RateLimitedError, lambda server: server.faults.exhausted()),
    "rate_limited_for_long": (1, RateLimitedError, lambda server: server.faults.exhausted(100.0)),
    "denied": (2, AccessDeniedError, lambda server: server.deny()),
    "unauthenticated": (2, AuthenticationError, lambda server: server.faults.status("UNAUTHENTICATED", "canary")),
    "garbage": (1, MalformedResponseError, lambda server: server.faults.corrupt("garbage")),
    "another_secret": (1, MalformedResponseError, lambda server: server.faults.corrupt("name")),
    "flipped_bit": (1, IntegrityError, lambda server: server.faults.corrupt("payload")),
    "flipped_checksum": (1, IntegrityError, lambda server: server.faults.corrupt("checksum")),
    "api_disabled": (1, ConfigError, lambda server: server.break_project("SERVICE_DISABLED")),
    "key_disabled": (2, AccessDeniedError, lambda server: server.faults.status("FAILED_PRECONDITION", "canary key")),
}
"""Attempts and error of a read; DESIGN §3: the old value stays, whichever it is."""

GONE = {
    "disabled": lambda server: change(server, "disable_secret_version", "DisableSecretVersionRequest"),
    "destroyed": lambda server: change(server, "destroy_secret_version", "DestroySecretVersionRequest"),
}

WRITE_FAULTS = {
    "not_sent": (UnavailableError, lambda server: server.faults.status("UNAVAILABLE", method="CreateSecret")),
    "denied": (AccessDeniedError, lambda server: server.deny("secretmanager.versions.add")),
    "rate_limited": (RateLimitedError, lambda server: server.faults.exhausted(100.0, method=ADD)),
    "unauthenticated": (AuthenticationError, lambda server: server.faults.status("UNAUTHENTICATED", method=ADD)),
    "lost": (WriteOutcomeUnknownError, lambda server: server.faults.status("UNAVAILABLE")),
    "another_secret": (WriteOutcomeUnknownError, lambda server: server.faults.corrupt("name")),
}


def change(server, method, request):
    name = f"projects/{PROJECT}/secrets/A/versions/1"
    getattr(server._secrets, method)(getattr(server._secrets.types, request).pb()(name=name))


@pytest.fixture
async def server():
    async with GoogleServer() as server:
        server.add("A", "canary old")
        yield server


@pytest.fixture
async def client(server, monkeypatch):
    """An open client. Where no answer comes, an attempt ends soon; where one does, it may take its time."""
    settings = {
        "auth_method": "none",
        "google_endpoint": f"http://{server.endpoint}",
        "google_secret_manager_project_id": PROJECT,
        "access_mode": "read_and_write",
        "attempt_timeout": "15",
    }
    attempt = Connection._attempt

    async def timed(self, *arguments):
        hangs = any(fault.kind == "hang" for fault in server.faults.active)
        object.__setattr__(self._settings, "attempt_timeout", 0.2 if hangs else 15.0)
        return await attempt(self, *arguments)

    monkeypatch.setattr(Connection, "_attempt", timed)
    document = {
        "general_settings": {"key_management_system": "google_secret_manager", "key_management_settings": settings}
    }
    async with SecretsClient.from_config(document, environ={}, retry=RETRY, jitter=lambda: 0.9) as client:
        yield client


def healed(server):
    server.faults.clear()
    server.allow()
    server.break_project(None)


@pytest.mark.parametrize("kind", READ_FAULTS)
async def test_a_refresh_that_fails_keeps_the_old_value(server, client, kind):
    """What passes is tried three times, a denial twice (it is confirmed), and what asking again cannot help once."""
    attempts, error, begin = READ_FAULTS[kind]
    assert (await client.get("A")).equals("canary old")
    server.add("A", "canary new")
    before = server.count(READ)
    begin(server)
    with pytest.raises(error) as caught:
        await client.refresh("A")
    assert type(caught.value) is error
    if kind not in {"reset", "timeout"}:  # of which the server may not hear each
        assert server.count(READ) - before == attempts
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    assert (await client.get("A")).equals("canary old")
    healed(server)
    assert (await client.refresh("A")).equals("canary new")


@pytest.mark.parametrize("kind", READ_FAULTS)
async def test_a_first_read_that_fails(server, client, kind):
    """Without an old value the same faults are the same errors, and a later read is not harmed by them."""
    _, error, begin = READ_FAULTS[kind]
    begin(server)
    with pytest.raises(error) as caught:
        await client.get("A")
    assert type(caught.value) is error
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    healed(server)
    assert (await client.refresh("A")).equals("canary old")


@pytest.mark.parametrize("reason", GONE)
async def test_what_is_gone_is_served_no_longer(server, client, reason):
    """It is asked once more before it is believed; then readers are told why."""
    assert (await client.get("A")).equals("canary old")
    GONE[reason](server)
    for read in (client.refresh, client.get):
        with pytest.raises(SecretNotFoundError) as caught:
            await read("A")
        assert caught.value.reason == reason


@pytest.mark.parametrize("kind", WRITE_FAULTS)
async def test_a_write_that_fails(server, client, kind):
    """What was refused was not written, and what is not known is said so; the old value stays meanwhile."""
    error, begin = WRITE_FAULTS[kind]
    name, value = "NEW" if kind == "not_sent" else "A", "canary new"
    await client.get("A")
    begin(server)
    with pytest.raises(error) as caught:
        await client.put(name, value)
    assert type(caught.value) is error
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    assert (await client.get("A")).equals("canary old")
    healed(server)
    assert (await client.put(name, "canary newest")).equals("canary newest")
    assert (await client.refresh(name)).equals("canary newest")
