"""A server on loopback, byte by byte: what every raw server and proxy of these tests is."""

from __future__ import annotations

import asyncio
import contextlib


class Listening:
    """``async with`` it. ``_talk(reader, writer)`` says what it does with each connection; ``ssl`` is its context."""

    ssl = None

    async def __aenter__(self):
        self._tasks = set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.ssl)
        self.own_port = self._server.sockets[0].getsockname()[1]
        self.address = f"127.0.0.1:{self.own_port}"
        self.url = f"{'https' if self.ssl else 'http'}://{self.address}"
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._talk(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.close()
            with contextlib.suppress(Exception):
                writer.transport.abort()
