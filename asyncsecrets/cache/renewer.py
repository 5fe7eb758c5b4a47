"""The task that renews entries before anybody has to wait for them, and vouches for the hot dict while it lives."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from typing import Generic, TypeVar

from asyncsecrets.cache.guard import guard
from asyncsecrets.cache.schedule import Event, Schedule

__all__ = ["Renewer"]

K = TypeVar("K")

logger = logging.getLogger(__name__)

# The loop's timers stand still while the machine is suspended; the cache's clock does not. So look at it this often.
_LONGEST_SLEEP = 30.0
# Events handled before other tasks get their turn: some 100 µs of work.
_CHUNK = 64


class Renewer(Generic[K]):
    """Carries out a schedule on one event loop, at most ``concurrency`` renewals at once.

    ``launch(key, done)`` starts a renewal and calls ``done`` when it has landed; ``expire(key)`` drops an entry.
    ``vouch`` is called whenever everything due has been dealt with; ``withdraw``, possibly from another thread, when
    the loop has stopped keeping its promises; ``ended`` on the loop when the task ends, however it ends.
    """

    def __init__(
        self,
        schedule: Schedule[K],
        *,
        clock: Callable[[], float],
        concurrency: int,
        launch: Callable[[K, Callable[[], None]], None],
        expire: Callable[[K], None],
        vouch: Callable[[], None],
        withdraw: Callable[[], None],
        ended: Callable[[], Awaitable[None]],
        guarded: bool,
    ) -> None:
        self._schedule = schedule
        self._clock = clock
        self._free = concurrency
        self._launch = launch
        self._expire = expire
        self._vouch = vouch
        self._withdraw = withdraw
        self._ended = ended
        self._guarded = guarded
        self._detached = False
        self._queue: deque[K] = deque()
        self._events: Iterator[tuple[Event, K]] = iter(())
        self._wake: asyncio.Future[None] | None = None
        self._wakes_at = float("inf")
        self.loop = asyncio.get_running_loop()
        self.task = self.loop.create_task(self._run(), name="asyncsecrets-renewer")

    @property
    def alive(self) -> bool:
        """Whether its loop can still run it."""
        return not self.task.done() and not self.loop.is_closed()

    def reschedule(self) -> None:
        """Wake up earlier, if the schedule now asks for it."""
        next_at = self._schedule.next_at()
        if next_at is not None and next_at < self._wakes_at:
            self._nudge()

    def resume(self) -> None:
        """Carry out everything that is due by now and vouch for the rest, without awaiting."""
        while (due := self._next_due()) is not None:
            self._handle(*due)
        self._vouch()
        self._promise(self._delay())
        self._nudge()

    def detach(self) -> None:
        """Have nothing to do with the cache any more: the loop is gone, or in another process. Touches no loop."""
        self._detached = True
        self.task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001  # it cannot be ended there
        guard.release(self)

    async def _run(self) -> None:
        try:
            await self._renew_until_ended()
        except GeneratorExit:  # destroyed together with its loop: there is nothing to await on
            raise
        except asyncio.CancelledError:
            await self._ended()
            raise
        except Exception:
            logger.exception("the refresh task failed; values will be fetched when they are next asked for")
            await self._ended()

    async def _renew_until_ended(self) -> None:
        try:
            while not self._detached:
                await self._carry_out()
                self._vouch()
                await self._sleep()
        finally:
            if not self._detached:
                self._withdraw()
                guard.release(self)

    async def _carry_out(self) -> None:
        handled = 0
        while (due := self._next_due()) is not None:
            self._handle(*due)
            handled += 1
            if handled % _CHUNK == 0:
                await asyncio.sleep(0)

    def _next_due(self) -> tuple[Event, K] | None:
        # One iterator for the task and for settle(): what the task has begun to take, settle() takes to its end.
        due = next(self._events, None)
        if due is None:
            self._events = self._schedule.take(self._clock())
            due = next(self._events, None)
        return due

    def _handle(self, event: Event, key: K) -> None:
        if event is Event.EXPIRE:
            self._expire(key)
        elif self._free:
            self._free -= 1
            self._launch(key, self._landed)
        else:
            self._queue.append(key)

    def _landed(self) -> None:
        if self._queue and self.alive and not self._detached:
            self._launch(self._queue.popleft(), self._landed)
        else:
            self._free += 1

    async def _sleep(self) -> None:
        delay = self._delay()
        wake = self._wake = self.loop.create_future()
        timer = self.loop.call_later(delay, _set, wake)
        self._promise(delay)
        try:
            await wake
        finally:
            timer.cancel()
            self._wake = None

    def _delay(self) -> float:
        next_at = self._schedule.next_at()
        self._wakes_at = float("inf") if next_at is None else next_at
        return min(_LONGEST_SLEEP, max(0.0, self._wakes_at - self._clock()))

    def _nudge(self) -> None:
        if self._wake is not None:
            _set(self._wake)

    def _promise(self, delay: float) -> None:
        if not self._guarded:
            return
        if len(self._schedule):
            guard.promise(self, delay, self._withdraw)
        else:
            guard.release(self)

    async def stop(self) -> None:
        """End the task and wait until it has ended."""
        self.task.cancel()
        await asyncio.wait({self.task})


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
