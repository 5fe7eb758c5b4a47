"""Logins that need somebody else: a cluster that vouches, a certificate on the connection."""

from __future__ import annotations

import json
import re
import ssl
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme

from asyncsecrets.errors import MissingDependencyError
from asyncsecrets.testing import needs
from asyncsecrets.testing.vault_server import VaultServer

from .conftest import Client
from .replay import Clock, Signer, service_account

ROLE = {"bound_service_account_names": "app", "bound_service_account_namespaces": "default", "token_policies": "p"}
VOUCHED = {"authenticated": True, "user": {"username": "system:serviceaccount:default:app", "uid": "u1"}}


async def _kubernetes(review: Any, clock: Clock, role: dict[str, Any] = ROLE, name: str = "app") -> int:
    async with VaultServer(token_review=review, clock=clock) as server, aiohttp.ClientSession() as session:
        ask = Client(server, session)
        await ask("POST", "sys/auth/kubernetes", {"type": "kubernetes"})
        assert (await ask("POST", "auth/kubernetes/role/app", role))[0] == 204
        token = service_account(Signer(), clock.now, name)
        return (await ask("POST", "auth/kubernetes/login", {"role": "app", "jwt": token}))[0]


async def test_a_token_review_may_be_a_function(clock: Clock) -> None:
    """Plain or async, in place of a cluster."""

    async def review(token: str, audiences: list[str]) -> dict[str, Any]:
        assert token.count(".") == 2
        assert audiences == []
        return VOUCHED

    assert await _kubernetes(lambda token, audiences: VOUCHED, clock) == 200
    assert await _kubernetes(review, clock) == 200


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"authenticated": False},
        {**VOUCHED, "error": "expired"},
        {**VOUCHED, "authenticated": "true"},
        {**VOUCHED, "user": {"username": "system:serviceaccount:default:other", "uid": "u1"}},
        {**VOUCHED, "user": {"username": "system:serviceaccount:default:app", "uid": "u2"}},
    ],
)
async def test_only_a_whole_review_lets_in(clock: Clock, status: dict[str, Any]) -> None:
    """Authenticated, without an error, and for this very account."""
    assert await _kubernetes(lambda token, audiences: status, clock) == 403


async def test_the_role_bounds_accounts_and_audiences(clock: Clock) -> None:
    """Another account is refused before anybody is asked; an audience must come back from the review."""
    assert await _kubernetes(lambda token, audiences: VOUCHED, clock, name="other") == 403
    bound = {**ROLE, "audience": "vault"}
    assert await _kubernetes(lambda token, audiences: VOUCHED, clock, bound) == 403
    assert await _kubernetes(lambda token, audiences: {**VOUCHED, "audiences": audiences}, clock, bound) == 200


async def test_a_cluster_that_is_not_there_lets_nobody_in(server: VaultServer, ask: Client, clock: Clock) -> None:
    """403, as the real server says."""
    await ask("POST", "sys/auth/kubernetes", {"type": "kubernetes"})
    await ask("POST", "auth/kubernetes/config", {"kubernetes_host": "http://127.0.0.1:1"})
    await ask("POST", "auth/kubernetes/role/app", ROLE)
    body = {"role": "app", "jwt": service_account(Signer(), clock.now)}
    assert (await ask("POST", "auth/kubernetes/login", body))[0] == 403


class Tls:
    """A TLS server, and a way to ask it with or without a client certificate."""

    def __init__(self, server: VaultServer, session: aiohttp.ClientSession) -> None:
        self.server, self.session = server, session

    async def __call__(self, path: str, body: dict, certificate: Any = None, token: str = "") -> tuple[int, dict]:
        context = ssl.create_default_context(cafile=self.server.ca_file)
        if certificate is not None:
            context.load_cert_chain(certificate.cert_file, certificate.key_file)
        headers = {"X-Vault-Token": token or self.server.root_token}
        url = f"{self.server.url}/v1/{path}"
        async with self.session.post(url, json=body, headers=headers, ssl=context) as answer:
            content = await answer.read()
            return answer.status, json.loads(content) if content else {}


@pytest.fixture
async def tls():
    """A TLS server with the certificate method."""
    connector = aiohttp.TCPConnector(force_close=True)
    async with VaultServer(tls=True) as server, aiohttp.ClientSession(connector=connector) as session:
        ask = Tls(server, session)
        await ask("sys/auth/cert", {"type": "cert"})
        yield ask


