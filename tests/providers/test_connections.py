"""Connections that are kept: what arrives when nothing was asked answers nothing."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import selectors
import socket
import ssl

import aiohttp
import pytest
import trustme

from asyncsecrets.providers import connections
from asyncsecrets.providers.connections import connector
from asyncsecrets.providers.sessions import forget_session, send_once
from tests.providers.vault.raw import RawServer, answer

OWN = b"canary-own-answer"
EVIL = answer(body=b"canary-of-another")
SURPLUS = {
    "an answer": EVIL,
    "two answers": EVIL * 2,
    "half a head": EVIL[:20],
    "a head": EVIL.partition(b"canary")[0],
    "half an answer": EVIL[:-3],
    "its first byte": EVIL[:1],
    "garbage": b"zzzz\r\n",
    "an interim answer": b"HTTP/1.1 100 Continue\r\n\r\n",
    "a refusal": b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    "a last chunk": b"0\r\n\r\n",
    "nothing, in an answer": b"HTTP/1.1 204 No Content\r\n\r\n",
}


class Wires(RawServer):
    """A server that answers with the path it was asked for, and whose ends of its connections are at hand."""

    def __init__(self, first=None, ssl=None):
        self.first = first
        self.wires = []
        super().__init__(self._reply, ssl)

    async def _serve(self, reader, writer):
        self.wires.append(writer)
        await super()._serve(reader, writer)

    def _reply(self, request):
        if self.first and len(self.requests) == 1:
            return self.first
        return answer(body=OWN + request.target.encode())

    def send_unseen(self, data):
        """Put bytes into the client's socket before its loop looks at anything again."""
        os.write(self.wires[0].get_extra_info("socket").fileno(), data)

    def end_unseen(self):
        """Say that nothing more is sent, before the client's loop looks at anything again."""
        with socket.socket(fileno=os.dup(self.wires[0].get_extra_info("socket").fileno())) as wire:
            wire.shutdown(socket.SHUT_WR)


@contextlib.asynccontextmanager
async def talking(server, **options):
    """``ask(method, path)``, one attempt over a pool of ours."""
    session = aiohttp.ClientSession(connector=connector(**options), timeout=aiohttp.ClientTimeout(total=5))
    session._retry_connection = False

    async def ask(path="/next", method="GET", **more):
        async with session.request(method, server.url + path, **more) as response:
            return response.status, await response.read()

    async with session:
        yield ask


def in_one(surplus):
    """The answer and what follows it in one piece."""
    return answer(body=OWN) + surplus


def with_its_end(surplus):
    """The answer's head, and later its body together with what follows."""

    async def reply(writer):
        head, _, body = answer(body=OWN).partition(b"\r\n\r\n")
        writer.write(head + b"\r\n\r\n" + body[:3])
        await asyncio.sleep(0.02)
        return body[3:] + surplus

    return reply


def chunked(surplus):
    """An answer in chunks, with what follows in the piece of the last one."""

    async def reply(writer):
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ncan\r\n")
        await asyncio.sleep(0.02)
        return b"%x\r\n%s\r\n0\r\n\r\n" % (len(OWN[3:]), OWN[3:]) + surplus

    return reply


@pytest.mark.parametrize("surplus", SURPLUS.values(), ids=SURPLUS)
@pytest.mark.parametrize("way", [in_one, with_its_end, chunked])
async def test_what_comes_with_an_answer(way, surplus):
    """What follows an answer in one piece with it, or with its last part, is no answer to the next request."""
    async with Wires(way(surplus)) as server, talking(server) as ask:
        with contextlib.suppress(aiohttp.ClientResponseError, aiohttp.ClientPayloadError):  # garbage may cost it, too
            assert await ask("/first") == (200, OWN)
        assert await ask(method="POST", data=b"canary") == (200, OWN + b"/next")
        assert (len(server.wires), len(server.requests)) == (2, 2)


