"""SingleFlightCache: answers from memory, fetches once however many ask, and renews before anybody has to wait.

Theory of operation. Every entry is in one dict. While a live *renewer* on a live loop vouches for it, that dict is
``hot`` and a read is one lookup: no clock, no lock. When the renewer ends or falls silent, ``hot`` becomes an empty
dict, in one assignment; the next read misses, goes the slow way, which looks at the clock, drops what has passed the
end of its life, starts a renewer on the loop it runs on, and makes the dict of entries hot again.

Whatever reads and then writes the cache's state does so in one synchronous stretch; there are no locks. The places that
must change together: an entry is in the dict exactly if it is in the schedule (``entries``: ``_store``, ``_drop``); a
flight is on record exactly if it may store (``_launch``, ``_leave_record``, ``put``, ``invalidate``, ``renew_soon``).
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

from asyncsecrets.cache.absent import AbsentKeys
from asyncsecrets.cache.clock import boot_time
from asyncsecrets.cache.ends import Ends
from asyncsecrets.cache.entries import Entries
from asyncsecrets.cache.flight import Flight
from asyncsecrets.cache.listener import Listener, Observer, Outage
from asyncsecrets.cache.policy import CachePolicy, CacheStats, EntryState, Verdict, classify
from asyncsecrets.cache.renewer import Renewer
from asyncsecrets.cache.schedule import Schedule
from asyncsecrets.errands import whose
from asyncsecrets.errors import ClosedError, UnsupportedOperationError
from asyncsecrets.forks import Inherited
from asyncsecrets.loops import LoopBound, cancel_all, current_loop, running_loop, warn_of_dropped, weakly

__all__ = ["SingleFlightCache"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_ELSEWHERE = "this cache is in use on another running event loop; ask there, or use peek() for what is warm"
_CLOSE_WITHIN = 2.0  # seconds that a flight may take to notice that it is cancelled


class SingleFlightCache(LoopBound, Entries[K, V]):
    """A cache in front of ``fetch``, an async function from key to value.

    ``await cache.get(key)`` returns the value; a miss runs one *flight* for any number of callers, whether it
    succeeds or fails. Entries are renewed in the background every ``policy.refresh_interval`` seconds; a renewal that
    fails keeps the old value for up to ``policy.max_stale`` seconds more. ``put`` and ``invalidate`` take a running
    flight off the record, so an older read never overwrites a newer write.

    ``classify`` says what a failure means (``Verdict``); ``stand_in`` may supply a value for
    a key that the backend does not have; ``listener`` hears of every change, ``observer`` of what goes wrong;
    ``outage`` knows whether the backend answers nobody, and who of those who miss is to ask it then; ``begun`` hears of
    every key that is fetched or put, and so may be held from then on;
    ``on_end`` is awaited when the loop that the cache ran on is being shut down, to close what is bound to it.
    ``expires`` says when a value ends by itself, or None where it does not, in the Unix time that ``wall`` tells
    (seconds): it is served no longer than that, and renewed ahead of it. ``clock`` (seconds, never backwards) and
    ``jitter`` (0 to 1) are arguments so that time can be moved; with a clock of your own, pass ``guarded=False``, for
    the guard's thread waits in real time.

    A cache binds to no loop when it is made. It runs on the loop that uses it; when that loop is gone, on the next
    one, with its values. Using it from a second loop while the first one runs raises UnsupportedOperationError;
    ``peek`` and reading ``hot`` are safe from any thread. A fork starts with the values and nothing else. One that is
    dropped without ``aclose`` stops renewing, with a ResourceWarning.
    """

    _closed = False
    _renewer: Renewer[K] | None = None

    def __init__(
        self,
        fetch: Callable[[K], Awaitable[V]],
        policy: CachePolicy | None = None,
        *,
        classify: Callable[[BaseException], Verdict] = classify,
        stand_in: Callable[[K, BaseException], V | None] | None = None,
        listener: Listener[K, V] | None = None,
        observer: Observer[K, V] | None = None,
        outage: Outage[K] | None = None,
        begun: Callable[[K], None] | None = None,
        on_end: Callable[[], Awaitable[None]] | None = None,
        expires: Callable[[V], float | None] = lambda _: None,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = boot_time,
        jitter: Callable[[], float] = random.random,
        guarded: bool = True,
    ) -> None:
        self.policy = policy or CachePolicy()
        self.hot: dict[K, V] = {}
        self.stats = CacheStats()
        self.batch_size = 1
        """How many renewals begin together: where ``fetch`` has one call for several keys, as many as that takes."""
        self._fetch = fetch
        self._classify = classify
        self._stand_in = stand_in
        self._listener = listener
        self._observer: Observer[K, V] = observer or Observer()
        self._outage: Outage[K] = outage or Outage()
        self._begun = begun
        self._on_end = on_end
        self._own_ends: Ends[V] = Ends(expires, wall)
        self._clock = clock
        self._jitter = jitter
        self._guarded = guarded
        self._entries: dict[K, V] = {}
        self._absent: AbsentKeys[K] = AbsentKeys(self.policy)
        self._flights: dict[K, Flight[K, V]] = {}
        self._running: dict[Flight[K, V], None] = {}  # also those off the record; asyncio keeps only weak references
        self._schedule: Schedule[K] = Schedule(self.policy, self._jitter)
        _caches.add(self)

    # -- reading

    async def get(self, key: K) -> V:
        """Return the value of ``key``: from memory, or by one flight shared with everybody else who asks.

        Raises what ``fetch`` raised, as an instance of the caller's own, and ClosedError.
        """
        try:
            return self.hot[key]
        except KeyError:
            pass
        return await self.join(key)

    def join(self, key: K) -> asyncio.Future[V]:
        """Return a future of the value of ``key``, to be awaited at once: ``get`` without a coroutine of its own.

        Raises ClosedError at once.
        """
        flight, hot = self._flights.get(key), self.hot
        if flight is not None and hot is self._entries and key not in hot:
            loop = flight.task.get_loop()  # nothing is to be begun: of ten thousand who come at once, for all but one
            if loop is current_loop() and not flight.task.cancelling():
                self.stats.misses += 1
                self.stats.joined += 1
                return flight.join(loop.create_future())
        loop = self._wake_up()
        waiter: asyncio.Future[V] = loop.create_future()
        if key in self.hot:
            waiter.set_result(self.hot[key])
            return waiter
        self.stats.misses += 1
        return self._join_or_launch(key, waiter, loop)

    def _join_or_launch(self, key: K, waiter: asyncio.Future[V], loop: asyncio.AbstractEventLoop) -> asyncio.Future[V]:
        flight = self._in_the_air(key)
        if flight is not None:
            self.stats.joined += 1
            return flight.join(waiter)
        failure = self._absent.recall(key, self._clock)
        if failure is not None:
            self.stats.negative += 1
        elif self._outage.lasts:
            failure = self._outage.spared(key)
        if failure is None:
            return self._launch(key, loop).join(waiter)
        waiter.set_exception(failure)
        return waiter

    def peek(self, key: K) -> V | None:
        """Return the value of ``key`` if it is warm, else None. Never does I/O; safe from any thread."""
        try:
            return self.hot[key]
        except KeyError:
            return None

    def is_absent(self, key: K) -> bool:
        """Whether *absent* is believed of ``key`` just now. Never does I/O; safe from any thread."""
        return self._absent.holds(key, self._clock)

    def recall(self, key: K) -> V | None:
        """Return the value of ``key``, also one that nobody vouches for just now, else None."""
        return self._entries.get(key)

    def __contains__(self, key: K) -> bool:
        return key in self._entries

    def __len__(self) -> int:
        return len(self._entries)

    # -- changing

    async def refresh(self, key: K) -> V:
        """Fetch ``key`` anew now and return what came, joining a flight that is already running.

        A failure is raised and leaves the old value where it is, unless the key turns out to be absent.
        """
        loop = self._wake_up()
        return await (self._in_the_air(key) or self._launch(key, loop)).join(loop.create_future())

    def put(self, key: K, value: V) -> None:
        """Take ``value`` as what ``key`` is now. A running flight is disowned; who waited for it gets ``value``."""
        self._wake_up()
        flight = self._flights.pop(key, None)
        self._store(key, value)
        if self._begun is not None:
            self._begun(key)
        if flight is not None:
            flight.resolve(value)

    def invalidate(self, key: K) -> None:
        """Forget ``key``, also that it is absent. A running flight is disowned; the next read starts a new one."""
        self._flights.pop(key, None)
        self._absent.forget(key)
        self._drop(key)

    def renew_soon(self, key: K) -> None:
        """Have ``key``, if it has a value, renewed now and serve that until then. A running flight is disowned."""
        self._flights.pop(key, None)
        if key in self._entries:
            self._schedule.hasten(key, self._clock())
            self._reschedule()

    def clear(self) -> None:
        """Forget everything, as ``invalidate`` does for one key."""
        self.invalidate_all(lambda _: True)

    def invalidate_all(self, which: Callable[[K], bool]) -> None:
        """``invalidate`` every key that ``which`` says yes to. O(n)."""
        for key in self.keys():
            if which(key):
                self.invalidate(key)

    def keys(self) -> list[K]:
        """Every key that has a value, is on its way, or is known to be absent; perhaps more than once. O(n)."""
        return [*self._entries, *self._flights, *self._absent.keys()]

    # -- life

    def start(self) -> None:
        """Start renewing on the running loop. A miss does this by itself; a server does it at start-up."""
        self._wake_up()

    async def aclose(self) -> None:
        """End every task; whoever waits gets ClosedError. Harmless when closed already."""
        if self._closed:
            return
        loop = running_loop()
        if self.owner not in (None, loop):
            raise UnsupportedOperationError(_ELSEWHERE)
        self._closed = True
        self._withdraw()
        self._entries, self._flights = {}, {}
        self._absent, self._schedule = AbsentKeys(self.policy), Schedule(self.policy, self._jitter)
        if self._renewer is not None and self._renewer.loop is loop:
            await self._end_tasks(self._renewer)
        else:
            self.forget_loop()

    def forsake(self) -> bool:
        """Nobody can reach this cache any more: have what goes on by itself end soon. Says whether anything does."""
        return not self._closed and self._renewer is not None and self._renewer.forsake(self._on_end or (lambda: None))

    def __del__(self, warn: Callable[..., None] = warn_of_dropped) -> None:
        warn(self, self.forsake)

    async def _end_tasks(self, renewer: Renewer[K]) -> None:
        for flight in self._running:
            flight.fail(ClosedError("the cache was closed while this value was being fetched"))
        asker = whose()
        closing = {asyncio.current_task(), asker and asker.task}  # a fetch, or on_end, may be what closes
        try:
            await cancel_all(
                [flight.task for flight in self._running if flight.task not in closing], within=_CLOSE_WITHIN
            )
        finally:  # also if whoever closes is cancelled
            await cancel_all({renewer.task} - closing, within=None)

    @property
    def owner(self) -> asyncio.AbstractEventLoop | None:
        """The loop that renews the entries now, if one is running."""
        renewer = self._renewer
        return renewer.loop if renewer is not None and renewer.alive and renewer.loop.is_running() else None

    def look_at_the_clock(self) -> None:
        """The clock was moved: vouch for nothing until what is due by it has been dealt with, which begins now."""
        if self._renewer is not None and self._renewer.alive:
            self._withdraw()
            self._renewer.wake()

    def next_due(self) -> float:
        """In how many seconds something is to be done, as far as anybody is there to do it; infinite for nothing."""
        return self._schedule.next_at() - self._clock() if self.owner is not None else math.inf

    @property
    def under_way(self) -> int:
        """How many flights there are on the loop that renews the entries now."""
        return len(self._running) if self.owner is not None else 0

    def states(self) -> dict[K, EntryState]:
        """When each entry will be renewed next and when its life ends, in seconds from now, and how often renewing it
        failed. O(n), from any thread."""
        return self._schedule.states(self._clock())

    # -- who vouches

    def _wake_up(self) -> asyncio.AbstractEventLoop:
        """Make sure that a renewer on the running loop vouches for what is hot, and return the loop."""
        if self._closed:
            raise ClosedError("the cache is closed")
        loop = running_loop()
        renewer = self._renewer
        if renewer is None or renewer.loop is not loop or renewer.task.done():
            renewer = self._adopt(loop)
        if self.hot is not self._entries:
            self._look_at_the_time(self._clock())
            renewer.resume()
        return loop

    def _adopt(self, loop: asyncio.AbstractEventLoop) -> Renewer[K]:
        if self.owner not in (None, loop):
            raise UnsupportedOperationError(_ELSEWHERE)
        if self._renewer is not None and self._renewer.loop is loop:
            self._renewer.detach()  # it failed, or was cancelled; the flights run on
        else:
            self.forget_loop()
        self._schedule.again(self._clock())
        self._renewer = Renewer(
            self._schedule, clock=self._clock, concurrency=self.policy.concurrency,
            company=weakly(self._company), guarded=self._guarded, begin=weakly(self._look_at_the_time),
            launch=weakly(self._renew), expire=weakly(self._expire),
            vouch=weakly(self._vouch), withdraw=weakly(self._withdraw), on_end=weakly(self._ends),
        )  # fmt: skip
        return self._renewer

    def _renew(self, key: K, done: Callable[[], None]) -> None:
        if self._closed:
            return
        self.stats.renewals += 1
        flight = self._flights.get(key) or self._launch(key, asyncio.get_running_loop())
        flight.task.add_done_callback(lambda _: done())

    def _company(self) -> int:
        return self.batch_size

    def _ends(self) -> Awaitable[None] | None:
        return self._on_end() if self._on_end is not None else None

    def _vouch(self) -> None:
        self.hot = self._entries

    def _withdraw(self) -> None:
        # May run on the guard's thread. The hot dict is replaced, never emptied: whoever writes to the entries at the
        # same moment writes to the same dict as ever, and nothing is lost or served.
        self.hot = {}
        if self._listener is not None:
            self._listener.withdrawn()

    def _reschedule(self) -> None:
        if self._renewer is not None:
            self._renewer.reschedule()

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        """What runs for this cache on its loop: the renewer and the flights."""
        renewer = {self._renewer.task} if self._renewer is not None else set()
        return renewer | {flight.task for flight in self._running}

    def forget_loop(self) -> None:
        """Let go of what belongs to a loop that is gone, or that is not to use this cache any more, without touching
        it. Values stay; the next one that uses the cache takes them over."""
        self._withdraw()
        if self._renewer is not None:
            self._renewer.detach()
        self._renewer, self._flights, self._running = None, {}, {}


_caches: Inherited[SingleFlightCache[Any, Any]] = Inherited(SingleFlightCache.forget_loop)
