"""The task that renews entries before anybody has to wait for them, and vouches for the hot dict while it lives."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Generic, TypeVar

from asyncsecrets.cache.guard import guard
from asyncsecrets.cache.schedule import Event, Schedule
from asyncsecrets.loops import retrieve, spawn, tell

__all__ = ["Renewer"]

K = TypeVar("K")

OnEnd = Callable[[], Awaitable[None] | None]

logger = logging.getLogger(__name__)

# The loop's timers stand still while the machine is suspended; the cache's clock does not. So look at it this often.
_LONGEST_SLEEP = 30.0
# Events handled before other tasks get their turn: some 100 µs of work.
_CHUNK = 64


class Renewer(Generic[K]):
    """Carries out a schedule on one event loop, at most ``concurrency`` renewals at once; one that is due takes along
    others, up to ``company()`` in all.

    ``launch(key, done)`` starts a renewal and has ``done`` called on the loop, later, when it has ended;
    ``expire(key)`` drops an entry. ``begin(now)`` is called whenever it wakes up; ``vouch`` when everything due has
    been dealt with; ``withdraw``, possibly from another thread, when the loop has stopped keeping its promises;
    ``on_end`` is awaited when the task ends on a loop that still runs, however it ends. None of them may keep the
    cache: a cache that the program has dropped ends its renewer (``forsake``).
    """

    def __init__(
        self,
        schedule: Schedule[K],
        *,
        clock: Callable[[], float],
        concurrency: int,
        company: Callable[[], int | None],
        launch: Callable[[K, Callable[[], None]], object],
        expire: Callable[[K], object],
        begin: Callable[[float], object],
        vouch: Callable[[], object],
        withdraw: Callable[[], object],
        on_end: OnEnd,
        guarded: bool,
    ) -> None:
        self._schedule = schedule
        self._clock = clock
        self._free = concurrency
        self._company = company
        self._launch = launch
        self._expire = expire
        self._begin = begin
        self._vouch = vouch
        self._withdraw = withdraw
        self._on_end = on_end
        self._guarded = guarded
        self._detached = False
        self._forsaken = False
        self._ending = False
        self._queue: deque[K] = deque()
        self._wake: asyncio.Future[None] | None = None
        self._wakes_at = float("inf")
        self._safe_until = float("inf") if guarded else float("-inf")  # which the promise counts on; none without one
        self.loop = asyncio.get_running_loop()
        self.task = spawn(self._run(), name="asyncsecrets-renewer", loop=self.loop, context=Context(), done=self._ended)

    @property
    def alive(self) -> bool:
        """Whether it still renews: its task has not come to its end, and its loop can run it."""
        return not self._ending and not self.task.done() and not self.loop.is_closed()

    def reschedule(self) -> None:
        """Wake up earlier, if the schedule now asks for it."""
        next_at = self._schedule.next_at()
        if next_at < self._wakes_at:
            self._wakes_at = next_at
            self._promise()
            self.wake()
        elif self._schedule.safe_until() < self._safe_until:  # it wakes early enough, for something else: if it wakes
            self._promise()

    def resume(self) -> None:
        """Drop what is past the end of its life and vouch for the rest, without awaiting."""
        while self._schedule.safe_until() <= (now := self._clock()):
            self._carry_out_one(now)
        self._vouch()
        self._promise()
        self.wake()

    def forsake(self, on_end: OnEnd) -> bool:
        """Nobody can reach the cache any more: end soon, and do await what ``on_end`` returns. Safe from any thread.

        Takes no lock, for this is asked by finalizers. False if it has ended, or is told so already.
        """
        if self._detached or self._forsaken or not self.alive:
            return False
        self._forsaken, self._on_end = True, on_end
        return tell(self.loop, self._end_soon)

    def _end_soon(self) -> None:
        if not self.task.cancelling():
            self.task.cancel()

    def detach(self) -> None:
        """Have nothing to do with the cache any more: the loop is gone, or in another process. Touches no loop."""
        self._detached = True
        self._queue.clear()
        guard.release(self)

    async def _run(self) -> None:
        try:
            await self._renew_until_ended()
        except asyncio.CancelledError:
            await self._end()
            raise
        except Exception as error:  # noqa: BLE001  # what failed here cannot fail a reader; the next miss starts anew
            # Its name only: a message might quote a value.
            logger.error("renewing failed with %s; values will be fetched when next asked for", type(error).__name__)  # noqa: TRY400
            await self._end()
        # Nothing is awaited when the task is destroyed with its loop (GeneratorExit): there is nothing to await on.

    async def _renew_until_ended(self) -> None:
        try:
            while not self._detached:
                await self._carry_out()
                self._vouch()
                await self._sleep()
        finally:
            self._finish()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._finish()  # also if it is cancelled at once
        retrieve(task)

    def _finish(self) -> None:
        self._ending = True  # whoever comes from another loop now need not wait for on_end
        if not self._detached:
            self._queue.clear()  # a renewal that ends while the loop is shut down must not start the next one
            self._withdraw()
            guard.release(self)

    async def _end(self) -> None:
        if not self._detached and (ending := self._on_end()) is not None:
            await ending

    async def _carry_out(self) -> None:
        handled, now = 0, self._clock()
        self._begin(now)
        while self._carry_out_one(now) and not self._detached:
            handled += 1
            if handled % _CHUNK == 0:
                await asyncio.sleep(0)
                now = self._clock()

    def _carry_out_one(self, now: float) -> bool:
        due = self._schedule.pop(now)
        if due is None:
            return False
        event, key = due
        if event is Event.EXPIRE:
            self._expire(key)
        else:
            self._queue.append(key)
            if (others := (self._company() or 1) - 1) > 0:
                self._queue.extend(self._schedule.pop_company(now, others))
            self._launch_queued()
        return True

    def _landed(self) -> None:
        self._free += 1
        if self._queue:
            self._launch_queued()

    def _launch_queued(self) -> None:
        while self._queue and self._free:
            key = self._queue.popleft()
            if self._schedule.is_overdue(key):  # not if it was dropped, or renewed by somebody else, while it waited
                self._free -= 1
                self._launch(key, self._landed)

    async def _sleep(self) -> None:
        wake = self._wake = self.loop.create_future()
        timer = self.loop.call_later(self._delay(), _set, wake)
        self._promise()
        try:
            await wake
        finally:
            timer.cancel()
            self._wake = None

    def _delay(self) -> float:
        self._wakes_at = self._schedule.next_at()
        return min(_LONGEST_SLEEP, max(0.0, self._wakes_at - self._clock()))

    def wake(self) -> None:
        """See to what is due at the loop's next turn."""
        if self._wake is not None:
            _set(self._wake)

    def _promise(self) -> None:
        # To be back before a life ends. Being late with a renewal harms nobody, and a loop that is merely busy should
        # not have its readers go the slow way.
        if not self._guarded:
            return
        if len(self._schedule):
            self._safe_until = self._schedule.safe_until()
            safe_for = max(0.0, self._safe_until - self._clock())
            guard.promise(self, min(_LONGEST_SLEEP, safe_for), self._withdraw)
        else:
            self._safe_until = float("inf")
            guard.release(self)


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
