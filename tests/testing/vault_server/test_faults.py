"""Faults on command: each does what it says, to the requests that it selects, as often as it was told."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import pytest

from asyncsecrets.testing.vault_server import Fault, VaultServer

from .conftest import Client
from .replay import Clock

READ = "secret/data/app"
VALUE = {"key": "canary-value"}


@pytest.fixture(autouse=True)
def _secret(server: VaultServer) -> None:
    server.write_secret("app", VALUE)


async def test_a_status_comes_as_often_as_asked(server: VaultServer, ask: Client) -> None:
    """With its headers and errors, and then the right answer again."""
    server.faults.status(429, "slow down", headers={"Retry-After": "7"}, times=2)
    for _ in range(2):
        status, headers, body = await ask.full("GET", READ)
        assert (status, headers["Retry-After"], body) == (429, "7", {"errors": ["slow down"]})
    assert (await ask("GET", READ))[0] == 200
    assert [record.fault for record in server.requests] == ["status", "status", None]


async def test_a_fault_selects_by_method_and_path(server: VaultServer, ask: Client) -> None:
    """Other requests are answered as ever; ``skip`` lets the first ones pass."""
    fault = server.faults.status(500, method="GET", prefix="/v1/secret/data/", skip=1)
    assert (await ask("POST", READ, {"data": VALUE}))[0] == 200
    assert (await ask("GET", "secret/metadata/app"))[0] == 200
    assert [(await ask("GET", READ))[0] for _ in range(3)] == [200, 500, 500]
    assert fault.hits == 2
    server.faults.remove(fault)
    assert (await ask("GET", READ))[0] == 200


async def test_a_replica_that_lags(server: VaultServer, ask: Client) -> None:
    """412 until a request asks to be forwarded to the active node."""
    server.faults.behind(prefix="/v1/secret/")
    assert await ask("GET", READ) == (412, {"errors": ["required index state not present"]})
    url = f"{server.url}/v1/{READ}"
    headers = {"X-Vault-Token": server.root_token, "X-Vault-Inconsistent": "forward-active-node"}
    async with aiohttp.ClientSession(headers=headers) as session, session.get(url) as answer:
        assert answer.status == 200


async def test_a_reset_before_leaves_nothing_done(server: VaultServer, ask: Client) -> None:
    """The connection dies and the write is not applied."""
    server.faults.reset("before", times=1)
    with pytest.raises(aiohttp.ClientConnectionError):
        await ask("POST", READ, {"data": {"key": "canary-new"}})
    assert server.read_secret("app") == VALUE


async def test_a_reset_after_leaves_the_write_done(server: VaultServer, ask: Client) -> None:
    """The connection dies and the write is applied: its outcome is unknown to the client."""
    server.faults.reset("after", method="POST")
    with pytest.raises(aiohttp.ClientConnectionError):
        await ask("POST", READ, {"data": {"key": "canary-new"}})
    assert server.read_secret("app") == {"key": "canary-new"}


async def test_a_status_after_leaves_the_write_done(server: VaultServer, ask: Client) -> None:
    """A gateway that times out behind the back of a server that wrote."""
    server.faults.status(504, when="after", times=1)
    assert (await ask("POST", READ, {"data": {"key": "canary-new"}}))[0] == 504
    assert server.read_secret("app") == {"key": "canary-new"}


@pytest.mark.parametrize(("when", "written"), [("before", VALUE), ("after", {"key": "canary-new"})])
async def test_a_hang_never_answers(server: VaultServer, ask: Client, when: str, written: dict) -> None:
    """The connection is accepted and stays open; others are served, and the server can be closed all the same."""
    server.faults.hang(when, times=1)
    waiting = asyncio.create_task(ask("POST", READ, {"data": {"key": "canary-new"}}))
    while not server.requests:
        await asyncio.sleep(0)
    assert (await ask("GET", READ))[0] == 200
    assert not waiting.done()
    assert server.read_secret("app") == written
    await server.aclose()
    with pytest.raises(aiohttp.ClientConnectionError):
        await waiting


async def test_latencies_add_up_and_still_answer() -> None:
    """They go through the ``sleep`` that was given, before anything is processed."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async with VaultServer(sleep=sleep) as server, aiohttp.ClientSession() as session:
        ask = Client(server, session)
        server.faults.latency(0.25)
        server.faults.latency(0.5, times=1)
        server.faults.status(503, times=1)
        assert [(await ask("GET", "sys/health"))[0] for _ in range(2)] == [503, 200]
    assert slept == [0.75, 0.25]


