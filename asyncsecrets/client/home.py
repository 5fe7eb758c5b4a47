"""The event loop that a source lives on, and how callers on other loops have it do their work.

A provider's sessions and a cache's tasks belong to one loop. The first loop that uses a source is its *home* for as
long as that loop runs; a call that comes from another thread's loop in the meantime is carried out at home. When the
home is gone, the next loop that comes takes its place.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar, cast

from asyncsecrets.errors import DeadlineExceededError, WriteOutcomeUnknownError

__all__ = ["Home"]

T = TypeVar("T")

_LOOK_AFTER = 0.1  # seconds; how often somebody who waits for another loop looks whether it still runs


class Home:
    """The home of one source. ``system`` is its manager, for errors; ``limit`` the longest wait for another loop, in
    seconds."""

    def __init__(self, system: str, limit: float) -> None:
        self._system = system
        self._limit = limit
        self.abandon()

    def abandon(self) -> None:
        """The home stayed in the parent process, and so did the threads that may have held the lock."""
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def leave(self) -> None:
        """The running loop is being shut down: whoever comes now goes to another one, or is at home where it is."""
        if self._loop is asyncio.get_running_loop():
            self._loop = None

    @property
    def elsewhere(self) -> asyncio.AbstractEventLoop | None:
        """The loop of another thread that is home now, if there is one."""
        loop = self._loop
        return loop if loop is not None and loop.is_running() and loop is not _running() else None

    def claim(self) -> bool:
        """Whether the running loop is home. It is, from now on, unless another one has that place and runs."""
        running = asyncio.get_running_loop()
        if self._loop is running:
            return True
        with self._lock:  # two threads may come at once
            if self._loop is None or not self._loop.is_running():
                self._loop = running
            return self._loop is running

    def _is_home(self, loop: asyncio.AbstractEventLoop) -> bool:
        return self._loop is loop

    async def run(self, operation: Callable[[], Awaitable[T]], *, repeatable: bool = True) -> T:
        """Await ``operation()`` at home: here, or on the other loop that is home now.

        When that loop ends before it has answered, the operation is made again, here, if it is ``repeatable``. Raises
        DeadlineExceededError when the loop runs on and does not answer, and WriteOutcomeUnknownError when it ended in
        the middle of what may not be repeated.
        """
        while not self.claim():
            home = self.elsewhere
            if home is None:
                continue
            visit = _Visit(operation, partial(self._is_home, home))
            answer = await visit.wait(home, self._limit)
            if answer is not None:
                return cast("T", answer.result())
            if home.is_running() and not visit.cancelled_there:
                raise DeadlineExceededError(
                    f"the event loop that this client lives on did not answer within {self._limit:g} s; is it blocked?",
                    provider=self._system,
                )
            if visit.begun and not repeatable:
                raise WriteOutcomeUnknownError(
                    f"the event loop that this client lived on ended during a write to {self._system}, which may or "
                    f"may not have been applied; refresh the secret before writing it again",
                    provider=self._system,
                    outcome_unknown=True,
                )
            await asyncio.sleep(0.0 if not home.is_running() else _LOOK_AFTER)
        return await operation()


class _Visit:
    """One operation carried out on another loop."""

    def __init__(self, operation: Callable[[], Awaitable[Any]], still_home: Callable[[], bool]) -> None:
        self._operation = operation
        self._still_home = still_home
        self.begun = False
        self.cancelled_there = False

    async def wait(self, home: asyncio.AbstractEventLoop, limit: float) -> asyncio.Future[Any] | None:
        """Return the done future of the operation, or None if it got no answer: too late, or its loop has ended."""
        there = self._there()
        try:
            sent = asyncio.run_coroutine_threadsafe(there, home)
        except RuntimeError:  # that loop was closed a moment ago
            there.close()
            return None
        answer = asyncio.wrap_future(sent)
        answer.add_done_callback(_retrieve)
        loop = asyncio.get_running_loop()
        until = loop.time() + limit
        try:
            while not answer.done() and home.is_running() and loop.time() < until:
                await asyncio.wait({answer}, timeout=_LOOK_AFTER)
        finally:
            if not answer.done():
                sent.cancel()
            if not self.begun and not home.is_running():
                there.close()  # that loop will not begin it, and Python would warn of a coroutine that nobody awaited
        # Nobody here cancelled it: a loop that is shut down cancels whatever runs on it.
        self.cancelled_there = answer.cancelled()
        return answer if answer.done() and not self.cancelled_there else None

    async def _there(self) -> Any:
        if not self._still_home():  # what is begun on a loop that is being shut down is not ended there
            raise asyncio.CancelledError
        self.begun = True
        return await self._operation()


def _retrieve(answer: asyncio.Future[Any]) -> None:
    if not answer.cancelled():
        answer.exception()  # the caller who wanted it may be gone


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
