"""Time limits for many requests from one timer.

A timer per request (aiohttp's own, or asyncio.timeout) is a tenth of the CPU of a whole request. Here a request costs a
dict entry, and one loop timer, running only while there are requests, looks for those that are overdue.
"""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["Deadlines"]

_PRECISION = 1 / 20  # of the limit: 5 s end after 5.00 to 5.25 s


class Deadlines:
    """Cancels a task whose request takes longer than ``seconds``; the task then asks :meth:`passed` why.

    A task makes one request at a time, so the entries are in the order of their ends. One event loop at a time.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._running: dict[asyncio.Task[Any], tuple[float, int]] = {}
        self._overdue: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop

    def open(self) -> None:
        """Bind to the running loop."""
        self._loop = asyncio.get_running_loop()

    def start(self) -> asyncio.Task[Any]:
        """Limit what the current task does from now on, until :meth:`end`."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a Vault request needs a task to run in")
        self._running[task] = (self._loop.time() + self._seconds, task.cancelling())
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds * _PRECISION, self._look)
        return task

    def end(self, task: asyncio.Task[Any]) -> None:
        """The task's request is over."""
        self._running.pop(task, None)
        self._overdue.discard(task)

    def passed(self, task: asyncio.Task[Any]) -> bool:
        """Whether the cancellation that the task just met was ours alone. If so it is taken back."""
        if task not in self._overdue:
            return False
        return task.uncancel() <= self._running[task][1]

    def _look(self) -> None:
        self._timer = None
        now = self._loop.time()
        for task, (end, _) in self._running.items():
            if end > now:
                break
            if task not in self._overdue:
                self._overdue.add(task)
                task.cancel()
        if self._running:
            self._timer = self._loop.call_later(self._seconds * _PRECISION, self._look)

    def forget(self) -> None:
        """Stop looking: there will be no more requests on this loop."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        self._running.clear()
        self._overdue.clear()