async def test_a_latency_takes_real_time(server: VaultServer, ask: Client) -> None:
    """Unless another ``sleep`` is given."""
    server.faults.latency(0.05)
    start = time.perf_counter()
    assert (await ask("GET", READ))[0] == 200
    assert time.perf_counter() - start >= 0.05


async def test_a_drip_sends_the_right_answer_byte_by_byte(server: VaultServer, ask: Client) -> None:
    """With a pause before every byte."""
    server.faults.drip(0.0001, times=1)
    status, body = await ask("GET", READ)
    assert (status, body["data"]["data"]) == (200, VALUE)


async def test_a_truncated_body_breaks_off(server: VaultServer, ask: Client) -> None:
    """Fewer bytes come than the headers promise."""
    server.faults.truncate(keep=10, times=1)
    with pytest.raises(aiohttp.ClientPayloadError):
        await ask("GET", READ)
    assert (await ask("GET", READ))[0] == 200


async def test_garbage_is_a_page_of_somebody_else(server: VaultServer, ask: Client) -> None:
    """A body that is not JSON, with a status of success."""
    server.faults.garbage(times=1)
    status, headers, _ = await ask.full("GET", READ)
    assert (status, headers["Content-Type"]) == (200, "text/html")


async def test_garbage_may_pretend_to_be_json(server: VaultServer, ask: Client) -> None:
    """Content type and body are anything that is asked for."""
    server.faults.garbage(b'{"data":', content_type="application/json", times=1)
    with pytest.raises(ValueError):
        await ask("GET", READ)


async def test_an_oversize_body_is_valid_json(server: VaultServer, ask: Client) -> None:
    """Only its length is wrong, so that nothing but a cap can refuse it."""
    server.faults.oversize(3_000_000, times=1)
    status, body = await ask("GET", READ)
    assert (status, len(body["data"]["data"]["key"])) == (200, 3_000_000)


async def test_faults_over_http_are_for_the_root_token(server: VaultServer, ask: Client) -> None:
    """Add, read, clear and the log of requests, at paths that no real server has; they are not in the log."""
    wanted = {"kind": "status", "status": 418, "errors": ["tea"], "times": 1, "prefix": "/v1/secret/"}
    status, told = await ask("POST", "sys/asyncsecrets-faults", wanted)
    assert (status, told["kind"], told["times"]) == (200, "status", 1)
    assert (await ask("GET", READ))[1] == {"errors": ["tea"]}
    assert (await ask("GET", "sys/asyncsecrets-faults"))[1]["faults"][0]["hits"] == 1
    assert (await ask("DELETE", "sys/asyncsecrets-faults"))[0] == 204
    assert server.faults.active == []
    assert (await ask("GET", "sys/asyncsecrets-requests"))[1]["requests"][0]["status"] == 418
    assert len(server.requests) == 1
    other = server.create_token("default", ttl="1h")
    assert (await ask("GET", "sys/asyncsecrets-faults", token=other))[0] == 403
    assert (await ask("POST", "sys/asyncsecrets-faults", {"kind": "flood"}))[0] == 400
    for wrong in ({"colour": 1}, {"times": []}, {"seconds": "soon"}, {"headers": 5}):
        assert (await ask("POST", "sys/asyncsecrets-faults", {"kind": "reset", **wrong}))[0] == 400


@pytest.mark.parametrize("wrong", [{"kind": "flood"}, {"kind": "reset", "when": "later"}])
def test_an_unknown_fault_is_an_error(wrong: dict) -> None:
    """Kinds and moments are closed sets."""
    with pytest.raises(ValueError):
        Fault(**wrong)


async def test_a_sealed_server_says_so_until_unsealed(server: VaultServer, ask: Client, clock: Clock) -> None:
    """From Python and over HTTP."""
    server.seal()
    assert await ask("GET", READ) == (503, {"errors": ["Vault is sealed"]})
    assert (await ask("GET", "sys/health"))[0] == 503
    assert (await ask("PUT", "sys/unseal", {"key": "wrong"}))[0] == 400
    assert (await ask("PUT", "sys/unseal", {"key": server.unseal_key}))[0] == 200
    assert (await ask("GET", READ))[0] == 200
