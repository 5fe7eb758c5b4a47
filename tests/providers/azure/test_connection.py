"""Calls of a vault: tokens as its challenges want them, shared by sources, and closed with the last of them."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import time
import traceback
import warnings

import pytest

from asyncsecrets.errors import (
    AuthenticationError,
    ClosedError,
    ConfigError,
    InsecureTransportError,
    MalformedResponseError,
    ProviderError,
)
from asyncsecrets.providers.azure import credentials
from asyncsecrets.providers.azure.connection import _TOKENS, Connection
from asyncsecrets.providers.azure.credentials import BearerTokens, Shown
from asyncsecrets.providers.azure.errors import Call
from asyncsecrets.providers.azure.identities import Target
from asyncsecrets.providers.azure.settings import AzureSettings
from asyncsecrets.testing.azure_server import AzureServer
from tests.providers.azure.conftest import SYSTEM, read, settings_at, write

TARGET = Target("https://vault.azure.net/.default")


def tokens_of(server, *, method="default", **options):
    """The tokens of an application, without a vault."""
    settings = AzureSettings.from_mapping(SYSTEM, settings_at(server, auth_method=method), server.environ())
    return BearerTokens(settings, TARGET, Call(SYSTEM, "credentials"), **options)


async def test_reads_and_writes(connected, server):
    """By one token and one challenge for each who asks at once; later ones need none."""
    connection = await connected()
    assert await asyncio.gather(*(read(connection) for _ in range(20))) == ["canary"] * 20
    before = server.count("challenge")
    assert (await write(connection))["id"]
    assert server.value("NAME") == "canary anew"
    assert server.count("token") == 1
    assert server.count("challenge") == before <= 20


async def test_sources_with_one_identity_share_its_tokens(connected, server):
    """One token for all of them, which is renewed for all; the last one that is closed ends it."""
    connections = [await connected() for _ in range(3)]
    for connection in connections:
        assert await read(connection) == "canary"
    assert server.count("token") == 1
    server.entra.revoke(server.client_id)
    for connection in connections:
        assert await read(connection) == "canary"
    assert server.count("token") == 2
    pools = credentials._pools[asyncio.get_running_loop()]
    assert len(pools) == 1
    for connection in connections[:2]:
        await connection.aclose()
    connections.append(await connected())
    for connection in connections[2:]:
        assert await read(connection) == "canary"
        assert server.count("token") == 2
        await connection.aclose()
    assert not pools


async def test_another_vault(connected, server, names):
    """Its challenge names the same scope and tenant: no token more."""
    server.vault("other").add("NAME", "canary there")
    names["other.vault.azure.net"] = server.addresses["other.vault.azure.net"]
    assert await read(await connected()) == "canary"
    assert await read(await connected(azure_key_vault_uri="https://Other.vault.azure.net/")) == "canary there"
    assert server.count("token") == 1


@pytest.mark.parametrize("what", ["secret", "timeout", "variable"])
async def test_sources_with_another_identity_do_not(connected, server, what):
    """Nor those that ask otherwise."""
    more = server.entra.add(server.client_id)
    await read(await connected())
    environ = {**server.environ(), **({"AZURE_CLIENT_SECRET": more} if what == "secret" else {})}
    environ |= {"ELSE": "1"} if what == "variable" else {}
    await read(await connected(environ, **({"connect_timeout": "3"} if what == "timeout" else {})))
    assert server.count("token") == 2


@pytest.mark.parametrize("how", ["revoke", "expire"])
async def test_a_token_that_ended_under_way(connected, server, how):
    """The vault refuses it: it is got anew, once for all who wait, and nobody notices."""
    connection = await connected()
    await read(connection)
    server.entra.expire() if how == "expire" else server.entra.revoke(server.client_id)
    assert await asyncio.gather(*(read(connection) for _ in range(10))) == ["canary"] * 10
    assert server.count("token") == 2


async def test_tokens_that_end_again_and_again(connected, server):
    """Each that the vault takes puts an end to waiting: none of them is counted as in vain."""
    connection = await connected()
    for _ in range(6):
        assert await read(connection) == "canary"
        server.entra.revoke(server.client_id)
    assert server.count("token") == 6


async def test_a_token_that_ended_before_the_first_challenge(connected, server, names):
    """The vault has never been asked: its challenge is not answered with a token that it has refused."""
    await read(await connected())
    server.vault("other").add("NAME", "canary there")
    names["other.vault.azure.net"] = server.addresses["other.vault.azure.net"]
    server.entra.revoke(server.client_id)
    assert await read(await connected(azure_key_vault_uri="other.vault.azure.net")) == "canary there"


async def test_a_token_that_stays_refused(connected, server):
    """Three times it is got anew at once, and then seldom: a vault that refuses us is no reason to ask Entra ID."""
    server.entra.holder = lambda *_: (_ for _ in ()).throw(server.faults.status(401, "Unauthorized").refusal)
    server.faults.clear()
    connection = await connected()
    for _ in range(8):
        with pytest.raises(AuthenticationError, match=r"does not accept the token.*AZURE_TENANT_ID") as caught:
            await read(connection)
        assert caught.value.name == "NAME"
    assert server.count("token") <= 5


async def test_a_vault_that_begins_to_refuse(connected, server):
    """A call shows it one token more than that of before, and not a third one."""
    connection = await connected()
    await read(connection)
    server.entra.holder = lambda *_: (_ for _ in ()).throw(server.faults.status(401, "Unauthorized").refusal)
    server.faults.clear()
    with pytest.raises(AuthenticationError):
        await read(connection)
    assert server.count("token") == 2


async def test_claims(connected, server):
    """A vault that wants a newer token with claims of its own (continuous access evaluation) gets it."""
    connection = await connected()
    await read(connection)
    server.entra.demand_claims(server.client_id)
    assert await asyncio.gather(*(read(connection) for _ in range(5))) == ["canary"] * 5
    assert server.count("token") == 2
    claims = [token.claims for token in server.entra._tokens.values()]
    assert ["nbf" in each for each in claims] == [False, True]
    assert all("xms_cc" in each for each in claims)  # who asks can handle such challenges
    server.entra._demanded.clear()
    server.entra.revoke(server.client_id)
    assert await read(connection) == "canary"
    again = [token.claims for token in server.entra._tokens.values()][-1]
    assert server.count("token") == 3
    assert "nbf" not in again, "they are those of one challenge"
    server.entra.revoke(server.client_id)
    server.entra._demanded.clear()
    await read(connection)
    assert ["nbf" in token.claims for token in server.entra._tokens.values()] == [False]  # they were for that one


async def test_a_vault_that_has_moved(connected, server):
    """To another tenant: its challenge says so, and what was known of it is wrong."""
    connection = await connected({**server.environ(), "AZURE_ADDITIONALLY_ALLOWED_TENANTS": "*"})
    await read(connection)
    server.default.tenant = "99999999-2222-3333-4444-555555555555"
    server.entra.tenants.add(server.default.tenant)
    assert await read(connection) == "canary"
    assert server.count("token") == 2, "of the tenant of before nothing is asked any more"


@pytest.mark.parametrize("call", [read, write])
async def test_what_is_remembered_of_a_vault_is_asked_again(connected, server, call):
    """Where its tenant is not ours, by what the process remembers: it may have moved, or be another test's."""
    connection, ours = await connected(), server.default.tenant
    await call(connection)
    server.default.tenant = "99999999-2222-3333-4444-555555555555"
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"99999999.*AZURE_TENANT_ID"):
            await call(connection)
    server.default.tenant = ours
    before = len(server.requests)
    assert await call(connection)
    asked = [record.method for record in server.requests][before:]
    assert asked == ["GetSecret" if call is read else "SetSecret"] * 2
    assert server.count("token") == 1


