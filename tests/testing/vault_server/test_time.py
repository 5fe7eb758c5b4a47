"""Lifetimes follow the clock that the server was given: nothing here waits."""

from __future__ import annotations

from typing import Any

import pytest

from asyncsecrets.testing.vault_server import VaultServer

from .conftest import Client
from .replay import Clock, Signer

SELF = "auth/token/lookup-self"


async def test_a_token_expires(server: VaultServer, ask: Client, clock: Clock) -> None:
    """After its ``ttl``, to the second."""
    token = server.create_token(ttl="1h")
    clock.now += 3599
    assert (await ask("GET", SELF, token=token))[1]["data"]["ttl"] == 1
    clock.now += 1
    assert await ask("GET", SELF, token=token) == (403, {"errors": ["permission denied"]})


async def test_a_renewal_extends_to_the_limit_and_no_further(server: VaultServer, ask: Client, clock: Clock) -> None:
    """``explicit_max_ttl`` counts from the creation; the cut is told in a warning."""
    token = server.create_token("default", ttl="1h", explicit_max_ttl="90m")
    clock.now += 3000
    status, body = await ask("POST", "auth/token/renew-self", {}, token=token)
    assert (status, body["auth"]["lease_duration"]) == (200, 2400)
    clock.now += 2399
    assert (await ask("GET", SELF, token=token))[0] == 200
    clock.now += 1
    assert (await ask("GET", SELF, token=token))[0] == 403


async def test_a_periodic_token_lives_as_long_as_it_is_renewed(server: VaultServer, ask: Client, clock: Clock) -> None:
    """Beyond any maximum."""
    token = server.create_token("default", period="24h")
    for _ in range(60):
        clock.now += 80_000
        assert (await ask("POST", "auth/token/renew-self", {}, token=token))[0] == 200
    clock.now += 86_400
    assert (await ask("GET", SELF, token=token))[0] == 403


async def test_an_expired_parent_takes_its_children_along(server: VaultServer, ask: Client, clock: Clock) -> None:
    """An orphan stays."""
    server.write_policy("maker", 'path "auth/token/*" { capabilities = ["update", "sudo"] }')
    parent = server.create_token("maker", ttl="1m")
    child = (await ask("POST", "auth/token/create", {"ttl": "1h"}, token=parent))[1]["auth"]["client_token"]
    orphan = (await ask("POST", "auth/token/create-orphan", {"ttl": "1h"}, token=parent))[1]["auth"]["client_token"]
    clock.now += 60
    assert (await ask("GET", SELF, token=parent))[0] == 403
    assert (await ask("GET", SELF, token=child))[0] == 403
    assert (await ask("GET", SELF, token=orphan))[0] == 200


async def test_a_token_with_uses_ends_with_the_last_one(server: VaultServer, ask: Client) -> None:
    """Every request is a use, a denied one too."""
    token = server.create_token("default", num_uses=3, ttl="1h")
    assert (await ask("GET", SELF, token=token))[1]["data"]["num_uses"] == 2
    assert (await ask("GET", "secret/data/a", token=token))[0] == 403
    assert (await ask("GET", SELF, token=token))[0] == 200
    assert await ask("GET", SELF, token=token) == (403, {"errors": ["permission denied"]})


async def test_a_wrapping_token_works_once_and_not_for_ever(server: VaultServer, ask: Client, clock: Clock) -> None:
    """It expires with its answer inside."""
    server.write_secret("a", {"key": "canary"})
    tokens = []
    for _ in range(2):
        body = (await ask("GET", "secret/data/a", X_Vault_Wrap_TTL="60s"))[1]
        assert body["data"] is None
        tokens.append(body["wrap_info"]["token"])
    unwrapped = await ask("POST", "sys/wrapping/unwrap", {"token": tokens[0]})
    assert unwrapped[1]["data"]["data"] == {"key": "canary"}
    assert (await ask("POST", "sys/wrapping/unwrap", {"token": tokens[0]}))[0] == 400
    assert (await ask("POST", "sys/wrapping/lookup", {"token": tokens[1]}))[1]["data"]["creation_ttl"] == 60
    clock.now += 60
    assert (await ask("POST", "sys/wrapping/unwrap", {"token": tokens[1]}))[0] == 400


