"""Through SecretsClient: the documented configuration, names that are spelled alike, ends of values, faults."""

from __future__ import annotations

import traceback
from pathlib import Path

import aiohttp
import pytest
import yaml

from asyncsecrets import SecretsClient, get_secret
from asyncsecrets.errors import (
    AccessDeniedError,
    AuthenticationError,
    ConfigError,
    ConflictError,
    InvalidNameError,
    MalformedResponseError,
    RateLimitedError,
    SecretNotFoundError,
    UnavailableError,
    WriteOutcomeUnknownError,
)
from asyncsecrets.providers.azure import key_vault
from asyncsecrets.providers.https import Https
from asyncsecrets.retry import RetryPolicy
from tests.providers.azure.conftest import SYSTEM, settings_at

SEED = Path(__file__).parents[2] / "data" / "seed-configs" / "06-azure-key-vault.yaml"
RETRY = RetryPolicy(attempts=3, deadline=20.0, backoff=(0.001, 0.01))


@pytest.fixture
def build(server):
    """Make a client at the fake; it is opened by the test."""

    def build(environ=None, **settings):
        given = settings_at(server, access_mode="read_and_write", **settings)
        document = {"general_settings": {"key_management_system": SYSTEM, "key_management_settings": given}}
        return SecretsClient.from_config(document, environ=environ or server.environ(), retry=RETRY, jitter=lambda: 0.9)

    return build


# -- what is documented


@pytest.mark.parametrize("kind", ["client_secret", "workload_identity"])
async def test_the_documented_file(server, tmp_path, kind):
    """As it is, with the documented variables and nothing else: a secret has the two names that the file gives it."""
    version = server.add("AZURE-API-KEY", "canary sk-1234")
    environ = {**server.environ(kind), "AZURE_API_BASE": "canary base", "REQUESTS_CA_BUNDLE": server.ca_file}
    path = tmp_path / "config.yaml"
    path.write_text(SEED.read_text())
    async with SecretsClient.from_config(path, environ=environ, retry=RETRY) as secrets:
        for _ in range(3):
            assert (await secrets.get("os.environ/AZURE-API-KEY")).equals("canary sk-1234")
            assert await get_secret("AZURE_API_KEY") == "canary sk-1234"
        assert (await secrets.get("AZURE_API_BASE")).source == "environment"
        assert (await secrets.get("AZURE-API-KEY")).version == version
    assert server.count("GetSecret", "/AZURE-API-KEY") == 2
    assert server.count("token") == 1


async def test_the_documented_file_by_command(server, command):
    """As it is, from the command line."""
    server.add("AZURE-API-KEY", "canary sk-1234")
    environ = {**server.environ(), "AZURE_API_BASE": "canary base", "REQUESTS_CA_BUNDLE": server.ca_file}
    at = ("--config", SEED)
    assert await command(environ, *at, "get", "AZURE_API_KEY") == (0, "canary sk-1234")
    assert await command(environ, *at, "get", "AZURE_API_BASE") == (0, "canary base")
    code, text = await command(environ, *at, "resolve", SEED, "--reveal")
    assert (code, text) == (3, "")  # AZURE-API-BASE is nowhere
    server.add("AZURE-API-BASE", "canary base")
    code, text = await command(environ, *at, "resolve", SEED, "--reveal")
    [model] = yaml.safe_load(text)["model_list"]
    assert (code, model["litellm_params"]["api_key"]) == (0, "canary sk-1234")
    assert (await command(environ, *at, "set", "AZURE_API_KEY", stdin=b"canary"))[0] == 7


async def test_a_document_is_resolved(server, build):
    """All of it at once, by one token."""
    server.add("AZURE-API-KEY", "canary key")
    server.add("AZURE-API-BASE", "canary base")
    async with build() as secrets:
        found = await secrets.resolve({"key": "os.environ/AZURE-API-KEY", "base": "os.environ/AZURE_API_BASE"})
    assert found == {"key": "canary key", "base": "canary base"}
    assert server.count("token") == 1


@pytest.mark.parametrize(
    ("name", "spelled"),
    [("AZURE_API_KEY", "AZURE-API-KEY"), ("litellm/a_b", "litellm-x2f-a-x5f-b"), ("x" * 128, "")],
)
async def test_what_a_name_is_in_the_vault_is_explained(build, name, spelled):
    """Without asking anybody."""
    assert build().explain(name).spelled == spelled


# -- names that are spelled alike


async def test_a_write_is_seen_by_every_name_of_a_secret_of_others(server, build):
    """What is cached under another of them is not served any more."""
    server.add("A-B", "canary 1")
    async with build() as secrets:
        for name in ("A-B", "A_B", "a-b"):
            assert (await secrets.get(name)).equals("canary 1")
        await secrets.put("A_B", "canary 2")
        for name in ("A-B", "A_B", "a-b"):
            assert (await secrets.get(name)).equals("canary 2")