async def test_a_token_request_that_fails(connected, server):
    """Who needs the token is told so, with the secret's name; a write was not sent."""
    connection = await connected({**server.environ(), "AZURE_CLIENT_SECRET": "canary-wrong"})
    for call in (read, write):
        with pytest.raises(AuthenticationError, match="AADSTS7000215") as caught:
            await call(connection)
        assert caught.value.name == "NAME"
        assert not caught.value.outcome_unknown
        assert caught.value.__context__ is caught.value.__cause__ is None
        assert "canary" not in "".join(traceback.format_exception(caught.value))


CHALLENGES = {
    "another service": 'Bearer authorization="https://login.microsoftonline.com/{tenant}", resource="https://evil.test"',
    "no resource": 'Bearer authorization="https://login.microsoftonline.com/{tenant}"',
    "a path": 'Bearer authorization="https://login.microsoftonline.com/{tenant}", scope="https://vault.azure.net/a b"',
    "a tenant": 'Bearer authorization="https://login.microsoftonline.com/\';x", resource="https://vault.azure.net"',
    "nonsense": "Basic canary",
    "none": "",
}


@pytest.mark.parametrize("what", CHALLENGES)
async def test_a_challenge_that_is_none(connected, server, what, monkeypatch):
    """No token for another service leaves this machine, and no answer makes arguments of programs."""
    text = CHALLENGES[what].format(tenant=server.tenant)
    monkeypatch.setattr("asyncsecrets.testing.azure_server.http._challenge", lambda *_: text)
    with pytest.raises((InsecureTransportError, AuthenticationError), match=r"AZURE_KEY_VAULT_URI|AZURE_TENANT_ID"):
        await read(await connected())
    assert server.count("token") == 0