async def test_a_version_deletes_itself(server: VaultServer, ask: Client, clock: Clock) -> None:
    """``delete_version_after`` seconds after it was written; undelete gives it as long again."""
    await ask("POST", "secret/metadata/a", {"delete_version_after": "10s"})
    server.write_secret("a", {"key": "canary"})
    clock.now += 9
    assert (await ask("GET", "secret/data/a"))[0] == 200
    clock.now += 1
    status, body = await ask("GET", "secret/data/a")
    assert (status, body["data"]["data"]) == (404, None)
    await ask("POST", "secret/undelete/a", {"versions": [1]})
    clock.now += 9
    assert (await ask("GET", "secret/data/a"))[0] == 200


async def test_a_rate_limit_opens_again(server: VaultServer, ask: Client, clock: Clock) -> None:
    """When its interval has passed; ``Retry-After`` says when, if the operator wants it to."""
    await ask("POST", "sys/quotas/config", {"enable_rate_limit_response_headers": True})
    await ask("POST", "sys/quotas/rate-limit/q", {"path": "secret/", "rate": 2, "interval": "10s"})
    server_side = [(await ask("GET", "secret/data/a"))[0] for _ in range(3)]
    assert server_side == [404, 404, 429]
    clock.now += 4
    _, headers, _ = await ask.full("GET", "secret/data/a")
    assert (headers["Retry-After"], headers["X-Ratelimit-Limit"]) == ("6", "2")
    clock.now += 6
    assert (await ask("GET", "secret/data/a"))[0] == 404


@pytest.fixture
async def approle(server: VaultServer, ask: Client) -> Any:
    """A role, and a function that logs in with a secret id."""
    await ask("POST", "sys/auth/approle", {"type": "approle"})
    await ask("POST", "auth/approle/role/app", {"role_id": "app", "token_ttl": "10m", "token_max_ttl": "15m"})

    async def log_in(secret_id: str) -> tuple[int, dict[str, Any]]:
        return await ask("POST", "auth/approle/login", {"role_id": "app", "secret_id": secret_id})

    return log_in


async def test_a_secret_id_expires(ask: Client, clock: Clock, approle: Any) -> None:
    """After its ``ttl``; the answer is that of a wrong one."""
    issued = (await ask("POST", "auth/approle/role/app/secret-id", {"ttl": "60s"}))[1]["data"]
    assert (await approle(issued["secret_id"]))[0] == 200
    clock.now += 60
    assert await approle(issued["secret_id"]) == (400, {"errors": ["invalid role or secret ID"]})


async def test_a_login_lives_up_to_the_roles_maximum(ask: Client, clock: Clock, approle: Any) -> None:
    """Renewals stop there."""
    issued = (await ask("POST", "auth/approle/role/app/secret-id", {}))[1]["data"]
    token = (await approle(issued["secret_id"]))[1]["auth"]["client_token"]
    clock.now += 599
    renewed = (await ask("POST", "auth/token/renew-self", {}, token=token))[1]["auth"]
    assert renewed["lease_duration"] == 301
    clock.now += 301
    assert (await ask("GET", SELF, token=token))[0] == 403


async def test_disabling_a_method_ends_its_tokens(ask: Client, approle: Any) -> None:
    """Those that it issued, and no others."""
    issued = (await ask("POST", "auth/approle/role/app/secret-id", {}))[1]["data"]
    token = (await approle(issued["secret_id"]))[1]["auth"]["client_token"]
    await ask("DELETE", "sys/auth/approle")
    assert (await ask("GET", SELF, token=token))[0] == 403
    assert (await ask("GET", SELF))[0] == 200


async def test_a_jwt_expires_with_the_servers_clock(ask: Client, clock: Clock) -> None:
    """With a minute of grace for clocks that differ."""
    signer = Signer()
    await ask("POST", "sys/auth/jwt", {"type": "jwt"})
    await ask("POST", "auth/jwt/config", {"jwt_validation_pubkeys": [signer.public_pem]})
    role = {"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"], "token_policies": ["default"]}
    await ask("POST", "auth/jwt/role/app", role)
    token = signer.token(sub="app", aud="vault", iat=clock.now, exp=clock.now + 100)
    body = {"role": "app", "jwt": token}
    clock.now += 160
    assert (await ask("POST", "auth/jwt/login", body))[0] == 200
    clock.now += 1
    status, answer = await ask("POST", "auth/jwt/login", body)
    assert (status, "token is expired" in answer["errors"][0]) == (400, True)
