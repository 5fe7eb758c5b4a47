"""Days in no time, on an event loop that is not ours."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime

import pytest

from asyncsecrets import SecretsClient, errors, get_secret
from asyncsecrets.testing import SecretsClock

VAULT = {"general_settings": {"key_management_system": "hashicorp_vault"}}


def config(**settings):
    return {"general_settings": {"key_management_system": "hashicorp_vault", "key_management_settings": settings}}


async def test_a_rotation_is_seen_after_the_refresh_interval(fake_secrets, secrets_clock):
    """And not before."""
    fake_secrets.set("DB", "canary-1")
    async with SecretsClient.from_config(config(refresh_interval=300)):
        await get_secret("DB")
        await secrets_clock.advance(300)  # the first renewal is somewhere in it
        fake_secrets.rotate("DB", "canary-2")
        await secrets_clock.advance(1)
        calls = fake_secrets.count("DB")
        await secrets_clock.advance(300)
        assert fake_secrets.count("DB") == calls + 1
        assert await get_secret("DB") == "canary-2"


async def test_an_outage_is_outlasted_as_long_as_values_may_be_stale(fake_secrets, secrets_clock):
    """Then the reader gets the truth; after the outage, the value."""
    fake_secrets.set("DB", "canary-1")
    async with SecretsClient.from_config(config(refresh_interval=300, max_stale=600)) as client:
        await get_secret("DB")
        outage = fake_secrets.fail()
        await secrets_clock.advance(500)
        assert await get_secret("DB") == "canary-1"
        assert client.health().state == "degraded"
        await secrets_clock.advance(500)
        with pytest.raises(errors.UnavailableError):
            await client.get("DB")
        outage.stop()
        await secrets_clock.advance(60)
        assert await get_secret("DB") == "canary-1"


async def test_what_is_gone_is_gone_after_the_next_renewal(fake_secrets, secrets_clock):
    """Without the second that is waited before it is believed."""
    fake_secrets.set("DB", "canary-1")
    async with SecretsClient.from_config(config(refresh_interval=300)):
        await get_secret("DB")
        gone = fake_secrets.fail("DB", error=errors.SecretNotFoundError)
        await secrets_clock.advance(300)
        assert await get_secret("DB", "gone") == "gone"
        gone.stop()
        await secrets_clock.advance(5)  # for so long it is believed
        assert await get_secret("DB") == "canary-1"


async def test_a_delay_goes_by_it(fake_secrets, secrets_clock):
    """And whoever waits for it is not waited for."""
    fake_secrets.set("DB", "canary-1")
    async with SecretsClient.from_config(VAULT):
        with fake_secrets.delay(3_600, "DB"):
            reader = asyncio.create_task(get_secret("DB"))
            while not fake_secrets.calls:
                await asyncio.sleep(0)
            await secrets_clock.advance(3_599)
            assert not reader.done()
            await secrets_clock.advance(2)
            assert await reader == "canary-1"


async def test_what_is_told_of_time_is_told_by_it(fake_secrets, secrets_clock):
    """The wall clock moves along, and with it the age of values and the time of versions."""
    fake_secrets.set("DB", "canary-1")
    async with SecretsClient.from_config(config(access_mode="read_and_write")) as client:
        assert (await client.get("DB")).age < 1_000
        await secrets_clock.advance(7_200)
        secret = await client.put("DB", "canary-2")
        assert secret.created is not None
        assert (secret.created - datetime.now(UTC)).total_seconds() > 7_000
        assert secrets_clock.wall() - time.time() == pytest.approx(7_200, abs=60)


async def test_a_client_is_on_it_whenever_it_was_made(fake_secrets):
    """Also one that was there before; and is on the machine's time again when the clock is gone."""
    fake_secrets.set("DB", "canary-1")
    async with SecretsClient.from_config(config(refresh_interval=300)) as client:
        await get_secret("DB")
        with SecretsClock().installed() as clock:
            await get_secret("DB")
            await clock.advance(900)
            fake_secrets.rotate("DB", "canary-2")
            await clock.advance(300)
            assert await get_secret("DB") == "canary-2"
        [source] = [source for source in client.status() if source.name == "default"]
        assert source.secrets == ()  # begun anew


async def test_a_day_of_short_intervals_is_bearable(fake_secrets, secrets_clock):
    """The later renewals of so many are fewer."""
    fake_secrets.set("DB", "canary-1")
    async with SecretsClient.from_config(config(refresh_interval=1)):
        await get_secret("DB")
        await secrets_clock.advance(86_400)
        assert 500 <= fake_secrets.count("DB") <= 1_100
        assert await get_secret("DB") == "canary-1"


def test_a_test_that_is_no_coroutine(fake_secrets, secrets_clock):
    """Its program has an event loop in another thread, or one for each call."""
    fake_secrets.set("DB", "canary-1")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def asked(coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(10)

    try:
        app = SecretsClient.from_config(config(refresh_interval=300))
        asked(app.get("DB"))
        fake_secrets.rotate("DB", "canary-2")
        secrets_clock.move(300)
        assert app.peek("DB").equals("canary-2")
        asked(app.aclose())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
    assert asyncio.run(get_secret("DB")) == "canary-2"
    secrets_clock.move(86_400)


async def test_misuse_is_told(secrets_clock):
    """Time that is none; and a call that would block the loop."""
    for wrong in (-1, float("nan"), float("inf"), "1", True):
        with pytest.raises(errors.ConfigError):
            await secrets_clock.advance(wrong)
    with pytest.raises(errors.UnsupportedOperationError, match="advance"):
        secrets_clock.move(1)
