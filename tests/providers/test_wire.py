"""Requests for credentials: where they may go, what is read of an answer, and what an error says."""

from __future__ import annotations

import asyncio
import contextlib
import ssl

import pytest
import trustme

from asyncsecrets.errors import ConfigError, InsecureTransportError, MalformedResponseError, UnavailableError
from asyncsecrets.providers.call import Call
from tests.providers.listening import Listening
from tests.providers.tunnel import Tunnel, refusal

pytest.importorskip("urllib3")

from asyncsecrets.providers.wire import Wire

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ncanary"


class Giver(Listening):
    """Answers each request alike; `heads` is what came."""

    def __init__(self, answer=OK, ssl=None):
        self.answer = answer
        self.ssl = ssl
        self.heads = []

    async def _talk(self, reader, writer):
        self.heads.append(await reader.readuntil(b"\r\n\r\n"))
        for part in self.answer if isinstance(self.answer, list) else [self.answer]:
            writer.write(part)
            await writer.drain()
        if self.answer is not OK:
            await asyncio.sleep(0.05)


@pytest.fixture
def authority(tmp_path):
    """A certificate authority, whom `ca.pem` has wires trust."""
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "ca.pem")
    return made


@pytest.fixture
def wire(tmp_path):
    """Make wires."""

    def build(timeout=(1.0, 5.0), **more):
        return Wire(
            call=Call("google_kms", "credentials"),
            bundle=str(tmp_path / "ca.pem"),
            trust="the_bundle",
            timeout=timeout,
            **{"environ": {}, **more},
        )

    return build


async def send(wire, url, body=b"canary-sent"):
    """Send a request in a thread."""
    return await asyncio.to_thread(wire.send, "the giver", url, "POST", {"X-Own": "canary"}, body)


def context_of(authority, *names):
    """The TLS of a server with a certificate for these names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    return context


async def test_an_answer(wire):
    """Status, headers in any case, and the body, whatever the status."""
    async with Giver(b"HTTP/1.1 403 No\r\nX-A: b\r\nContent-Length: 2\r\n\r\n{}") as giver:
        answer = await send(wire(), giver.url)
    assert (answer.status, answer.headers["x-a"], answer.data) == (403, "b", b"{}")
    assert b"Accept-Encoding: identity" in giver.heads[0]
    assert b"X-Own: canary" in giver.heads[0]
    assert "canary" not in repr(answer)


@pytest.mark.parametrize("url", ["http://192.0.2.1/t", "http://metadata.test", "http://127.0.0.1.evil.test/"])
async def test_plain_http_stays_here(wire, url):
    """To another machine nothing goes in clear without the explicit word, nor to what is no address."""
    for address in (url, "ftp://127.0.0.1", "//x"):
        with pytest.raises(ConfigError, match="the giver is"):
            await send(wire(), address)


async def test_a_local_name(wire, resolving):
    """It is asked at its addresses, and by its name; where it is another machine, it is not asked."""
    async with Giver() as giver:
        resolving("::1", "127.0.0.1")
        url = giver.url.replace("127.0.0.1", "localhost")
        assert (await send(wire(), url)).status == 200
        assert f"Host: localhost:{giver.own_port}".encode() in giver.heads[0]
        resolving("192.0.2.7")
        with pytest.raises(InsecureTransportError, match="hosts file"):
            await send(wire(), url)
    assert len(giver.heads) == 1


async def test_tls(wire, authority, monkeypatch, tmp_path):
    """Whom the bundle certifies, for this name; session keys are written nowhere."""
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "keys"))
    async with Giver(ssl=context_of(authority, "localhost", "127.0.0.1")) as giver:
        assert (await send(wire(), giver.url)).data == b"canary"
    assert not (tmp_path / "keys").exists()
    async with Giver(ssl=context_of(authority, "other.test")) as giver:
        with pytest.raises(InsecureTransportError, match="another"):
            await send(wire(), giver.url)
    async with Giver(ssl=context_of(trustme.CA(), "127.0.0.1")) as giver:
        with pytest.raises(InsecureTransportError, match="is the_bundle right"):
            await send(wire(), giver.url)
    assert giver.heads == []
    with pytest.raises(ConfigError, match="check the_bundle"):
        await send(Wire(**{**_fields(wire()), "bundle": "/nowhere"}), giver.url)


def _fields(wire):
    return {name: getattr(wire, name) for name in ("call", "trust", "timeout", "environ")}


ANSWERS = {
    "a redirect": (b"HTTP/1.1 302 X\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "redirects"),
    "compressed": (b"HTTP/1.1 200 X\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08", "compressed"),
    "too large": ([b"HTTP/1.1 200 X\r\nContent-Length: 9999999\r\n\r\n", b"canary" * 200_000], "too large"),
    "no HTTP": (b"canary canary\r\n\r\n", "hung up"),
    "half": (b"HTTP/1.1 200 X\r\nContent-Length: 50\r\n\r\ncanary", "hung up"),
}


@pytest.mark.parametrize("what", ANSWERS)
async def test_what_is_no_answer(wire, what):
    """It is told in words of ours, and nothing of it is in there."""
    answer, says = ANSWERS[what]
    async with Giver(answer) as giver:
        with pytest.raises((InsecureTransportError, MalformedResponseError, UnavailableError), match=says) as caught:
            await send(wire(), giver.url)
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    assert len(giver.heads) == 1


async def test_nobody_and_silence(wire):
    """Who does not listen, who does not answer, and who answers byte by byte for longer than an answer may take."""
    with pytest.raises(UnavailableError, match="cannot be reached"):
        await send(wire(), "http://127.0.0.1:1/")
    async with Giver([]) as giver:
        giver.answer = [b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\n"]
        with pytest.raises(UnavailableError, match=r"hung up|in time"):
            await send(wire(timeout=(1.0, 0.02)), giver.url)
    times = iter([0.0, 100.0, 100.0])
    async with Giver() as giver:
        with pytest.raises(UnavailableError, match="in time"):
            await send(wire(clock=lambda: next(times)), giver.url)


async def test_a_proxy(wire, authority):
    """https goes through that of the environment, which is told where to; plain http to this machine does not."""
    context = context_of(authority, "tokens.test")
    async with Giver(ssl=context) as giver, Tunnel(giver.own_port, user="canary:pass") as tunnel, Giver() as near:
        url = tunnel.url.replace("://", "://canary:pass@")
        environ = {"https_proxy": url, "http_proxy": url}
        assert (await send(wire(environ=environ), "https://tokens.test/t")).data == b"canary"
        await send(wire(environ=environ), near.url)
    assert tunnel.targets == ["tokens.test:443"]
    for answer, kind in ((refusal(407), ConfigError), (refusal(502), UnavailableError), (None, UnavailableError)):
        async with Tunnel(answer=answer) as tunnel:
            with pytest.raises(kind, match=r"the proxy http://127.0.0.1:\d+ \(https_proxy\)") as caught:
                await send(wire(environ={"https_proxy": tunnel.url}), "https://tokens.test/t")
        assert "canary" not in str(caught.value)


async def test_no_connection_is_left(wire):
    """Each request has one of its own."""
    async with Giver() as giver:
        for _ in range(3):
            await send(wire(), giver.url)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2):
                while giver._tasks:
                    await asyncio.sleep(0.01)
        assert not giver._tasks
    assert len(giver.heads) == 3
