"""Faults on command, by the SDK's async client: each does what it says, to the calls that it selects."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
import requests
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.core.rest import HttpRequest

from asyncsecrets.testing import hosts
from asyncsecrets.testing.azure_server import AzureServer
from asyncsecrets.testing.calls import Log

from .conftest import NOW, codes, refused


@pytest.fixture(autouse=True)
def _secret(server):
    server.add("NAME", "canary-1")


@pytest.fixture
def access(client):
    """Read the newest, without the client's own retries."""
    return lambda **options: client.get_secret("NAME", **options)


async def test_a_status_comes_as_often_as_asked(server, access):
    """To that method and name alone, after those that are to pass, and not to the request for the challenge."""
    fault = server.faults.status(503, method="GetSecret", name="NAME", times=2, skip=1)
    server.faults.status(500, name="OTHER")
    server.faults.status(500, method="SetSecret")
    assert (await access()).value == "canary-1"
    for _ in range(2):
        assert codes(await refused(access())) == (503, "ServiceUnavailable", "")
    assert (await access()).value == "canary-1"
    assert fault.hits == 2
    shown = [(record.code, record.fault) for record in server.requests if record.method == "GetSecret"]
    assert shown == [("OK", None), ("ServiceUnavailable", "status"), ("ServiceUnavailable", "status"), ("OK", None)]
    server.faults.clear()
    assert server.faults.active == []
    server.faults.status(409, "Conflict", "It is so.", inner="Strange")
    assert codes(await refused(access())) == (409, "Conflict", "Strange")


async def test_throttled(server, access):
    """With the header, without it, and with one that nobody waits for."""
    for seconds, header in ((None, None), (1.5, "1.5"), (86_400.0, "86400")):
        fault = server.faults.throttle(seconds)
        error = await refused(access())
        assert codes(error) == (429, "Throttled", "")
        assert error.response.headers.get("Retry-After") == header
        server.faults.remove(fault)
        server.faults.remove(fault)
    assert (await access()).value == "canary-1"


async def test_a_write_may_be_carried_out_and_fail(server, client):
    """``when="after"``: nobody hears that it was done."""
    fault = server.faults.status(503, method="SetSecret", when="after")
    assert (await refused(client.set_secret("NAME", "canary-2"))).status_code == 503
    assert server.value("NAME") == "canary-2"
    server.faults.remove(fault)
    server.faults.status(503, method="SetSecret")
    assert (await refused(client.set_secret("NAME", "canary-3"))).status_code == 503
    assert server.value("NAME") == "canary-2"


async def test_no_answer_and_a_late_one(server, access):
    """A hang ends by the client's deadline; a delay is carried out by the server's sleep."""
    slept = []

    async def sleep(seconds):
        slept.append(seconds)

    server.faults._sleep = sleep
    server.faults.delay(3.0, times=1)
    server.faults.hang(skip=1)
    assert (await access()).value == "canary-1"
    assert slept == [3.0]
    assert isinstance(await refused(access(read_timeout=0.2)), ServiceResponseError)
    assert server.requests[-1].fault == "hang"


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_dropped_connection(server, client, access, when):
    """The client sees it, and connects again; whether a write was done is as it was told."""
    await access()
    server.faults.drop(times=2, when=when, method="SetSecret")  # on a kept connection aiohttp sends it twice
    assert isinstance(await refused(client.set_secret("NAME", "canary-2")), (ServiceResponseError, ServiceRequestError))
    assert server.value("NAME") == ("canary-2" if when == "after" else "canary-1")
    assert (await access()).value == server.value("NAME")


async def test_answers_that_are_wrong(server, access, client):
    """Half of it, a page with or without a status, too much; an ``id`` of another secret or vault."""
    for damage in ("truncated", "page"):
        server.faults.corrupt(damage, times=1)
        with pytest.raises((AzureError, ValueError)):
            await access()
    server.faults.corrupt("oversize", times=1)
    assert (await access()).value == "canary-1"
    server.faults.corrupt("secret", times=1)
    assert (await access()).id.startswith("https://demo.vault.azure.net/secrets/another/")
    server.faults.corrupt("vault", times=1)
    assert (await access()).id.startswith("https://another.vault.azure.net/secrets/NAME/")
    server.faults.page(502, times=1)
    error = await refused(access())
    assert (error.status_code, error.response.headers["Content-Type"]) == (502, "text/html; charset=utf-8")
    server.faults.corrupt("empty_page", times=2, method="GetSecrets")
    assert [item.name async for item in client.list_properties_of_secrets()] == ["NAME"]
    assert server.count("GetSecrets") == 3
    assert (await access()).id.startswith("https://demo.vault.azure.net/secrets/NAME/")