async def test_names_do_not_meet_in_what_was_created_here(server, build):
    """Another name is absent at once: it is no answer that is behind what is known."""
    async with build({**server.environ(), "A-B": "canary of the environment"}) as secrets:
        await secrets.put("A_B", "canary 1")
        with pytest.raises(SecretNotFoundError, match="was created as 'A_B'"):
            await secrets.get("a_b")
        assert (await secrets.get("A-B")).equals("canary of the environment")
        with pytest.raises(InvalidNameError):
            await secrets.put("a_b", "canary 2")
        assert (await secrets.get("A_B")).equals("canary 1")
        await secrets.put("litellm/Team_A", "canary 3")
        await secrets.put("litellm/team-a", "canary 4")
        assert (await secrets.get("litellm/Team_A")).equals("canary 3")


# -- time


async def test_a_value_is_served_no_longer_than_it_lives(server, build):
    """From memory neither: the next read says why, and another one is not asked for."""
    server.add("A", "canary", attributes={"exp": int(server.now()) + 2})
    async with build() as secrets:
        assert (await secrets.get("A")).equals("canary")
        status = next(each for each in secrets.status() if each.name == "default").secrets[0]
        assert status.expires is not None
        assert status.ends is not None
        assert status.ends < 3
        server.add("B", "canary", attributes={"exp": int(server.now()) - 1})
        with pytest.raises(SecretNotFoundError) as caught:
            await secrets.get("B")
        assert caught.value.reason == "expired"


async def test_what_is_not_valid_yet_is_not_served_from_memory(server, build):
    """A put that sets such a date is done, and the next read says so."""
    async with build(valid_after="3600") as secrets:
        await secrets.put("A", "canary")
        with pytest.raises(SecretNotFoundError) as caught:
            await secrets.get("A")
        assert caught.value.reason == "not_yet_valid"
    assert server.count("SetSecret") == 1


async def test_a_region_that_lags(server, build):
    """An answer from before a write of this client is not believed: it is asked again until it is behind no more."""
    async with build() as secrets:
        await secrets.put("A", "canary 1")
        server.advance(2)
        server.freeze()
        await secrets.put("A", "canary 2")
        with pytest.raises(UnavailableError, match="behind what is known"):
            await secrets.refresh("A")
        assert (await secrets.get("A")).equals("canary 2")
        server.lag()
        assert (await secrets.refresh("A")).equals("canary 2")


# -- deleting


async def test_deleting_and_what_follows(server, build):
    """Restore brings it back; a name that is deleted is a conflict; destroy frees it."""
    server.rules.deleting = server.rules.recovering = server.rules.purging = 0.2
    async with build() as secrets:
        await secrets.put("A", "canary 1")
        await secrets.delete("A")
        with pytest.raises(SecretNotFoundError):
            await secrets.get("A")
        await secrets.restore("A")
        assert (await secrets.get("A")).equals("canary 1")
        await secrets.delete("A")
        with pytest.raises(ConflictError, match="recover_deleted"):
            await secrets.put("A", "canary 2")
        await secrets.destroy("A")
        await secrets.put("A", "canary 3")
        assert (await secrets.get("A")).equals("canary 3")


@pytest.mark.parametrize("change", ["restore", "destroy", "put"])
async def test_a_deletion_that_takes_long(server, build, monkeypatch, change):
    """What goes on is said, after one wait: not that there was no answer."""
    monkeypatch.setattr(key_vault, "_LIMBO", 0.3)
    server.rules.deleting = 60.0
    async with build() as secrets:
        await secrets.put("A", "canary")
        await secrets.delete("A")
        with pytest.raises(ConflictError, match="being deleted") as caught:
            await getattr(secrets, change)(*("A", "canary") if change == "put" else ("A",))
        assert not caught.value.transient
    assert server.count("GetDeletedSecret") < 4


# -- faults: DESIGN §3

READ = "GetSecret"
FAULTS = {
    "unavailable": (3, UnavailableError, lambda server: server.faults.status(503, message="canary")),
    "internal": (3, UnavailableError, lambda server: server.faults.status(500, message="canary")),
    "gateway": (3, UnavailableError, lambda server: server.faults.page(502)),
    "timeout": (3, UnavailableError, lambda server: server.faults.hang()),
    "reset": (3, UnavailableError, lambda server: server.faults.drop()),
    "rate_limited": (3, RateLimitedError, lambda server: server.faults.throttle()),
    "rate_limited_for_long": (1, RateLimitedError, lambda server: server.faults.throttle(100)),
    "role": (2, AccessDeniedError, lambda server: server.deny("ForbiddenByRbac")),
    "policy": (2, AccessDeniedError, lambda server: server.deny("ForbiddenByPolicy")),
    "firewall": (2, AccessDeniedError, lambda server: server.deny("ForbiddenByFirewall")),
    "barred": (2, AccessDeniedError, lambda server: server.faults.page(403)),
    "unauthenticated": (None, AuthenticationError, lambda server: server.faults.status(401, message="canary")),
    "truncated": (1, MalformedResponseError, lambda server: server.faults.corrupt("truncated")),
    "page": (1, MalformedResponseError, lambda server: server.faults.corrupt("page")),
    "another_secret": (1, MalformedResponseError, lambda server: server.faults.corrupt("secret")),
    "another_vault": (1, MalformedResponseError, lambda server: server.faults.corrupt("vault")),
}
"""Attempts and error of a read; the old value stays, whichever it is."""

