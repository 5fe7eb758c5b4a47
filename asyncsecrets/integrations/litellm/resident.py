"""A client on a thread and an event loop of its own, for callers that have no loop or must not wait on theirs.

It is there as long as the process is. After a fork the thread has stayed in the parent: the next call in the child
starts another one, and the client goes on with the values that it has.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Final, TypeVar

from asyncsecrets.boundary import fresh
from asyncsecrets.client import SecretsClient
from asyncsecrets.errors import ClosedError

__all__ = ["Resident"]

T = TypeVar("T")

_CLOSE_WITHIN: Final = 3.0  # seconds; a client closes in two


class Resident:
    """``client``, open on a thread of its own from ``start()`` on.

    ``moved_in(client)`` is awaited there each time that a thread has been started, before ``start`` returns, and again
    in the child of a fork.
    """

    def __init__(self, client: SecretsClient, moved_in: Callable[[], Awaitable[None]]) -> None:
        self.client = client
        self._moved_in = moved_in
        self._closed = False
        self._reset()
        _residents.add(self)

    def _reset(self) -> None:
        self._turn = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._end: asyncio.Event | None = None

    def start(self) -> None:
        """Have the client open, and what ``moved_in`` does done. Blocks. Raises what these raise, afresh."""
        if self._loop is not None:
            return
        with self._turn:  # several threads may come at once, and none is to go on before it has begun
            if self._loop is None:
                self._begin()

    def _begin(self) -> None:
        if self._closed:
            raise ClosedError("the process is ending, and with it the client that LiteLLM reads through")
        begun: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(begun,), name="asyncsecrets", daemon=True)
        self._thread.start()
        error = begun.exception()
        if error is not None:
            self._thread.join(_CLOSE_WITHIN)
            raise fresh(error)

    def _run(self, begun: Future[None]) -> None:
        try:
            asyncio.run(self._live(begun))
        except BaseException as error:  # noqa: BLE001  # goes to whoever started it
            self._loop = None
            if not begun.done():
                begun.set_exception(error)

    async def _live(self, begun: Future[None]) -> None:
        self._end = asyncio.Event()
        try:
            await self.client.start()
            await self._moved_in()
            self._loop = asyncio.get_running_loop()
            begun.set_result(None)
            await self._end.wait()
        finally:
            self._loop = None
            await self.client.aclose()

    def begin(self, work: Callable[[], Coroutine[Any, Any, T]]) -> Future[T]:
        """Begin ``work()`` on the client's loop, from any thread, and return what it will come to."""
        self.start()
        loop = self._loop
        if loop is None:
            raise ClosedError("the client that LiteLLM reads through is closed")
        return asyncio.run_coroutine_threadsafe(work(), loop)

    def close(self) -> None:
        """Close the client and end the thread. Blocks, three seconds at most. Nothing can be asked any more."""
        self._closed = True
        loop, end, thread = self._loop, self._end, self._thread
        if loop is not None and end is not None and thread is not None:
            loop.call_soon_threadsafe(end.set)
            thread.join(_CLOSE_WITHIN)


_residents: weakref.WeakSet[Resident] = weakref.WeakSet()


def _after_fork() -> None:
    for resident in list(_residents):
        resident._reset()  # noqa: SLF001  # the same module


def _at_exit() -> None:
    for resident in list(_residents):
        resident.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
atexit.register(_at_exit)
