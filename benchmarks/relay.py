"""A relay on loopback between a client and a server, which loses requests and answers, and delays them, by chance."""

from __future__ import annotations

import asyncio
import random
import re
from contextlib import suppress
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

__all__ = ["Relay"]

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)


class Relay:
    """Passes HTTP/1.1 messages on to ``target``.

    ``resets``: the share of requests whose connection is reset, half of them before the server has them and half after
    it has answered; ``late``: the share that the server gets up to ``delay`` seconds late, when the client is gone;
    every answer takes up to ``delay`` seconds. ``dice`` is the randomness. For servers that send a Content-Length.
    """

    def __init__(
        self, target: str, *, resets: float, late: float, delay: float, dice: random.Random | None = None
    ) -> None:
        address = urlsplit(target)
        self._target = (address.hostname or "", address.port or 80)
        self._resets = resets
        self._late = late
        self._delay = delay
        self._dice = dice or random.Random()
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""
        self.is_down = False
        """While it is, every request's connection is reset, and the server has none of them."""
        self.spoilt = 0
        """Requests that were not answered."""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        with suppress(OSError, asyncio.IncompleteReadError):
            while await self._pass(await _message(reader), writer):
                pass
        writer.transport.abort()

    async def _pass(self, request: bytes, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection goes on."""
        if self.is_down:
            return False
        chance = self._dice.random()
        self.spoilt += chance < self._resets + self._late
        if chance < self._resets / 2:
            return False
        if self._resets <= chance < self._resets + self._late:
            task = asyncio.ensure_future(self._deliver_late(request))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return False
        answer = await self._ask(request)
        if chance < self._resets:
            return False
        await asyncio.sleep(self._dice.random() * self._delay)
        writer.write(answer)
        await writer.drain()
        return True

    async def _deliver_late(self, request: bytes) -> None:
        await asyncio.sleep(self._dice.random() * self._delay)
        await self._ask(request)

    async def _ask(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(*self._target)
        try:
            writer.write(request)
            return await _message(reader)
        finally:
            writer.transport.abort()


async def _message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    return head + (await reader.readexactly(int(length[1])) if length is not None else b"")