GONE = {
    "disabled": {"enabled": False},
    "expired": {"exp": 1_000_000_000},
    "not_yet_valid": {"nbf": 4_000_000_000},
}

SET = {"method": "SetSecret"}
WRITE_FAULTS = {
    "denied": (AccessDeniedError, lambda server: server.deny(method="SetSecret")),
    "rate_limited": (RateLimitedError, lambda server: server.faults.throttle(100, **SET)),
    "unauthenticated": (AuthenticationError, lambda server: server.faults.status(401, **SET)),
    "refused_settings": (ConfigError, lambda server: server.faults.status(400, "BadParameter", **SET)),
    "lost": (WriteOutcomeUnknownError, lambda server: server.faults.status(503)),
    "another_secret": (WriteOutcomeUnknownError, lambda server: server.faults.corrupt("secret")),
}


@pytest.fixture
async def client(server, build, monkeypatch):
    """An open client that has read the old value. Where no answer comes, an attempt ends soon."""
    exchange = Https.exchange

    async def timed(self, *arguments, **more):
        hangs = any(fault.kind == "hang" for fault in server.faults.active)
        self._session._timeout = aiohttp.ClientTimeout(total=0.2 if hangs else 10.0)
        return await exchange(self, *arguments, **more)

    monkeypatch.setattr(Https, "exchange", timed)
    server.add("A", "canary old")
    async with build() as client:
        assert (await client.get("A")).equals("canary old")
        yield client


def healed(server):
    server.faults.clear()
    server.allow()


@pytest.mark.parametrize("kind", FAULTS)
async def test_a_refresh_that_fails_keeps_the_old_value(server, client, kind):
    """What passes is tried three times, a denial twice (it is confirmed), and what asking again cannot help once."""
    attempts, error, begin = FAULTS[kind]
    server.advance(1)
    server.add("A", "canary new")
    before = server.count(READ)
    begin(server)
    with pytest.raises(error) as caught:
        await client.refresh("A")
    assert type(caught.value) is error
    if attempts is not None and kind not in {"reset", "timeout"}:  # of which the server may not hear each
        assert server.count(READ) - before == attempts
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    assert (await client.get("A")).equals("canary old")
    healed(server)
    assert (await client.refresh("A")).equals("canary new")


@pytest.mark.parametrize("kind", FAULTS)
async def test_a_first_read_that_fails(server, client, kind):
    """Without an old value the same faults are the same errors, and a later read is not harmed by them."""
    _, error, begin = FAULTS[kind]
    server.add("B", "canary b")
    begin(server)
    with pytest.raises(error) as caught:
        await client.get("B")
    assert type(caught.value) is error
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    healed(server)
    assert (await client.refresh("B")).equals("canary b")


@pytest.mark.parametrize("reason", GONE)
async def test_what_is_gone_is_served_no_longer(server, client, reason):
    """It is asked once more before it is believed; then readers are told why."""
    server.advance(1)
    server.add("A", "canary", attributes=GONE[reason])
    for read in (client.refresh, client.get):
        with pytest.raises(SecretNotFoundError) as caught:
            await read("A")
        assert caught.value.reason == reason


@pytest.mark.parametrize("kind", WRITE_FAULTS)
async def test_a_write_that_fails(server, client, kind):
    """What was refused was not written, and what is not known is said so; the old value stays meanwhile."""
    error, begin = WRITE_FAULTS[kind]
    value = "canary new"
    server.advance(1)
    begin(server)
    with pytest.raises(error) as caught:
        await client.put("A", value)
    assert type(caught.value) is error
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    assert (await client.get("A")).equals("canary old")
    healed(server)
    assert (await client.put("A", "canary newest")).equals("canary newest")
    assert (await client.refresh("A")).equals("canary newest")


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_write_that_is_not_answered_is_decided(server, client, when):
    """By what is there then: it was written, or it is written again."""
    server.advance(1)
    server.faults.drop(method="SetSecret", when=when, times=1)
    await client.put("A", "canary new")
    assert server.value("A") == "canary new"
    assert server.count("SetSecret") == (1 if when == "after" else 2)


async def test_a_vault_that_is_not_where_its_name_leads(server, build):
    """As a private vault's public name: no secret is absent for that, and the environment does not stand in."""
    server.faults.status(404, "VaultNotFound")
    async with build({**server.environ(), "A": "canary"}) as secrets:
        with pytest.raises(ConfigError, match="private endpoint"):
            await secrets.get("A")


async def test_a_vault_that_is_not_there(server, build):
    """Is a matter of the configuration, and never absent: the environment does not stand in."""
    environ = {**server.environ(), "A": "canary of the environment"}
    async with build({**environ, "AZURE_KEY_VAULT_URI": "https://missing.vault.azure.net"}) as secrets:
        with pytest.raises(ConfigError, match=r"no vault missing\.vault\.azure\.net"):
            await secrets.get("A")