@pytest.mark.parametrize("surplus", [*SURPLUS.values(), b"\r\n"], ids=[*SURPLUS, "a line break"])
@pytest.mark.parametrize("seen", [True, False], ids=["seen", "unseen"])
async def test_what_comes_while_idle(surplus, seen):
    """What comes on an idle connection ends it, whether or not the loop has looked at the socket since."""
    async with Wires() as server, talking(server) as ask:
        assert await ask("/first") == (200, OWN + b"/first")
        server.send_unseen(surplus)
        if seen:
            await asyncio.sleep(0.02)
        assert await ask(method="POST", data=b"canary") == (200, OWN + b"/next")
        assert await ask("/third") == (200, OWN + b"/third")
        assert (len(server.wires), len(server.requests)) == (2, 3)


async def test_it_ends_when_something_comes():
    """The connection is closed when something comes, and not only when somebody wants to use it."""
    async with Wires() as server, talking(server) as ask:
        await ask("/first")
        server.wires[0].write(EVIL)
        async with asyncio.timeout(5):
            while server._tasks:
                await asyncio.sleep(0.01)
        assert (len(server.wires), len(server.requests)) == (1, 1)


@pytest.mark.parametrize("seen", [True, False], ids=["seen", "unseen"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_the_other_side_has_closed(method, seen):
    """A connection that the other side has closed is not used again: the request is sent once, and answered."""
    async with Wires() as server, talking(server) as ask:
        await ask("/first")
        server.end_unseen()
        if seen:
            await asyncio.sleep(0.02)
        assert await ask(method=method) == (200, OWN + b"/next")
        assert (len(server.wires), len(server.requests)) == (2, 2)


async def test_without_a_poll(monkeypatch):
    """Where sockets cannot be polled, what the loop has seen counts all the same."""
    monkeypatch.setattr(connections, "_POLL", None)
    async with Wires() as server, talking(server) as ask:
        await ask("/first")
        server.send_unseen(EVIL)
        await asyncio.sleep(0.02)
        assert await ask() == (200, OWN + b"/next")


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("head", ["Content-Length: 90", "Transfer-Encoding: chunked", "X-Nothing: 1"])
async def test_an_answer_without_a_body_that_has_one(status, head):
    """A body after a status that has none is not the beginning of the next answer."""
    first = f"HTTP/1.1 {status} X\r\n{head}\r\n\r\n".encode() + EVIL
    async with Wires(first) as server, talking(server) as ask:
        assert await ask("/first", "DELETE") == (status, b"")
        assert await ask() == (200, OWN + b"/next")


async def test_an_answer_to_head_that_has_a_body():
    """What follows an answer to HEAD is not the next answer."""
    async with Wires(SURPLUS["a head"] + EVIL) as server, talking(server) as ask:
        with contextlib.suppress(aiohttp.ClientResponseError):
            assert await ask("/first", "HEAD") == (200, b"")
        assert await ask() == (200, OWN + b"/next")


async def test_who_speaks_first():
    """An answer on a new connection, before anything was asked, answers nothing."""

    async def hear(*_):
        await asyncio.sleep(0.02)  # between connecting and the request

    spoken = []

    async def speak(_, writer):
        spoken.append(writer)
        writer.write(EVIL)

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    hearing = aiohttp.TraceConfig()
    hearing.on_connection_create_end.append(hear)
    async with aiohttp.ClientSession(connector=connector(), trace_configs=[hearing]) as session:
        for method in ("GET", "POST"):
            with pytest.raises(aiohttp.ClientConnectionError):
                await session.request(method, url)
    server.close()
    for writer in spoken:
        writer.close()
    await asyncio.gather(*(writer.wait_closed() for writer in spoken), return_exceptions=True)


async def test_connections_are_kept():
    """Ordinary answers, of all kinds, keep their connection."""
    kinds = [
        answer(body=OWN),
        b"HTTP/1.1 103 Early Hints\r\n\r\n" + answer(body=OWN),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ncan\r\n0\r\nX-Trailer: 1\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 17\r\n\r\n",
        answer(404, b""),
        answer(body=bytes(1_000_000)),
        with_its_end(b""),
        chunked(b""),
    ]
    async with Wires() as server, talking(server) as ask:
        for kind in kinds * 3:
            server.respond = lambda _, kind=kind: kind
            await ask()
        assert len(server.wires) == 1


async def test_the_rest_of_an_answer_that_nobody_waits_for():
    """Readers that give up cost neither the others their answers nor the pool its places."""

    async def slowly(writer):
        writer.write(EVIL[:-3])
        await asyncio.sleep(0.01)
        return EVIL[-3:]

    async with Wires() as server, talking(server, limit=4) as ask:

        async def impatient(number):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(number % 5 / 400):
                    await ask("/slow")

        server.respond = lambda request: slowly if request.target == "/slow" else server._reply(request)
        for rounds in range(10):
            await asyncio.gather(*(impatient(number) for number in range(30)))
            assert await ask(f"/{rounds}") == (200, OWN + b"/%d" % rounds)
        answers = await asyncio.gather(*(ask(f"/{number}") for number in range(40)))
        assert answers == [(200, OWN + b"/%d" % number) for number in range(40)]


@contextlib.asynccontextmanager
async def tunnel():
    """The address of a proxy that carries TLS."""
    tasks = set()

    async def pump(source, sink):
        while data := await source.read(65536):
            sink.write(data)
        sink.close()

    async def carry(reader, writer):
        tasks.add(asyncio.current_task())
        target = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        host, _, port = target.rpartition(":")
        up_reader, up_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with contextlib.suppress(OSError):
            await asyncio.gather(pump(reader, up_writer), pump(up_reader, writer))

    server = await asyncio.start_server(carry, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("proxied", [False, True], ids=["straight", "tunnelled"])
@pytest.mark.parametrize("seen", [True, False], ids=["seen", "unseen"])
async def test_over_tls(proxied, seen):
    """Over TLS, and through a proxy's tunnel, connections are kept and ended as they are without."""
    authority = trustme.CA()
    theirs, ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.issue_cert("127.0.0.1").configure_cert(theirs)
    authority.configure_trust(ours)
    async with tunnel() as proxy, Wires(ssl=theirs) as server, talking(server) as ask:
        options = {"ssl": ours, "proxy": proxy if proxied else None}
        for number in range(3):
            assert await ask(f"/{number}", **options) == (200, OWN + b"/%d" % number)
        assert len(server.wires) == 1
        server.wires[0].write(EVIL)
        if seen or proxied:
            await asyncio.sleep(0.05)
        assert await ask(**options) == (200, OWN + b"/next")
        assert (len(server.wires), len(server.requests)) == (2, 4)


async def test_a_session_that_is_dropped_while_it_sends():
    """Its loop may go on: the descriptor is not polled for any more, neither to be read nor to be written."""
    polled = asyncio.get_running_loop()._selector.get_map
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        session = aiohttp.ClientSession(connector=connector(limit=0))
        send_once(session)
        body = io.BytesIO(b"canary" * 5_000_000)
        sending = asyncio.create_task(session.post(f"http://127.0.0.1:{deaf.getsockname()[1]}", data=body))
        async with asyncio.timeout(10):
            while not session.connector._acquired:  # it connects
                await asyncio.sleep(0.001)
            while not (descriptors := {key.fd for key in polled().values() if key.events & selectors.EVENT_WRITE}):
                await asyncio.sleep(0.001)
        forget_session(session)
        assert not descriptors & set(polled())
        sending.cancel()
        await asyncio.wait({sending})


@pytest.mark.parametrize("secure", [False, True])
async def test_a_session_that_is_dropped_closes_its_sockets(secure):
    """Also below TLS, whose transport has none of its own."""
    authority, own, theirs = trustme.CA(), ssl.create_default_context(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(theirs)
    authority.configure_trust(own)
    async with RawServer(ssl=theirs if secure else None) as server:
        session = aiohttp.ClientSession(connector=connector(limit=0))
        send_once(session)
        async with session.get(server.url, ssl=own) as response:
            await response.read()
        ((kept, _),) = next(iter(session.connector._conns.values()))
        used = kept.transport.get_extra_info("socket")
        assert used.fileno() >= 0
        forget_session(session)
        assert used.fileno() == -1