async def test_what_is_around_the_vault_fails_by_name_only(server, access):
    """Tokens, discovery and challenges are met by their methods, in their own form."""
    server.faults.status(500, times=1, method="challenge")
    assert codes(await refused(access())) == (500, "InternalServerError", "")
    fault = server.faults.status(400, "invalid_grant", "The account does not exist.", inner="50034", method="token")
    with pytest.raises(ClientAuthenticationError, match=r"\(invalid_grant\) AADSTS50034: The account does not exist."):
        await access()
    server.faults.remove(fault)
    server.faults.page(503, method="token", times=1)
    with pytest.raises(AzureError):
        await access()
    server.faults.hang()
    assert isinstance(await refused(access(read_timeout=0.2)), ServiceResponseError)
    assert server.count("token") == 3  # the last one came; who hangs is the vault


async def test_death_and_return(server, client, access):
    """The same ports, the same data; nobody answers in between, and calls under way end."""
    port, url = server.port, server.machine_url
    server.faults.hang(method="GetDeletedSecret")
    waiting = asyncio.ensure_future(client.get_deleted_secret("NAME"))
    while not server.count("GetDeletedSecret"):
        await asyncio.sleep(0.01)
    await server.stop()
    assert isinstance(await refused(waiting), (ServiceResponseError, ServiceRequestError))
    assert isinstance(await refused(access()), ServiceRequestError)
    await server.stop()
    await server.start()
    assert (server.port, server.machine_url) == (port, url)
    assert (await access()).value == "canary-1"


async def test_what_came_is_kept_without_tokens(server, access):
    """Its method, what it is about and its headers, for assertions; time is as it was given."""
    await access(headers={"X-Custom": "seen"})
    record = server.requests[-1]
    assert (record.method, record.code, record.principal) == ("GetSecret", "OK", server.client_id)
    assert record.name == "demo.vault.azure.net/secrets/NAME/"
    assert (record.metadata["authorization"], record.metadata["x-custom"]) == ("Bearer", "seen")
    assert "example" not in repr(record) + repr(record.metadata) + repr(server)
    assert (server.count("GetSecret"), server.count("GetSecret", "OTHER")) == (1, 0)
    assert server.now() == NOW
    server.requests.clear()
    assert server.count("GetSecret") == 0


async def test_no_value_is_shown(server):
    """By nothing that can be reached from it."""
    server.add("NAME", "canary-2")
    seen, waiting = set(), [server]
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or not type(thing).__module__.startswith("asyncsecrets"):
            continue
        seen.add(id(thing))
        assert "canary" not in repr(thing)
        slots = [getattr(thing, name, None) for name in getattr(type(thing), "__slots__", ())]
        for held in [*slots, *vars(thing).values()] if hasattr(thing, "__dict__") else slots:
            waiting += [held, *(held.values() if isinstance(held, dict) else ())]
    assert len(seen) > 8


async def test_what_there_is_not(server, client):
    """Operations that the fake has not, and hosts that are none of its."""
    await client.get_secret("NAME")
    for verb, path in (("POST", "NAME/backup"), ("DELETE", f"NAME/{server.add('NAME', 'canary-2')}")):
        response = await client.send_request(HttpRequest(verb, f"{server.uri}/secrets/{path}"))
        assert response.status_code == 405
    assert (await client.get_secret("NAME")).value == "canary-2"
    response = await client.send_request(HttpRequest("PUT", f"{server.uri}/secrets/NAME", content=b"[]"))
    assert (response.status_code, response.json()["error"]["code"]) == (400, "BadParameter")
    async with aiohttp.ClientSession(connector=server.connector()) as session:
        url = f"https://localhost:{server.port}/secrets/NAME"
        async with session.get(url, headers={"Host": "absent.vault.azure.net"}) as answer:
            assert answer.status == 404


async def test_tls_is_verified(server):
    """By async and sync clients: another CA vouches for nobody here."""
    async with AzureServer() as other:
        async with aiohttp.ClientSession(connector=hosts.connector(lambda: server.addresses, other.ca_file)) as session:
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await session.get(server.uri)
        with requests.Session() as session:
            session.mount("https://", hosts.adapter(lambda: server.addresses, other.ca_file, "azure"))
            with pytest.raises(requests.exceptions.SSLError):
                await asyncio.to_thread(session.get, server.uri)
    assert server.requests == Log()


async def test_a_port_that_is_taken():
    """It is said, and nothing is left behind; the port is free again for whoever comes next."""
    async with AzureServer() as first:
        second = AzureServer(port=first.port)
        with pytest.raises(OSError, match="address already in use"):
            await second.start()
    async with second:
        assert second.port == first.port
