"""A token that has expired costs one login; a policy that forbids costs none; a wrong secret id is not hammered.

What was asked of the server is counted on the wire, not by the provider's own counters.
"""

from __future__ import annotations

import asyncio
import time

import pytest

from asyncsecrets import SecretsClient
from asyncsecrets.config import Config, Freshness, SourceConfig
from asyncsecrets.errors import AccessDeniedError, AuthenticationError
from asyncsecrets.retry import RetryPolicy
from benchmarks.vault_wire import Wire

READS = 1000
PATIENT = {"attempt_timeout": 60.0}


def reader(stage):
    """A policy that may read the folder, and nothing else."""
    return f'path "secret/data/{stage.own}/*" {{ capabilities = ["read"] }}'


async def seed(stage, count=20):
    """Some secrets, and the thousand reads of them: returns a name for each read."""
    names = [f"name-{number}" for number in range(count)]
    async with stage.provider(kv_version=2, **PATIENT) as provider:
        for name in names:
            await provider.put(name, f"canary-{name}")
    return names * (READS // count)


def uncached(provider):
    """A client that asks the server for each read, and only once."""
    source = SourceConfig(name="default", system="hashicorp_vault", freshness=Freshness(cached=False))
    retry = RetryPolicy(attempts=1, deadline=60.0)  # no read may need a retry, however slow the machine is
    return SecretsClient(Config(sources={"default": source}), providers={"default": provider}, environ={}, retry=retry)


async def all_of(client, names):
    """Read them all at once."""
    return await asyncio.gather(*(client.get(name) for name in names), return_exceptions=True)


def check(names, results):
    """Every read brought its own value."""
    assert not [result for result in results if isinstance(result, BaseException)]
    assert all(result.equals(f"canary-{name}") for name, result in zip(names, results, strict=True))


async def expire_here(stage, provider, now):
    """The lease is over by the client's clock and the server's: the login comes before the first read is sent."""
    if stage.server is not None:
        stage.now[0] += 3700
    now[0] += 3700
    return 0


async def expire_there(stage, provider, now):
    """The token is over for the server, and nobody told the client: each read of the first wave is refused."""
    if stage.server is not None:
        stage.now[0] += 3700
    else:
        await stage("POST", "auth/token/revoke", {"token": provider.tokens.current().text})
    return READS


@pytest.mark.parametrize("expire", [expire_here, expire_there])
async def test_an_expired_token_is_one_login(stage, expire):
    """1,000 concurrent cold reads with an expired AppRole token: exactly one login, no failure."""
    names = await seed(stage)
    now = [time.monotonic()]
    login = await stage.app(reader(stage), token_ttl="1h")
    async with (
        Wire(stage.url) as wire,
        stage.provider(**login, addr=wire.url, clock=lambda: now[0], **PATIENT) as provider,
        uncached(provider) as client,
    ):
        await client.get(names[0])
        logins = wire.count("POST", f"/v1/auth/{stage.own}/login")
        wire.requests.clear()
        refused = await expire(stage, provider, now)
        check(names, await all_of(client, names))
        assert logins == 1
        assert wire.count("POST", "/v1/auth/") == 1
        assert READS <= wire.count("GET", "/v1/secret/data/") <= READS + refused


async def test_a_forbidding_policy_is_no_login(stage):
    """1,000 reads that the policy forbids: no login, and 1,000 errors of the callers' own that say what is missing."""
    login = await stage.app('path "secret/data/elsewhere/*" { capabilities = ["read"] }')
    async with (
        Wire(stage.url) as wire,
        stage.provider(**login, addr=wire.url, **PATIENT) as provider,
        uncached(provider) as client,
    ):
        names = [f"name-{number}" for number in range(READS)]
        with pytest.raises(AccessDeniedError):
            await client.get("first")
        assert wire.count("POST", "/v1/auth/") == 1
        wire.requests.clear()
        results = await all_of(client, names)
        assert wire.count("POST", "/v1/auth/") == 0
        assert wire.count("GET", "/v1/secret/data/") == READS
    assert {type(result) for result in results} == {AccessDeniedError}
    assert len({id(result) for result in results}) == READS
    for name, error in zip(names, results, strict=True):
        assert f"secret/data/{stage.own}/{name}" in str(error)
        assert "'read'" in str(error)
        assert (error.name, error.attempts, error.transient) == (name, 1, False)


@pytest.mark.parametrize(
    ("operation", "path", "capability"),
    [
        (lambda we: we.put("x", "canary"), "secret/data/{own}/x", "create and update"),
        (lambda we: we.patch("x", {"key": "canary"}), "secret/data/{own}/x", "patch"),
        (lambda we: we.delete("x"), "secret/data/{own}/x", "delete"),
        (lambda we: we.delete_versions("x", ["1"]), "secret/delete/{own}/x", "update"),
        (lambda we: we.restore("x"), "secret/data/{own}/x", "read"),
        (lambda we: we.destroy("x", ["1"]), "secret/destroy/{own}/x", "update"),
        (lambda we: we.destroy("x"), "secret/metadata/{own}/x", "delete"),
        (lambda we: we.versions("x"), "secret/metadata/{own}/x", "read"),
        (lambda we: we.write_metadata("x", max_versions=3), "secret/metadata/{own}/x", "create and update"),
        (lambda we: we.list(), "secret/metadata/{own}/", "list"),
    ],
)
async def test_each_operation_names_what_it_lacks(stage, operation, path, capability):
    """Path and capability are those that, added to the policy, make the operation work."""
    async with stage.provider() as root:
        await root.put("x", "canary")
    login = await stage.app('path "secret/data/elsewhere/*" { capabilities = ["read"] }')
    async with stage.provider(**login, kv_version=2) as provider:
        with pytest.raises(AccessDeniedError) as caught:
            await operation(provider)
        assert repr(path.format(own=stage.own)) in str(caught.value)
        assert repr(capability) in str(caught.value)
        named = ", ".join(f'"{each}"' for each in capability.split(" and "))
        policy = f'path "{path.format(own=stage.own)}" {{ capabilities = [{named}] }}'
        await stage("POST", f"sys/policies/acl/{stage.own}", {"policy": policy})
        await operation(provider)


async def test_a_wrong_secret_id_is_not_hammered(stage):
    """Ten seconds of hammering with a wrong secret id: AuthenticationError for everybody, at most four logins."""
    names = [f"name-{number}" for number in range(20)]
    now = [time.monotonic()]
    login = await stage.app(reader(stage))
    login["approle_secret_id"] = "canary-wrong-secret-id"
    results = []
    async with (
        Wire(stage.url) as wire,
        stage.provider(**login, addr=wire.url, clock=lambda: now[0], **PATIENT) as provider,
        uncached(provider) as client,
    ):
        for _ in range(100):
            results += await all_of(client, names)
            now[0] += 0.1
        # The waits are 1, 2, 4 and 8 s, each up to 30 % shorter: the fifth login is due after 10.5 s at the earliest.
        assert 3 <= wire.count("POST", "/v1/auth/") <= 4
        assert wire.count("GET", "/v1/") == 0
    assert {type(result) for result in results} == {AuthenticationError}
    assert len({id(result) for result in results}) == len(results)
    assert not any("canary" in str(result) for result in results)
