"""On the way to a vault: TLS, proxies, redirects, answers that are too long, how far a write has come."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path

import pytest
import trustme

from asyncsecrets.errors import (
    AccessDeniedError,
    AsyncSecretsError,
    AuthenticationError,
    ConfigError,
    InsecureTransportError,
    MalformedResponseError,
    UnavailableError,
)
from asyncsecrets.providers.azure.connection import Attempt, ToVault, attempt
from asyncsecrets.providers.azure.errors import Call
from asyncsecrets.sending import followed
from tests.providers.azure.conftest import SYSTEM, answer, ask, read, write
from tests.providers.listening import Listening
from tests.providers.tunnel import Tunnel, refusal


async def test_whom_to_trust(connected, server):
    """Who is not signed for gets no request, not even one without a token."""
    connection = await connected(azure_ca_cert="")
    with pytest.raises(InsecureTransportError, match=r"azure_ca_cert \(or REQUESTS_CA_BUNDLE\)"):
        await read(connection)
    assert not server.requests
    await read(await connected({**server.environ(), "REQUESTS_CA_BUNDLE": server.ca_file}, azure_ca_cert=""))


async def test_a_proxy(connected, server, names):
    """It carries what goes to the vault and to Entra ID, and hears their hosts and no more."""
    names.clear()  # whoever resolves them, it is not us
    async with Tunnel(server.port, user="canary:word") as proxy:
        environ = {**server.environ(), "HTTPS_PROXY": f"http://canary:word@{proxy.address}"}
        connection = await connected(environ)
        assert await read(connection) == "canary"
        assert set(proxy.targets) == {"demo.vault.azure.net:443", "login.microsoftonline.com:443"}
        assert b"canary" not in proxy.carried
        await connection.aclose()


async def test_a_proxy_of_an_unknown_name(connected, server):
    """It is not the vault that is not there."""
    connection = await connected({**server.environ(), "HTTPS_PROXY": "http://canary.test:3128"})
    with pytest.raises(AsyncSecretsError, match="proxy") as caught:
        await read(connection)
    assert "no vault" not in str(caught.value)


PROXIES = {
    "no": (refusal(403), ConfigError, "refuses to connect"),
    "who": (refusal(407), ConfigError, "user and password"),
    "down": (refusal(503), UnavailableError, "cannot connect"),
    "silent": (None, UnavailableError, "hung up"),
}


@pytest.mark.parametrize("what", PROXIES)
async def test_a_proxy_that_opens_no_way(connected, server, what):
    """It is the proxy's fault, and a write was not sent."""
    answer, kind, match = PROXIES[what]
    async with Tunnel(server.port, answer=answer) as proxy:
        connection = await connected({**server.environ(), "HTTPS_PROXY": proxy.url})
        with pytest.raises(kind, match=match) as caught, followed() as sending:
            await write(connection)
        assert not getattr(caught.value, "outcome_unknown", False)
        assert not sending.out
    socks = await connected({**server.environ(), "HTTPS_PROXY": "socks5://127.0.0.1:1"})
    with pytest.raises(ConfigError, match="SOCKS"):
        await read(socks)


class Vault(Listening):
    """A vault that answers what it is told to."""

    def __init__(self, server, answer):
        authority = trustme.CA()
        self.ca_file = Path(server.folder, "another.pem")
        authority.cert_pem.write_to_path(self.ca_file)
        self.ssl = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("*.vault.azure.net").configure_cert(self.ssl)
        self.answer = answer
        self.heads = []

    async def _talk(self, reader, writer):
        while True:
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(self.answer)
            await writer.drain()


ANSWERS = {
    "a redirect": (answer(302, "Location: https://evil.test/canary"), InsecureTransportError, "does not redirect"),
    "another redirect": (answer(308, "Location: /canary"), InsecureTransportError, "does not redirect"),
    "too much": (b"HTTP/1.1 200 X\r\n\r\n" + b"x" * 9_000_000, MalformedResponseError, "too large"),
    "compressed": (answer(200, "Content-Encoding: gzip", body=b"canary"), MalformedResponseError, "compressed"),
    "no HTTP": (b"canary\r\n\r\n", UnavailableError, "broke"),
    "no challenge": (answer(401, body=b"canary"), AuthenticationError, "AZURE_KEY_VAULT_URI"),
    "another status": (answer(299, body=b"canary"), MalformedResponseError, "makes no sense"),
}