async def test_renewed_ahead(server):
    """A quarter of an hour before its end, in the background: nobody waits."""
    shift = [0.0]
    tokens = tokens_of(server, now=lambda: time.time() + shift[0])
    first = await tokens.current()
    shift[0] = 3599 - 930
    assert await tokens.current() is first
    await asyncio.sleep(0)
    assert tokens._renewal is None
    shift[0] = 3599 - 870
    tokens._tried -= 3600
    assert await tokens.current() is first
    async with asyncio.timeout(10):
        await asyncio.wait({tokens._renewal})
    assert await tokens.current() != first
    await tokens.aclose()


@pytest.mark.parametrize(("method", "requests"), [("default", 2), ("client_secret", 1)])
async def test_an_identity_that_ends(server, method, requests):
    """One that was chosen is asked once; where nothing was chosen, another may be there by now."""
    shift = [0.0]
    tokens = tokens_of(server, now=lambda: time.time() + shift[0], method=method)
    await tokens.current()
    server.entra._of(server.client_id).secrets.clear()
    shift[0] = 3599
    with pytest.raises(AuthenticationError, match="AADSTS7000215"):
        await tokens.current()
    assert server.count("token") == 1 + requests
    await tokens.aclose()


# -- life


async def test_closing_under_way(connected, server):
    """Whoever waits is told; nothing is left behind."""
    connection = await connected()
    server.faults.hang(method="GetSecret")
    waiting = asyncio.create_task(read(connection))
    while not server.count("GetSecret"):
        await asyncio.sleep(0.01)
    await connection.aclose()
    with pytest.raises(ClosedError):
        await waiting
    with pytest.raises(ClosedError):
        await read(connection)
    await connection.open()
    server.faults.clear()
    assert await read(connection) == "canary"


@pytest.mark.parametrize("way", ["closed", "abandoned", "refused", "token"])
def test_no_warning_on_any_path(way, names):
    """Client, session and credentials have one owner."""
    with warnings.catch_warnings(record=True) as seen, AzureServer.in_thread() as server:
        warnings.simplefilter("always")
        server.add("NAME", "canary")
        names.update(server.addresses)
        asyncio.run(_one_life(server, way))
        gc.collect()
    assert not [str(each.message) for each in seen]


