"""One running task that any number of callers wait for, where a caller's cancellation harms nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from asyncsecrets.loops import report, spawn

__all__ = ["SharedTask"]


class SharedTask:
    """At most one run of ``work`` at a time. ``work`` must not raise: it keeps its outcome where callers look."""

    def __init__(self, work: Callable[[], Coroutine[Any, Any, None]], name: str) -> None:
        self._work = work
        self._name = name
        self._task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        return self._task is not None

    def start(self) -> asyncio.Task[None]:
        """Start a run, or return the one under way."""
        if self._task is None:
            self._task = spawn(self._work(), name=self._name, done=self._done)
        return self._task

    async def join(self) -> None:
        """Wait for the run under way, starting one if there is none."""
        await asyncio.wait([self.start()])

    def _done(self, task: asyncio.Task[None]) -> None:
        if self._task is task:
            self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            report(error, task)  # a bug of ours, or the end of the program

    async def cancel(self) -> None:
        """End the run under way and wait until it has."""
        task = self._task
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def forget(self) -> None:
        """Let go of a run whose loop will never run again."""
        self._task = None
