"""A server on an event loop in a thread of its own, for clients that block."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, TypeVar

_START_TIMEOUT: Final = 10.0
Server = TypeVar("Server", bound=AbstractAsyncContextManager[Any])


@contextlib.contextmanager
def served_in_thread(server: Server, address: str) -> Iterator[Server]:
    """The server, running until the block ends.

    Raises:
        OSError: it could not listen on its address, which the message names.
    """
    ready, stop, running = threading.Event(), asyncio.Event(), threading.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with server:
            running.set()
            ready.set()
            await stop.wait()

    def run() -> None:
        with contextlib.closing(loop), contextlib.suppress(OSError):
            try:
                loop.run_until_complete(serve())
            finally:
                ready.set()

    thread = threading.Thread(target=run, name=type(server).__name__, daemon=True)
    thread.start()
    try:
        if not ready.wait(_START_TIMEOUT) or not running.is_set():
            raise OSError(f"the fake could not listen on {address}")
        yield server
    finally:
        with contextlib.suppress(RuntimeError):  # the loop has ended already
            loop.call_soon_threadsafe(stop.set)
        thread.join(_START_TIMEOUT)
