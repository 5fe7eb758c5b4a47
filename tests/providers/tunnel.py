"""A proxy as companies have one: it hears CONNECT, may want a password, and carries bytes to where it thinks fit."""

from __future__ import annotations

import asyncio
import base64

import pytest

from tests.providers.listening import Listening

READY = b"HTTP/1.1 200 Connection established\r\n\r\n"


def refusal(status, *headers):
    """An answer that opens no tunnel."""
    lines = [f"HTTP/1.1 {status} X", "Content-Length: 0", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


async def told_of_no_way(provider, kind, match):
    """The error of a read and of a write, which is certain not to have been applied."""
    for call in (lambda: provider.get("db"), lambda: provider.put("db", "canary")):
        with pytest.raises(kind, match=match) as caught:
            await call()
        told = str(caught.value)
        assert "canary" not in told
        assert told.count("\n") <= 1
        assert not getattr(caught.value, "outcome_unknown", False)
    return told


class Tunnel(Listening):
    """`heads` are what it was asked, byte for byte. Whatever host is wanted, it connects to `port` of this machine.

    `answer` is sent instead of opening a tunnel (None: nothing, it hangs up; "": nothing, for ever); `user` is who may
    pass; `ssl` makes it an https proxy; `after` is what it does once it has promised a tunnel.
    """

    def __init__(self, port=None, *, answer=READY, user=None, ssl=None, hangs_up_after=False):
        self.port = port
        self.answer = answer
        self.user = user
        self.ssl = ssl
        self.hangs_up_after = hangs_up_after
        self.heads = []
        self.carried = b""

    @property
    def targets(self):
        """The hosts and ports that were wanted."""
        return [head.split(b" ")[1].decode() for head in self.heads]

    async def _talk(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        answer = self.answer
        if self.user and f"Basic {base64.b64encode(self.user.encode()).decode()}".encode() not in head:
            answer = refusal(407, 'Proxy-Authenticate: Basic realm="canary"')
        if answer == "":
            await asyncio.sleep(3600)
        if answer is None or answer != READY:
            writer.write(answer or b"")
            await writer.drain()
            return
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(READY)
            await writer.drain()
            if not self.hangs_up_after:
                await asyncio.gather(self._pump(reader, up_writer, heard=True), self._pump(up_reader, writer))
        finally:
            up_writer.transport.abort()

    async def _pump(self, source, sink, *, heard=False):
        while data := await source.read(65536):
            if heard:
                self.carried += data
            sink.write(data)
        sink.close()
