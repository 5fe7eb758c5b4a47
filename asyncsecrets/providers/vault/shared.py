"""One running task that any number of callers wait for, where a caller's cancellation harms nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from asyncsecrets.errors import ClosedError, UnavailableError
from asyncsecrets.loops import report, spawn
from asyncsecrets.providers.vault.paths import SYSTEM

__all__ = ["SharedTask"]

T = TypeVar("T")

_TRIES = 3  # of who waits for a run that somebody else cancels


class SharedTask(Generic[T]):
    """At most one run of ``work`` at a time. ``work`` must not raise: who waits is given what it returns.

    Nobody has to look elsewhere for the outcome, where a later run may have begun to write another one.
    """

    def __init__(self, work: Callable[[], Coroutine[Any, Any, T]], name: str) -> None:
        self._work = work
        self._name = name
        self._task: asyncio.Task[T] | None = None
        self._ended: asyncio.Task[T] | None = None

    @property
    def running(self) -> bool:
        return self._task is not None and not self._task.done()

    def start(self) -> asyncio.Task[T]:
        """Start a run, or return the one under way."""
        task = self._task
        if task is None or task.done():  # done, and its callback has not had its turn yet
            task = self._task = spawn(self._work(), name=self._name, done=self._done)
        return task

    async def join(self) -> T:
        """Wait for the run under way, starting one if there is none, and return what it returned.

        Raises ClosedError if ``cancel`` ended it. Who else cancels it, such as a program that cancels every task of
        its loop, has closed nothing: it is run again.
        """
        for _ in range(_TRIES):
            task = self.start()
            await asyncio.wait([task])
            if not task.cancelled():
                return task.result()
            if task is self._ended:
                raise ClosedError("the Vault provider was closed meanwhile")
        raise UnavailableError(f"{SYSTEM}: what this call waited for was cancelled", provider=SYSTEM)

    def _done(self, task: asyncio.Task[T]) -> None:
        if self._task is task:
            self._task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            report(error, task)  # a bug of ours, or the end of the program

    async def cancel(self) -> None:
        """End the run under way and wait until it has."""
        task = self._ended = self._task
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    def forget(self) -> None:
        """Let go of a run whose loop will never run again."""
        self._task = None
