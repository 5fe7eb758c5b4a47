"""The event loop that a source lives on, and how callers on other loops have it do their work.

A provider's sessions and a cache's tasks belong to one loop. The first loop that uses a source is its *home* for as
long as that loop runs; a call that comes from another thread's loop in the meantime is carried out at home. When the
home is gone, the next loop that comes takes its place: not before everything that belongs to the old one is closed, or
let go of, for two loops that are both at home would wake each other's futures, which asyncio does not notice.

A loop that has only stopped may go on one day. The place changes hands in one step, under a lock, and whatever is then
under way on the old loop finds out that it is not at home any more before it touches anything that is shared.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import Any, TypeVar, cast

from asyncsecrets.boundary import fresh
from asyncsecrets.client.tasks import cut_short
from asyncsecrets.errands import carrying
from asyncsecrets.errors import ClosedError, DeadlineExceededError, WriteOutcomeUnknownError
from asyncsecrets.loops import current_loop, is_asked_to_end, retrieve, running_loop, spawn, tell

__all__ = ["Home", "cancel_elsewhere"]

T = TypeVar("T")

_LOOK_AFTER = 0.1  # seconds; how often somebody who waits for an answer looks whether the other loop still runs
_VACANT_SOON = 0.005  # seconds; how often somebody who waits for a home that is being left looks whether it is left
# Seconds after which a loop of another thread that is not closed is taken not to run again. asyncio.run stops and runs
# its loop several times on the way to its end.
_IDLE_FOR = 0.25


class Home:
    """The home of one source.

    ``system`` is its manager, for errors; ``limit`` how long, in seconds, another loop may give no sign of life before
    it is taken to be blocked. ``moved(old)`` is called, on the loop that is home now, when it took the place of one
    that did not leave it: to let go of everything that belongs to ``old``, without touching it.
    """

    def __init__(
        self, system: str, limit: float, moved: Callable[[asyncio.AbstractEventLoop], None] = lambda _: None
    ) -> None:
        self._system = system
        self._limit = limit
        self._moved = moved
        self._mail: deque[Callable[[], None]] = deque()
        self.abandon()

    def abandon(self) -> None:
        """The home stayed in the parent process, and so did the threads that may have held the lock."""
        self._lock = threading.RLock()
        self._visits: set[asyncio.Task[Any]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._leaving = False
        self._idle_since: float | None = None

    # -- whose home it is

    @property
    def here(self) -> bool:
        """Whether the running loop is home."""
        return self._loop is current_loop()

    def claim(self) -> bool:
        """Whether the running loop is home. It is, from now on, unless another one has that place and may still run."""
        if self._loop is not None and self._loop is current_loop():
            return True
        running = running_loop()
        with self._lock:  # two threads may come at once
            old = self._loop
            if not self._is_vacant(old):
                return False
            self._loop = running
            if old is not None and old.is_running():  # it went on in this very moment, and is at home as before
                self._loop = old
                return False
            visits, self._visits = self._visits, set()
            self._thread, self._leaving, self._idle_since = threading.get_ident(), False, None
            if old is not None:
                self._moved(old)
                cancel_elsewhere(visits, old)
            self._deliver()
            return True

    def _is_vacant(self, loop: asyncio.AbstractEventLoop | None) -> bool:
        if loop is None or loop.is_closed():
            return True
        if loop.is_running():
            self._idle_since = None
            return False
        if self._thread == threading.get_ident():  # where another loop runs now
            return True
        now, since = time.monotonic(), self._idle_since
        if since is None:
            since = self._idle_since = now
            tell(loop, self._not_idle)
        return now - since >= _IDLE_FOR

    def _not_idle(self) -> None:
        self._idle_since = None

    async def leave(self, close: Callable[[], Awaitable[None]], *, end_visits: bool = True) -> None:
        """The running loop is being shut down: ``close()`` what belongs to it, and then make room for the next one.

        Whoever comes from another loop in the meantime waits; the visits under way are ended, to be made again
        elsewhere, if ``end_visits``. Nothing is done when another loop is home already.
        """
        with self._lock:
            if self._loop is not asyncio.get_running_loop():
                return
            self._leaving = True
        loop = self._loop
        try:
            if end_visits:
                await self._end_visits()
            await close()
        finally:
            with self._lock:
                if self._loop is loop:
                    self._loop, self._leaving = None, False

    async def _end_visits(self) -> None:
        """Whatever is begun on a loop that is being shut down may never be ended there."""
        visits = set(self._visits)
        for visit in visits:
            visit.cancel()
        if visits:
            await asyncio.wait(visits, timeout=_LOOK_AFTER)

    # -- having something done there

    def post(self, work: Callable[[], None]) -> None:
        """Have ``work()`` done at home: at once if that is here or nowhere, else in a moment, from any thread."""
        with self._lock:
            self._mail.append(work)
            host = self._host()
            if host is None or host is current_loop():
                self._deliver()
                return
        tell(host, self._deliver_at, host)  # closed a moment ago: the next loop that comes does it first of all

    def _deliver_at(self, host: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            if self._loop is host:
                self._deliver()

    def _deliver(self) -> None:
        while self._mail:
            self._mail.popleft()()

    def _host(self) -> asyncio.AbstractEventLoop | None:
        loop = self._loop
        return loop if loop is not None and loop.is_running() else None

    async def run(
        self,
        operation: Callable[[], Awaitable[T]],
        *,
        repeatable: bool = True,
        decide: Callable[[], Awaitable[T]] | None = None,
        limit: float | None = None,
    ) -> T:
        """Await ``operation()`` at home: here, or on the other loop that is home now. ``limit`` overrides the home's.

        When that loop ends before it has answered, the operation is made again, here, if it is ``repeatable``; if not,
        ``decide()`` is awaited in its place, to find out what became of it. Raises DeadlineExceededError when the
        loop runs on and does not answer, and WriteOutcomeUnknownError when it ended in the middle of what may not be
        repeated and cannot be decided.
        """
        limit = self._limit if limit is None else limit
        interrupted = False  # whether it was begun, may not be repeated, and nobody knows what became of it
        while True:
            host = await self._arrive(limit, interrupted)
            if host is None:
                begun = True
                try:
                    return await operation()
                except ClosedError:
                    if self.here:
                        raise
            else:
                visit = _Visit(self._system, operation, partial(self._receive, host), partial(self._is_home, host))
                answer = await visit.wait(host, limit)
                if answer is not None:
                    return cast("T", answer.result())
                begun = visit.begun
                if visit.too_late:
                    raise self._no_answer(limit, interrupted or (begun and not repeatable))
            if begun and not repeatable:
                if decide is None:
                    raise self._unknown()
                operation, interrupted = decide, True

    async def _arrive(self, limit: float, interrupted: bool) -> asyncio.AbstractEventLoop | None:
        """Return the loop to visit, or None if the running one is home. Waits while nobody knows."""
        until = time.monotonic() + limit
        while not self.claim():
            host = self._host()
            if host is not None and not self._leaving:
                return host
            if time.monotonic() > until:
                raise self._no_answer(limit, interrupted)
            await asyncio.sleep(_VACANT_SOON)
        return None

    def _is_home(self, host: asyncio.AbstractEventLoop) -> bool:
        return self._loop is host

    def _receive(self, host: asyncio.AbstractEventLoop, visit: _Visit) -> None:
        if self._loop is not host or self._leaving:
            visit.turn_away()
        elif (task := visit.begin(host)) is not None:
            self._visits.add(task)
            task.add_done_callback(self._visits.discard)

    def _unknown(self) -> WriteOutcomeUnknownError:
        return WriteOutcomeUnknownError(
            f"the event loop that this client lived on ended, or stood still, during a write to {self._system}, which "
            f"may or may not have been applied; refresh the secret before writing it again",
            provider=self._system,
            outcome_unknown=True,
        )

    def _no_answer(self, limit: float, interrupted: bool) -> DeadlineExceededError | WriteOutcomeUnknownError:
        if interrupted:
            return self._unknown()
        return DeadlineExceededError(
            f"the event loop that this client lives on did not answer within {limit:g} s; is it blocked?",
            provider=self._system,
        )


class _Visit:
    """One operation carried out on another loop.

    Not by ``run_coroutine_threadsafe``: that makes a task even on a loop that is being shut down, where nobody ends it,
    and takes for granted that both loops outlive it.
    """

    def __init__(
        self,
        system: str,
        operation: Callable[[], Awaitable[Any]],
        receive: Callable[[_Visit], None],
        at_home: Callable[[], bool],
    ) -> None:
        self._system = system
        self._operation = operation
        self._receive = receive
        self._at_home = at_home
        self._context = carrying()
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[Any] = self._loop.create_future()
        self._answer.add_done_callback(retrieve)
        self._task: asyncio.Task[None] | None = None
        self._ticket = [self]  # taken by whoever is first: the other loop, to begin, or the caller, to give it up
        self._heard = self._loop.time()
        self._turned_away = False
        self.begun = False
        """Whether the other loop has taken it up."""
        self.too_late = False
        """Whether the other loop gave no sign of life."""

    async def wait(self, host: asyncio.AbstractEventLoop, limit: float) -> asyncio.Future[Any] | None:
        """Return the done future of the operation, or None if it got no answer: ``too_late``, or its loop has
        ended, or is about to."""
        if not tell(host, self._receive, self):  # that loop was closed a moment ago
            return None
        try:
            await self._answered(host, limit)
        finally:
            self.begun = not self._take_ticket()
            if not self._answer.done() and self.begun:
                tell(host, self._cancel)
        return self._answer if self._answer.done() and not self._turned_away else None

    def _take_ticket(self) -> bool:
        try:
            self._ticket.pop()
        except IndexError:
            return False
        return True

    async def _answered(self, host: asyncio.AbstractEventLoop, limit: float) -> None:
        asked = self._heard = self._loop.time()
        while not self._answer.done() and self._loop.time() - self._heard < limit:
            if not host.is_running():
                await asyncio.sleep(0)  # its last words may be on their way
                return
            if self._loop.time() - asked > limit / 4:  # it may be busy with this for long; is it alive?
                asked = self._loop.time()
                tell(host, tell, self._loop, self._hear)
            await asyncio.wait({self._answer}, timeout=min(_LOOK_AFTER, limit / 4))
        self.too_late = not self._answer.done()

    def _hear(self) -> None:
        self._heard = self._loop.time()

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def begin(self, host: asyncio.AbstractEventLoop) -> asyncio.Task[None] | None:
        """Carry it out on ``host``, the running loop, unless nobody waits for it any more."""
        if not self._take_ticket():
            return None
        self._task = spawn(self._carry_out(), name="asyncsecrets-visit", loop=host, context=self._context)
        self._task.add_done_callback(self._carried_out)
        return self._task

    def _carried_out(self, task: asyncio.Task[None]) -> None:
        if task.cancelled():
            self.turn_away()
        elif (error := task.exception()) is not None:
            self._settle(partial(self._answer.set_exception, fresh(error)))

    async def _carry_out(self) -> None:
        # Returns nothing: a task's repr shows its result, and a debug log shows the task's repr.
        try:
            result = await self._operation()
        except asyncio.CancelledError:
            if is_asked_to_end():
                raise
            self._settle(partial(self._answer.set_exception, cut_short(self._system, None)))
        except ClosedError as error:
            if self._at_home():
                self._settle(partial(self._answer.set_exception, error))
            else:
                self.turn_away()
        except Exception as error:  # noqa: BLE001  # goes to whoever waits
            self._settle(partial(self._answer.set_exception, error))
        else:
            self._settle(partial(self._answer.set_result, result))

    def turn_away(self) -> None:
        """It is not carried out here, or not to its end: a loop that is shut down cancels whatever runs on it."""
        self._turned_away = True
        self._settle(partial(self._answer.set_result, None))

    def _settle(self, settle: Callable[[], None]) -> None:
        tell(self._loop, lambda: None if self._answer.done() else settle())


def cancel_elsewhere(tasks: Collection[asyncio.Task[Any]], loop: asyncio.AbstractEventLoop) -> None:
    """Cancel ``tasks`` of ``loop``, which does not run, first of all when it goes on, if ever."""

    def cancel() -> None:
        for task in tasks:
            task.cancel()

    if tasks:
        tell(loop, cancel)
