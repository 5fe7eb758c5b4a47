"""Time limits for operations that are many, short, and all limited to the same number of seconds.

``asyncio.timeout`` sets a timer for each operation and cancels it again: 4.1 µs, against 1.5 µs here
(``benchmarks/deadlines.py``), and a cold read has two such limits, for its attempt and for the whole. Operations
with the same limit end in the order in which they began, so they stand in a queue, and one timer watches its head.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from contextvars import Context
from types import TracebackType
from typing import Self

__all__ = ["Deadline", "Limit", "Once"]


class Limit:
    """One operation under a deadline, as a context manager around its awaits.

    Leaving raises TimeoutError if the limit was passed and it was this limit, and nobody else, that cancelled the
    task; the rules are those of ``asyncio.timeout``. Enter it in the task that does the operation.
    """

    __slots__ = ("_cancelling", "_deadline", "due", "expired", "task")

    due: float

    def __init__(self, deadline: Deadline | Once) -> None:
        self._deadline = deadline
        self.expired = False
        self.task: asyncio.Task[object] | None = None

    def __enter__(self) -> Self:
        task = self.task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a time limit can only be set inside a task")
        self._cancelling = task.cancelling()
        self._deadline.queue(self)
        return self

    def expire(self) -> None:
        """Its time has passed."""
        if self.task is not None:
            self.expired = True
            self.task.cancel()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        task, self.task = self.task, None
        if self.expired and task is not None and task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error


class Deadline(threading.local):
    """Limits each operation to ``seconds``: ``with deadline.limit(): await operation()``.

    Bound to no loop: in each thread it watches over the operations of the loop that runs there.
    """

    def __init__(self, seconds: float) -> None:
        # Called once in every thread that uses it: that is what threading.local does.
        self.seconds = seconds
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queue: deque[Limit] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def limit(self) -> Limit:
        """Return a limit for one operation, which begins when it is entered."""
        return Limit(self)

    def queue(self, limit: Limit) -> None:
        """Watch over ``limit`` from now on."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._queue, self._timer = loop, deque(), None
        queue = self._queue
        # Two may leave for each that enters, so what is done does not pile up until the timer fires.
        if queue and queue[0].task is None:
            queue.popleft()
            if queue and queue[0].task is None:
                queue.popleft()
        limit.due = loop.time() + self.seconds
        queue.append(limit)
        if self._timer is None:
            self._timer = loop.call_at(limit.due, self._fire, loop, context=Context())

    def _fire(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop is not self._loop:
            return
        self._timer = None
        queue, now = self._queue, loop.time()
        while queue and (queue[0].task is None or queue[0].due <= now):
            queue.popleft().expire()
        if queue:
            self._timer = loop.call_at(queue[0].due, self._fire, loop, context=Context())


class Once:
    """Limits one operation alone to ``seconds``, as ``Deadline`` does many.

    When it has ended nothing is left of it, not even the timer, which a ``Deadline`` keeps until its time.
    """

    __slots__ = ("_timer", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def limit(self) -> Limit:
        """Return the limit for the operation, which begins when it is entered."""
        return _OnlyLimit(self)

    def queue(self, limit: Limit) -> None:
        """Watch over ``limit`` from now on."""
        loop = asyncio.get_running_loop()
        limit.due = loop.time() + self.seconds
        self._timer = loop.call_at(limit.due, limit.expire, context=Context())

    def end(self) -> None:
        """The operation has ended."""
        self._timer.cancel()


class _OnlyLimit(Limit):
    __slots__ = ("_once",)

    def __init__(self, once: Once) -> None:
        super().__init__(once)
        self._once = once

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._once.end()
        super().__exit__(kind, error, traceback)
