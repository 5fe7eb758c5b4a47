"""Google's ``latest`` lags; nothing that this process wrote or has seen is undone by it."""

from __future__ import annotations

import asyncio

import pytest

from asyncsecrets.errors import SecretNotFoundError
from asyncsecrets.testing.google_server import GoogleServer
from tests.providers.google.support import Clock, provider_at

LAG = 10_000.0
HOUR = 3600.0


@pytest.fixture
def clock():
    return Clock(0.0)


@pytest.fixture
async def server(clock):
    """A server whose time is that of the provider."""
    async with GoogleServer(clock=lambda: 1_800_000_000.0 + clock.at) as server:
        yield server


@pytest.fixture
async def provider(server, clock):
    provider = provider_at(server, clock)
    await provider.open()
    yield provider
    await provider.aclose()


async def test_a_write_is_read_at_once_and_for_an_hour(server, provider, clock):
    """However long latest lags."""
    server.add("A", "canary 1")
    server.advance(LAG)
    server.lag(LAG)
    await provider.put("A", "canary 2")
    for _ in range(10):
        assert (await provider.get("A")).equals("canary 2")
        clock.at += HOUR / 10 - 1
    clock.at += HOUR
    assert (await provider.get("A")).equals("canary 1")  # which nobody can tell from the truth any more
    clock.at += LAG
    assert (await provider.get("A")).equals("canary 2")


async def test_a_first_write_is_read_at_once(server, provider):
    """Although latest does not know of the secret."""
    server.lag(LAG)
    assert (await provider.put("A", "canary")).version == "1"
    assert (await provider.get("A")).equals("canary")


async def test_what_was_read_is_not_undone_either(server, provider):
    """Two answers may come from two places."""
    server.add("A", "canary 1")
    server.add("A", "canary 2")
    assert (await provider.get("A")).version == "2"
    server.lag(LAG)
    server._store.past._past.clear()  # as one that has not heard of anything
    assert (await provider.get("A")).version == "2"


async def test_a_newer_version_of_somebody_else_is_seen(server, provider):
    """What is known is no more than the least."""
    await provider.put("A", "canary 1")
    server.add("A", "canary 2")
    assert (await provider.get("A")).equals("canary 2")


async def test_what_was_deleted_here_does_not_come_back(server, provider):
    """Nor do versions of before it was made anew."""
    for number in (1, 2, 3):
        await provider.put("A", f"canary {number}")
    server.freeze_latest()
    await provider.delete("A")
    with pytest.raises(SecretNotFoundError):
        await provider.get("A")
    await provider.put("A", "canary anew")
    found = await provider.get("A")
    assert (found.version, found.equals("canary anew")) == ("1", True)


async def test_what_somebody_else_deleted_and_made_anew(server, provider):
    """Numbers begin at 1 again, and what is known is known no more."""
    for number in (1, 2, 3):
        await provider.put("A", f"canary {number}")
    request = server._secrets.types.DeleteSecretRequest.pb()(name=f"projects/{server.number}/secrets/A")
    server._secrets.delete_secret(request)
    with pytest.raises(SecretNotFoundError):
        await provider.get("A")
    server.add("A", "canary anew")
    for read in (provider.get, provider.get_current):
        assert (await read("A")).equals("canary anew")


async def test_current_of_what_was_made_anew(server, provider):
    """A latest that lags has a number of before; the new ones begin at 1."""
    for number in (1, 2, 3, 4):
        server.add("A", f"canary {number}")
    server.freeze_latest()
    request = server._secrets.types.DeleteSecretRequest.pb()(name=f"projects/{server.number}/secrets/A")
    server._secrets.delete_secret(request)
    for number in (1, 2):
        server.add("A", f"canary anew {number}")
    assert (await provider.get_current("A")).equals("canary anew 2")


async def test_current_begins_with_what_is_known(server, provider):
    """And not with a latest that is far behind it."""
    server.add("A", "canary 1")
    server.freeze_latest()
    for number in (2, 3, 4, 5):
        await provider.put("A", f"canary {number}")
    assert (await provider.get_current("A")).equals("canary 5")
    assert server.count("AccessSecretVersion") == 3


async def test_current_is_found_whatever_lags(server, provider):
    """Number by number: others' versions too, in any state."""
    server.add("A", "canary 1")
    server.freeze_latest()
    for number in (2, 3, 4):
        server.add("A", f"canary {number}")
    assert (await provider.get("A")).version == "1"
    assert (await provider.get_current("A")).version == "4"
    assert (await provider.get("A")).version == "4"  # it is known by now
    await provider.delete_versions("A", ["4"])
    with pytest.raises(SecretNotFoundError) as caught:
        await provider.get_current("A")
    assert (caught.value.reason, caught.value.version) == ("disabled", "4")
    assert await provider.may_lag() is False


async def test_current_of_what_is_deleted(server, provider):
    """A latest that lags has it still."""
    server.add("A", "canary 1")
    server.freeze_latest()
    request = server._secrets.types.DeleteSecretRequest.pb()(name=f"projects/{server.number}/secrets/A")
    server._secrets.delete_secret(request)
    with pytest.raises(SecretNotFoundError) as caught:
        await provider.get_current("A")
    assert caught.value.reason == "absent"


async def test_current_in_a_given_version(server, provider):
    """Is that version."""
    server.add("A", "canary 1")
    server.add("A", "canary 2")
    assert (await provider.get_current("A", "1")).equals("canary 1")
    with pytest.raises(SecretNotFoundError):
        await provider.get_current("A", "3")


async def test_a_read_that_was_overtaken_by_a_write(server, provider):
    """What it brings is older than what is known by then, and is not remembered in its place."""
    await provider.put("A", "canary 1")
    server.add("A", "canary 2")
    delay = server.faults.delay(0.05, method="AccessSecretVersion", name="versions/2", times=1)
    reading = asyncio.create_task(provider.get("A"))
    while not delay.hits:
        await asyncio.sleep(0.001)
    server.freeze_latest()
    await provider.put("A", "canary 3")
    await reading
    assert (await provider.get("A")).equals("canary 3")


async def test_what_nobody_has_is_not_remembered(provider):
    """There is no end of such names."""
    for number in range(5):
        with pytest.raises(SecretNotFoundError):
            await provider.get(f"ABSENT_{number}")
    assert not provider._operations._newest._noted


async def test_what_is_remembered_is_bounded(server, provider):
    """Names that anybody may choose do not take memory for ever."""
    remembered = provider._operations._newest
    remembered._most = 3
    for name in "ABCDE":
        await provider.put(name, "canary")
    assert [remembered.get(f"projects/example-project/secrets/{name}") for name in "ABCDE"] == [None, None, 1, 1, 1]