async def test_a_role_may_trust_an_authority(tls: Tls) -> None:
    """Any certificate that it signed logs in, unless the role bounds the names."""
    pem = Path(tls.server.ca_file).read_text()
    web, db = tls.server.client_certificate("web"), tls.server.client_certificate("db")
    await tls("auth/cert/certs/any", {"certificate": pem, "allowed_common_names": "w*"})
    status, body = await tls("auth/cert/login", {}, web)
    assert (status, body["auth"]["metadata"]["common_name"]) == (200, "web")
    assert (await tls("auth/cert/login", {}, db))[0] == 400


async def test_a_strangers_certificate_may_be_trusted_alone(tls: Tls, tmp_path: Any) -> None:
    """A certificate of another authority does not even get a connection, until a role names it."""
    stranger = trustme.CA().issue_cert("stranger.invalid", common_name="stranger")
    files = type("Files", (), {"cert_file": str(tmp_path / "c"), "key_file": str(tmp_path / "k")})
    stranger.cert_chain_pems[0].write_to_path(files.cert_file)
    stranger.private_key_pem.write_to_path(files.key_file)
    with pytest.raises(aiohttp.ClientError):
        await tls("auth/cert/login", {}, files)
    pem = stranger.cert_chain_pems[0].bytes().decode()
    assert (await tls("auth/cert/certs/stranger", {"certificate": pem}))[0] == 204
    assert (await tls("auth/cert/login", {}, files))[0] == 200


@pytest.mark.parametrize(("days", "bound"), [(-40_000, "before"), (400_000, "after")])
async def test_a_certificate_has_its_time(days: int, bound: str) -> None:
    """Outside of it the login is a fault of the server's own, in the words of Go's verification."""
    now = [time.time()]
    connector = aiohttp.TCPConnector(force_close=True)
    async with (
        VaultServer(tls=True, clock=lambda: now[0]) as server,
        aiohttp.ClientSession(connector=connector) as session,
    ):
        ask = Tls(server, session)
        await ask("sys/auth/cert", {"type": "cert"})
        await ask("auth/cert/certs/any", {"certificate": Path(server.ca_file).read_text()})
        web = server.client_certificate("web")
        now[0] += days * 86400
        status, body = await ask("auth/cert/login", {}, web)
    assert status == 500
    words = r"failed to verify client's certificate: x509: certificate has expired or is not yet valid: current time "
    assert re.fullmatch(words + rf"\S+Z is {bound} \S+Z", body["errors"][0])


async def test_a_renewal_needs_the_same_certificate(tls: Tls) -> None:
    """Another one, of the same role, will not do."""
    web, other = tls.server.client_certificate("web"), tls.server.client_certificate("web2")
    await tls("auth/cert/certs/any", {"certificate": Path(tls.server.ca_file).read_text(), "token_policies": "default"})
    token = (await tls("auth/cert/login", {}, web))[1]["auth"]["client_token"]
    assert (await tls("auth/token/renew-self", {}, web, token))[0] == 200
    assert (await tls("auth/token/renew-self", {}, other, token))[0] == 400
    assert (await tls("auth/token/renew-self", {}, None, token))[0] == 400


async def test_a_missing_package_is_named(server: VaultServer, ask: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """TLS and JWT need packages that the base installation does not have: the message says which extra."""

    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(needs.importlib, "import_module", missing)
    with pytest.raises(MissingDependencyError, match=r"asyncsecrets\[testing\]") as caught:
        VaultServer(tls=True)
    assert caught.value.extra == "testing"
    await ask("POST", "sys/auth/jwt", {"type": "jwt"})
    status, body = await ask("POST", "auth/jwt/config", {"jwt_validation_pubkeys": ["x"]})
    assert (status, "asyncsecrets[testing]" in body["errors"][0]) == (500, True)


async def test_without_tls_there_is_no_certificate(server: VaultServer, ask: Client) -> None:
    """Nor a way to make one."""
    await ask("POST", "sys/auth/cert", {"type": "cert"})
    assert await ask("POST", "auth/cert/login", {}) == (400, {"errors": ["no client certificate found"]})
    with pytest.raises(ValueError, match="tls=True"):
        server.client_certificate("web")
