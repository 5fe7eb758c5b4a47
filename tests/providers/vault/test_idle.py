"""What becomes of idle connections: one failure is enough to distrust all, and what arrives on them answers nothing."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from asyncsecrets import SecretsClient
from asyncsecrets.errors import UnavailableError
from asyncsecrets.providers.connections import drop_idle
from tests.providers.vault.raw import RawServer, answer, document, secret


class Forgetful:
    """A proxy that can lose its state, as a firewall does: what it carried before is swallowed, new connections work.

    ``swallowed`` is called with the writer of a lost connection on which something came.
    """

    def __init__(self, port, swallowed):
        self._port = port
        self._swallowed = swallowed
        self.in_vain = 0
        self._lost = set()
        self._alive = set()
        self._tasks = set()
        self.connections = self._needed = 0
        self._enough = asyncio.Event()
        self._enough.set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for writer in self._alive | self._lost:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def hold(self, needed):
        """Answer nobody before there are so many connections."""
        self._needed = needed
        self._enough.clear()

    def lose(self):
        """Forget every connection."""
        self._lost |= self._alive

    async def _carry(self, reader, writer):
        self._tasks.add(asyncio.current_task())
        self.connections += 1
        if self.connections >= self._needed:
            self._enough.set()
        self._alive.add(writer)
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            with contextlib.suppress(OSError):
                await asyncio.gather(self._pump(reader, up_writer, writer), self._pump(up_reader, writer, writer))
        finally:
            self._alive.discard(writer)
            up_writer.transport.abort()

    async def _pump(self, source, sink, client):
        while data := await source.read(65536):
            await self._enough.wait()
            if client not in self._lost:
                sink.write(data)
            else:
                self.in_vain += 1
                self._swallowed(client)
        if client not in self._lost:
            sink.close()


def reset(writer):
    """What a firewall does that answers for those it does not know."""
    writer.transport.abort()


def time_out(provider):
    """The time of every attempt that is under way is over."""
    deadline = provider._transport._deadline
    for limit in deadline._queue:
        limit.due = 0.0
    deadline._fire(asyncio.get_running_loop())


@contextlib.asynccontextmanager
async def warmed(server, provider_at, swallowed=None):
    """A provider whose four idle connections have just died, and its proxy. By itself an attempt there times out."""
    server.write_secret("name", {"key": "canary-1"})
    async with (
        Forgetful(server.port, swallowed or (lambda _: time_out(provider))) as proxy,
        provider_at(proxy.url, attempt_timeout=60, renew_token=False) as provider,
        SecretsClient.from_provider(provider, environ={}) as client,
    ):
        await provider._mount.engine("name")
        await client.get("name")
        proxy.hold(4)
        await asyncio.gather(*(provider.get("name") for _ in range(4)))
        assert proxy.connections == 4
        proxy.lose()
        yield client, proxy


async def test_read_over_dead_connections(server, provider_at):
    """A read over a pool that died is good after one attempt_timeout, by a connection of its own."""
    async with warmed(server, provider_at) as (client, proxy):
        assert (await client.get("name", version="1")).equals("canary-1")
        assert (proxy.in_vain, proxy.connections) == (1, 5)


async def test_write_over_dead_connections(server, provider_at):
    """A write that was swallowed is looked for by a new connection and made again: its outcome is known."""
    async with warmed(server, provider_at) as (client, proxy):
        await client.put("name", "canary-2")
        assert server.read_secret("name") == {"key": "canary-2"}
        assert (proxy.in_vain, proxy.connections) == (1, 5)


@pytest.mark.parametrize("calls", [1, 4])
async def test_reused_connections_that_break(server, provider_at, calls):
    """One reset on a reused connection, or on each of several at once, leaves none of the others to break."""
    async with warmed(server, provider_at, reset) as (client, proxy):
        results = await asyncio.gather(*(client.get("name", version="1") for _ in range(calls)))
        assert all(result.equals("canary-1") for result in results)
        assert proxy.connections <= 4 + calls


async def test_what_is_dropped(server, provider_at):
    """Dropping closes the idle connections, and none that is in use."""
    server.write_secret("name", {"key": "canary-1"})
    async with provider_at(server.url) as provider:
        await provider.get("name")
        session = provider._transport._session
        assert drop_idle(session) == 1
        assert drop_idle(session) == 0
        server.faults.latency(0.1)
        reading = asyncio.create_task(provider.get("name"))
        await asyncio.sleep(0.05)
        assert drop_idle(session) == 0
        assert (await reading).field("key").equals("canary-1")
        assert drop_idle(session) == 1


async def test_an_answered_error_drops_nothing(server, provider_at):
    """A connection that brought an answer is good, whatever the answer says."""
    async with provider_at(server.url, kv_version=2) as provider:
        await provider._mount.engine("name")
        server.faults.status(503, times=1)
        with pytest.raises(UnavailableError):
            await provider.get("name")
        assert drop_idle(provider._transport._session) == 1


@pytest.mark.parametrize(
    "surplus",
    [
        answer(body=secret({"key": "canary-of-another"}, version=9)),
        answer(404, b'{"errors":[]}'),
        answer(403, b'{"errors":["permission denied"]}'),
        answer(408, Connection="close"),
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
    ],
    ids=["a secret", "absent", "denied", "a time-out", "an interim answer", "half a head"],
)
@pytest.mark.parametrize("late", [False, True], ids=["at once", "late"])
async def test_what_nobody_asked_for(provider_at, surplus, late):
    """What follows an answer is not the next one's: each has its own, at its first attempt, and is sent once."""

    async def first(writer):
        writer.write(answer(body=secret({"key": "canary-1"})) + (b"" if late else surplus))
        await asyncio.sleep(0.01)
        return surplus if late else b""

    def respond(request):
        if request.target.endswith("/first"):
            return first
        if request.method == "POST":
            return answer(body=document({"version": 2, "created_time": "2026-01-02T03:04:06Z"}))
        return answer(body=secret({"key": "canary-2"}))

    async with RawServer(respond) as server, provider_at(server.url, kv_version=2, renew_token=False) as provider:
        async with SecretsClient.from_provider(provider, environ={}) as client:
            assert (await client.get("first")).equals("canary-1")
            await asyncio.sleep(0.05)
            assert (await client.get("second")).equals("canary-2")
            assert client.peek("second").equals("canary-2")
            assert (await client.refresh("first")).equals("canary-1")
            await asyncio.sleep(0.05)
            assert (await client.put("third", "canary-3")).version == "2"
        assert [request.target.rpartition("/")[2] for request in server.requests if "/data/" in request.target] == [
            "first",
            "second",
            "first",
            "third",
        ]
