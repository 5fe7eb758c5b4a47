"""The tasks of one source that are under way, so that closing can end them and a write is not cut off half-way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from asyncsecrets.boundary import fresh
from asyncsecrets.client.gate import Gate
from asyncsecrets.errands import Errand, come_back, set_out, wait_for, whose
from asyncsecrets.errors import AsyncSecretsError, ClosedError, UnavailableError, WriteOutcomeUnknownError
from asyncsecrets.loops import retrieve, running_loop, spawn

__all__ = ["Tasks", "Work", "cut_short"]

T = TypeVar("T")

Work = Callable[[], Awaitable[T]]

_CLOSED = "the client was closed while this was under way"


class Tasks:
    """Runs each operation in a task of its own.

    Writes of one name wait for one another: two that overtake each other would leave it to chance which value stands,
    here and at the manager. A write is one operation with one deadline, however many calls it makes.

    ``gate`` is the one at which operations wait for their turn; ``ready(name)`` opens the provider; ``given_up`` hears
    after how many seconds a caller did not wait any longer for what ends with him.
    """

    def __init__(
        self,
        system: str,
        gate: Gate,
        ready: Callable[[str], Awaitable[object]],
        given_up: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._system = system
        self._closed = False
        self.gate = gate
        self._ready = ready
        self._given_up = given_up
        self.abandon()

    def abandon(self) -> None:
        """Forget what belongs to a loop that is gone."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._reads: set[asyncio.Task[Any]] = set()
        self._writes: set[asyncio.Task[Any]] = set()
        self._last_write: dict[str, asyncio.Task[Any]] = {}
        self._due: dict[asyncio.Task[Any] | None, float] = {}

    @property
    def due(self) -> float | None:
        """When, in the loop's time, the write that asks must have ended. None: whoever asks is no write."""
        return self._due.get(asyncio.current_task()) if self._due else None

    @property
    def all(self) -> set[asyncio.Task[Any]]:
        """What is under way."""
        return self._reads | self._writes

    async def run(self, work: Work[T]) -> T:
        """Do something that ends with its caller. Raises ClosedError when closed in the meantime."""
        self._come_to_loop()
        loop = asyncio.get_running_loop()
        since = loop.time()
        task = self._start(self._reads, _do(work))
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            self._given_up(loop.time() - since)
            raise
        finally:
            task.cancel()  # if the caller is cancelled; else it has ended
        return self._result(task)

    async def write(self, name: str, work: Work[T]) -> T:
        """Do something that runs on when its caller is cancelled, after what was begun before for the same name.

        Raises DeadlineExceededError where its turn did not come in time: nothing was sent.
        """
        self._come_to_loop()
        asker, errand = whose(), Errand(f"writing {name}")
        work_in_turn = self._in_turn(errand, name, self._last_write.get(name), work)
        task = self._start(self._writes, work_in_turn, partial(self._written, name))
        errand.task = task
        if asker is not None:
            wait_for(errand, task, asker)
        self._last_write[name] = task
        await asyncio.wait({task})
        return self._result(task, name)

    def begin(self, work: Work[None]) -> None:
        """Do something that nobody waits for. It ends with this, if not before."""
        self._come_to_loop()
        self._start(self._reads, _do(work))

    async def close(self, within: float) -> None:
        """Wait up to ``within`` seconds for the writes under way, then end everything, within half as many."""
        self._come_to_loop()
        self._closed = True
        for task in self._reads:
            task.cancel()
        if self._writes:
            await asyncio.wait(self._writes, timeout=within)
        for task in self._writes:
            task.cancel()
        if rest := self._reads | self._writes:
            await asyncio.wait(rest, timeout=within / 2)

    async def _in_turn(self, errand: Errand, name: str, previous: asyncio.Task[Any] | None, work: Work[T]) -> T:
        set_out(errand)
        since, task = asyncio.get_running_loop().time(), asyncio.current_task()
        if previous is not None:
            await self._after(previous, name, since)
        await self._ready(name)
        gate = self.gate
        self._due[task] = await gate.turn(name, since, errand)
        errand.begin(gate)
        try:
            return await work()
        finally:
            gate.leave()
            errand.begin(None)
            self._due.pop(task, None)

    async def _after(self, previous: asyncio.Task[Any], name: str, since: float) -> None:
        """Wait for a write of the same name, as long as anybody is answered."""
        gate, loop = self.gate, asyncio.get_running_loop()
        while not previous.done() and not gate.is_too_late(since):
            await asyncio.wait({previous}, timeout=gate.due(since) - loop.time())
        if gate.is_too_late(since):
            raise gate.too_late(name)

    def _come_to_loop(self) -> None:
        loop = running_loop()
        if self._loop is not loop:
            self.abandon()
            self._loop = loop

    def _start(
        self,
        tasks: set[asyncio.Task[Any]],
        work: Coroutine[Any, Any, T],
        written: Callable[[asyncio.Task[Any]], None] = lambda _: None,
    ) -> asyncio.Task[T]:
        def ended(task: asyncio.Task[T]) -> None:
            tasks.discard(task)
            written(task)
            retrieve(task)
            come_back()

        task = spawn(work, name="asyncsecrets-operation", loop=running_loop(), done=ended)
        tasks.add(task)
        return task

    def _result(self, task: asyncio.Task[T], written: str | None = None) -> T:
        if task.cancelled():
            raise self._cancelled(task, written)
        error = task.exception()
        if error is not None:  # the task's own would hold the task, by its traceback and the frame that waits
            raise fresh(error)
        return task.result()

    def _cancelled(self, task: asyncio.Task[Any], written: str | None) -> AsyncSecretsError:
        """Why: by close(), because another loop has come home, or by whoever cancels all tasks that there are."""
        unknown = f"; whether {written!r} was written is not known, so read it before you write again"
        if self._closed or task.get_loop() is not self._loop:
            return ClosedError(_CLOSED + (unknown if written is not None else ""))
        if written is None:
            return cut_short(self._system, None, sent=False)
        message = f"{self._system}: the write was cancelled before it was answered{unknown}"
        return WriteOutcomeUnknownError(message, provider=self._system, name=written, outcome_unknown=True)

    def _written(self, name: str, task: asyncio.Task[Any]) -> None:
        if self._last_write.get(name) is task:
            del self._last_write[name]


async def _do(work: Work[T]) -> T:
    return await work()


def cut_short(system: str, name: str | None, *, sent: bool = True) -> UnavailableError:
    """The error of a call that ended with a cancellation which nobody asked for: of something that it waited for."""
    return UnavailableError(
        f"{system}: the call was cancelled before it was answered, by its provider or by something that this waits for",
        provider=system,
        name=name,
        outcome_unknown=sent,
    )