@pytest.mark.parametrize("what", ANSWERS)
async def test_an_answer_that_is_none(connected, server, names, what):
    """It is not followed, read or inflated, and no token was shown for it."""
    text, kind, match = ANSWERS[what]
    async with Vault(server, text) as vault:
        names["demo.vault.azure.net"] = ("127.0.0.1", vault.own_port)
        connection = await connected(azure_ca_cert=str(vault.ca_file), attempt_timeout="10")
        with pytest.raises(kind, match=match):
            await read(connection)
        assert len(vault.heads) == 1
        assert b"authorization" not in vault.heads[0].lower()
        assert b"accept-encoding: identity" in vault.heads[0].lower()
        await connection.aclose()


async def test_a_next_page_that_is_elsewhere(connected, server):
    """A vault's list leads to itself: a token goes to no other host, whatever the list says."""
    connection = await connected()
    await read(connection)
    server.faults.corrupt("vault", method="GetSecrets")
    server.rules.page_size = 1
    for number in range(3):
        server.add(f"NAME{number}", "canary")
    real = server.default.get_secrets
    server.default.get_secrets = lambda asked: {**real(asked), "nextLink": "https://demo.vault.azure.net/secrets?a=b"}

    [link] = [await ask(connection, "GetSecrets", "GET", "/secrets", None, lambda page: page["nextLink"])]
    with pytest.raises(InsecureTransportError, match="leads to another host"):
        await ask(connection, "GetSecrets", "GET", link, None, lambda page: page)


@pytest.mark.parametrize(
    ("url", "goes"),
    [
        ("https://demo.vault.azure.net:443/secrets?x", True),
        ("https://DEMO.vault.azure.net/secrets", True),
        ("http://demo.vault.azure.net/secrets", False),
        ("https://demo.vault.azure.net:444/secrets", False),
        ("https://demo.vault.azure.net.evil.test/", False),
        ("https://demo.vault.azure.net:x/", False),
        ("https://demo.vault.azure.net@evil.test/", False),
    ],
)
async def test_where_requests_go(url, goes):
    """To the vault that was configured, and to no other host."""
    sent = []

    class Https:
        async def exchange(self, method, url, headers, body, *, sending):
            sent.append(url)
            return type("Answer", (), {"status": 200, "headers": {}, "data": b""})()

    transport = ToVault(Https(), "https://demo.vault.azure.net")
    request = type("Request", (), {"method": "GET", "url": url, "headers": {}, "content": None})()
    token = attempt.set(Attempt(Call(SYSTEM, "GetSecrets")))
    try:
        if goes:
            await transport.send(request)
        else:
            with pytest.raises((InsecureTransportError, ValueError)):
                await transport.send(request)
    finally:
        attempt.reset(token)
    assert sent == ([url] if goes else [])


# -- how far a write has come


async def test_a_write_is_out_once_it_is_sent(connected, server):
    """Neither the challenge nor a request that the vault refused counts."""
    connection = await connected()
    for _ in range(2):
        with followed() as sending:
            await write(connection)
        assert sending.requests == 1
        server.entra.revoke(server.client_id)
    server.deny("ForbiddenByRbac")
    with followed() as sending, pytest.raises(AccessDeniedError):
        await write(connection)
    assert not sending.out
    server.allow()
    server.faults.status(503, method="SetSecret")
    with followed() as sending, pytest.raises(UnavailableError):
        await write(connection)
    assert sending.out, "who cannot answer may have written"


@pytest.mark.parametrize("method", ["SetSecret", "token", "challenge", "another token"])
async def test_a_write_that_is_given_up(connected, server, method):
    """While it is under way, it may have been applied; while it waits for a token, it was not sent, or was refused."""
    connection = await connected()
    if method == "another token":
        method = "token"
        await read(connection)
        server.entra.revoke(server.client_id)
    server.faults.hang(method=method)
    before = server.count(method)

    async def be_given_up():
        with followed() as sending, contextlib.suppress(asyncio.CancelledError):
            await write(connection)
        return sending.out

    writing = asyncio.create_task(be_given_up())
    while server.count(method) == before:
        await asyncio.sleep(0.01)
    writing.cancel()
    assert await writing == (method == "SetSecret")
