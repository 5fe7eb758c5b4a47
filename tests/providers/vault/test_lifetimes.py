"""How long a token lives, as a server says it that is not well, or not Vault: no timer, clock or frame suffers."""

from __future__ import annotations

import asyncio
import json
import math

import pytest

from asyncsecrets.errors import MalformedResponseError
from tests.providers.vault.raw import RawServer, answer, document, secret

TEN_YEARS = 10 * 365 * 86_400.0

NO_LIFETIMES = ["-5", "-0.5", "NaN", "Infinity", "-Infinity", "1e999", '"3600"', '""', "true", "false", "[1]", "{}"]
NO_JSON = ["9" * 5000, "1_000", "0x10"]  # or none that Python reads
LIFETIMES = {
    "0": 0.0,
    "-0.0": 0.0,
    "2.5": 2.5,
    "3600": 3600.0,
    "1.5e300": TEN_YEARS,
    "9223372036": TEN_YEARS,
    "9" * 400: TEN_YEARS,
}


@pytest.fixture
async def handled():
    """What the loop's exception handler is told."""
    heard = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))
    yield heard
    asyncio.get_running_loop().set_exception_handler(None)


def granting(lifetime, member="lease_duration"):
    """Answers that grant a token for a ``lifetime``, which is spliced in as it is."""

    def respond(request):
        if "/auth/" not in request.target:
            return answer(body=secret())
        auth = {"client_token": "canary-fresh", "renewable": True, member: "?"}
        body = json.dumps(document({**auth, "id": "canary-fresh"}, auth=auth)).replace('"?"', lifetime)
        return answer(body=body.encode())

    return respond


APPROLE = {"approle_role_id": "role", "approle_secret_id": "canary-id", "kv_version": 2}


@pytest.mark.parametrize("lifetime", NO_LIFETIMES + NO_JSON)
async def test_a_login_that_grants_no_lifetime(provider_at, handled, lifetime):
    """It is an answer that makes no sense, which says nothing of the token."""
    async with RawServer(granting(lifetime)) as server, provider_at(server.url, **APPROLE) as provider:
        with pytest.raises(MalformedResponseError, match="auth/approle/login answered with") as caught:
            await provider.get("name")
        assert "canary" not in str(caught.value)
        assert provider.tokens._timer is None
    assert handled == []


@pytest.mark.parametrize("lifetime", LIFETIMES)
async def test_a_lifetime_that_timers_can_take(provider_at, handled, lifetime):
    """A very long one counts as ten years, which every timer and calendar can reckon with."""
    async with RawServer(granting(lifetime)) as server, provider_at(server.url, **APPROLE) as provider:
        await provider.get("name")
        duration, timer = provider.tokens._lease.duration, provider.tokens._timer
        assert duration == LIFETIMES[lifetime]
        assert (timer is not None) == (duration > 0)
        assert timer is None or math.isfinite(timer.when())
    assert handled == []


@pytest.mark.parametrize("lifetime", [*NO_LIFETIMES, "9" * 5000])
async def test_a_renewal_that_grants_no_lifetime(provider_at, handled, lifetime):
    """The token lives as long as it did, and its renewal is tried again."""
    async with RawServer(granting("3600")) as server, provider_at(server.url, **APPROLE) as provider:
        await provider.get("name")
        server.respond = granting(lifetime)
        await provider.tokens._upkeep.join()
        assert provider.tokens._lease.duration == 3600.0
        assert math.isfinite(provider.tokens._timer.when())
        await provider.get("name")
    assert handled == []


@pytest.mark.parametrize("lifetime", [*NO_LIFETIMES, "9" * 5000, "null"])
async def test_a_look_up_that_tells_no_lifetime(provider_at, handled, lifetime):
    """It does not say that a given token lasts for ever: it is looked up again."""
    async with RawServer(granting(lifetime, "ttl")) as server, provider_at(server.url, kv_version=2) as provider:
        await provider.get("name")
        provider.tokens._cancel_timer()
        await provider.tokens._upkeep.join()
        assert provider.tokens._lease.duration == 0.0
        assert math.isfinite(provider.tokens._timer.when())
    assert handled == []
