"""One at a time: preparing a request is a millisecond or two of computing, and a thousand of them would be a stall.

botocore validates, serializes and signs without awaiting anything. Callers who come at once would all do that in one
turn of the event loop; here each prepares its request in a turn of its own, and the sending and waiting overlap.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextvars import ContextVar

__all__ = ["Turns"]


class Turns:
    """Made for one event loop."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._mine: ContextVar[bool] = ContextVar("mine", default=False)

    @contextlib.asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for this task's turn, which ends with ``over``, or with the context."""
        await self._lock.acquire()
        token = self._mine.set(True)
        try:
            yield
        finally:
            self.over()
            self._mine.reset(token)

    def over(self) -> None:
        """The request is prepared: let the next one in, when the event loop has been round."""
        if self._mine.get():
            self._mine.set(False)
            asyncio.get_running_loop().call_soon(self._lock.release)