async def _one_life(server, way):
    environ = server.environ() | ({"AZURE_CLIENT_SECRET": "canary-wrong"} if way == "token" else {})
    connection = Connection(SYSTEM, AzureSettings.from_mapping(SYSTEM, settings_at(server), environ))
    await connection.open()
    if way == "refused":
        server.faults.status(500, method="GetSecret")
    if way in {"refused", "token"}:
        with pytest.raises(ProviderError, match=r"HTTP 500|AADSTS7000215"):
            await read(connection)
    else:
        await read(connection)
    connection.abandon() if way == "abandoned" else await connection.aclose()


def test_one_loop_after_another(names):
    """A connection outlives a loop, also where calls contend; its tokens do not."""
    with AzureServer.in_thread() as server:
        server.add("NAME", "canary")
        names.update(server.addresses)
        connection = Connection(SYSTEM, AzureSettings.from_mapping(SYSTEM, settings_at(server), server.environ()))

        async def life():
            await connection.open()
            for _ in range(2):
                assert set(await asyncio.gather(*(read(connection) for _ in range(20)))) == {"canary"}
                server.entra.revoke(server.client_id)

        for _ in range(2):
            asyncio.run(life())
            connection.abandon()
        assert server.count("token") == 4


async def test_a_fork_has_tokens_of_its_own(connected, server, monkeypatch):
    """What the parent shares on a loop, the child does not find there."""
    await read(await connected())
    monkeypatch.setattr(os, "getpid", lambda: 1)
    await read(await connected())
    assert server.count("token") == 2


# -- what does not show itself


async def test_nothing_is_logged(connected, server, caplog):
    """Neither requests nor tokens, whoever listens; nor what of them a formatter could show."""
    caplog.set_level(logging.DEBUG)
    connection = await connected()
    await read(connection)
    await write(connection)
    server.entra.revoke(server.client_id)
    await read(connection)
    said = [
        record for record in caplog.records if record.name.split(".")[0] in {"azure", "msal", "urllib3", "requests"}
    ]
    assert [(record.name, record.getMessage()) for record in said] == []
    await connection.aclose()
    assert not logging.getLogger(_TOKENS).filters, "who logs by himself is not kept from it any longer"


async def test_tokens_do_not_show_themselves(connected, server):
    """Neither by repr nor in what the registry of shared ones holds."""
    assert "canary" not in repr([Shown("canary", TARGET), Shown("canary", TARGET)._token])
    assert Shown("canary", TARGET) == Shown("canary", Target("x"))
    assert Shown("canary", TARGET) != Shown("canary2", TARGET)
    await read(await connected({**server.environ(), "ELSE": "canary"}))
    assert "canary" not in repr(list(credentials._pools[asyncio.get_running_loop()].items()))


async def test_what_a_configuration_is_told(connected, server):
    """A CA that cannot be read is told when it is opened, and before anything is sent."""
    with pytest.raises(ConfigError, match="azure_ca_cert"):
        await connected(azure_ca_cert="/nowhere")
    assert not server.requests


async def test_unless_and_meaning(connected, server):
    """Codes whose meaning the caller knows are no failure; of others it may say what they mean to it."""
    connection = await connected()
    assert await read(connection, "ABSENT", unless={"SecretNotFound": None}) is None
    assert await read(connection, "ABSENT", unless={"SecretNotFound": False}) is False
    server.delete("NAME")
    assert await write(connection, unless={"Conflict": 1, "ObjectIsDeletedButRecoverable": 2}) == 2
    seen = []

    def meaning(call, refusal):
        seen.append((call.operation, call.name, refusal.status, refusal.code, refusal.inner))
        return call.error(MalformedResponseError, "meant")

    with pytest.raises(MalformedResponseError, match="'NAME': meant"):
        await write(connection, meaning=meaning)
    assert seen == [("SetSecret", "NAME", 409, "Conflict", "ObjectIsDeletedButRecoverable")]
