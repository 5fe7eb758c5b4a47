"""A relay in front of a server that counts what is asked of it: an account that is nobody's own."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from typing import Self
from urllib.parse import urlsplit

__all__ = ["Wire"]

_HEAD = re.compile(rb"([A-Z]+) ([^ ]+) HTTP/1\.1\r\n")
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *([0-9]+)")


class Wire:
    """``async with Wire(url) as wire``: requests to ``wire.url`` reach ``url``, and are counted by method and path."""

    def __init__(self, upstream: str) -> None:
        self._upstream = urlsplit(upstream)
        self._tasks: set[asyncio.Task[None]] = set()
        self.requests: Counter[tuple[str, str]] = Counter()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def count(self, method: str, prefix: str) -> int:
        """How many requests there were of this method whose path starts with ``prefix``."""
        return sum(n for (verb, path), n in self.requests.items() if verb == method and path.startswith(prefix))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        streams = [writer]
        try:
            up_reader, up_writer = await asyncio.open_connection(self._upstream.hostname, self._upstream.port)
            streams.append(up_writer)
            ways = [self._requests(reader, up_writer), _answers(up_reader, writer)]
            await asyncio.gather(*ways)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            for stream in streams:
                with contextlib.suppress(OSError):
                    stream.transport.abort()

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            line, length = _HEAD.match(head), _LENGTH.search(head)
            if line is None:
                raise OSError("the client does not speak HTTP/1.1")
            self.requests[line[1].decode(), line[2].decode()] += 1
            writer.write(head + (await reader.readexactly(int(length[1])) if length else b""))
            await writer.drain()


async def _answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65536):
        writer.write(chunk)
        await writer.drain()
    raise OSError("the server closed the connection")
