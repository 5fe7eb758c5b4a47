"""The flights of a cache: how one is launched, what it asks, and how each of its ends reaches whoever waits for it.

A flight is *on record* from its launch until it lands, or until what it brings would be no news any more (a put, an
invalidation). Only what is on record is stored; whoever waits is told in either case.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from asyncsecrets.cache.flight import Flight
from asyncsecrets.cache.policy import CachePolicy, CacheStats, Verdict
from asyncsecrets.errands import come_back, set_out
from asyncsecrets.errors import ClosedError, UnavailableError
from asyncsecrets.loops import report, spawn

__all__ = ["Flights"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_MOVED = "the cache was closed, or went to another event loop, while this value was being fetched"


class Flights(Generic[K, V]):
    """The part of ``SingleFlightCache`` that fetches. What is brought is stored, and failures judged, by the rest."""

    policy: CachePolicy
    stats: CacheStats
    _closed: bool
    _fetch: Callable[[K], Awaitable[V]]
    _classify: Callable[[BaseException], Verdict]
    _stand_in: Callable[[K, BaseException], V | None] | None
    _entries: dict[K, V]
    _flights: dict[K, Flight[K, V]]
    _running: dict[Flight[K, V], None]
    _begun: Callable[[K], None] | None

    def _store(self, key: K, value: V) -> None:
        raise NotImplementedError

    def _remember_failure(self, key: K, verdict: Verdict, error: BaseException) -> None:
        raise NotImplementedError

    def _retry_later(self, key: K, wait: float = 0.0) -> None:
        raise NotImplementedError

    def _in_the_air(self, key: K) -> Flight[K, V] | None:
        """The flight of ``key`` that is worth waiting for: not one that was cancelled and has yet to notice."""
        flight = self._flights.get(key)
        return None if flight is None or flight.task.cancelling() else flight

    def _launch(self, key: K, loop: asyncio.AbstractEventLoop) -> Flight[K, V]:
        flight: Flight[K, V] = Flight(key)
        self._flights[key] = flight
        if self._begun is not None:
            self._begun(key)
        self._running[flight] = None
        self.stats.flights += 1
        end = _End(self._flown, flight)
        flight.task = spawn(self._fly(flight, end), name="asyncsecrets-flight", loop=loop, done=end)
        return flight

    async def _fly(
        self, flight: Flight[K, V], end: Callable[[asyncio.Task[None]], None], *, confirms: bool = False
    ) -> None:
        """Fetch; an answer that would end a living entry is asked for twice, ``policy.confirm_after`` seconds apart.

        ``end`` is called when the task has ended, unless that came to its end here: a callback less for each flight.
        Returns nothing: a task's repr shows its result, and a debug log shows the task's repr.
        """
        set_out(flight)
        again = False
        try:
            value = await self._fetch(flight.key)
        except asyncio.CancelledError:
            if flight.task.cancelling():
                raise
            self._land_failure(flight, _cut_short())  # what it waited for was cancelled, and it was not
        except Exception as error:  # noqa: BLE001  # whatever fetch raises goes to whoever waits for it
            again = not confirms and self._would_end_entry(flight, error)
            if not again:
                self._land_failure(flight, error)
        else:
            self._land(flight, value)
        if again:
            await asyncio.sleep(self.policy.confirm_after)
            await self._fly(flight, end, confirms=True)
            return
        flight.task.remove_done_callback(end)
        self._running.pop(flight, None)
        come_back()

    def _would_end_entry(self, flight: Flight[K, V], error: Exception) -> bool:
        if self._flights.get(flight.key) is not flight or flight.key not in self._entries:
            return False
        return self._classify(error) in {Verdict.ABSENT, Verdict.DENIED}

    def _flown(self, flight: Flight[K, V], task: asyncio.Task[None]) -> None:
        """The task has ended. If it did so without landing, nobody may be left waiting, nor the entry unrenewed."""
        come_back()
        is_ours = flight in self._running  # not if another loop has the cache by now
        self._running.pop(flight, None)
        if self._leave_record(flight):
            self._retry_later(flight.key)
        if task.cancelled():
            flight.fail(_cut_short() if is_ours and not self._closed else ClosedError(_MOVED))
        elif (error := task.exception()) is not None and not flight.fail(error):
            report(error, task)

    def _land(self, flight: Flight[K, V], value: V) -> None:
        if self._leave_record(flight):
            self._store(flight.key, value)
        elif self._is_overtaken(flight):
            flight.hand_over(self._in_the_air(flight.key) or self._launch(flight.key, flight.task.get_loop()))
        flight.resolve(value)

    def _is_overtaken(self, flight: Flight[K, V]) -> bool:
        """Whether whoever asks after those who wait for ``flight``, which is off the record, could get something older
        than it brings: what is cached, or on its way, began later and may have been read earlier. Whoever is on an
        errand is given what it brings all the same: who waits for whom was settled when it joined.
        """
        others = flight.key in self._entries or flight.key in self._flights
        return others and flight in self._running and bool(flight.waiters) and not flight.serves_errands

    def _land_failure(self, flight: Flight[K, V], error: BaseException) -> None:
        key = flight.key
        verdict = self._classify(error)
        value = self._stand_in(key, error) if verdict is Verdict.ABSENT and self._stand_in is not None else None
        if value is not None:
            self._land(flight, value)
            return
        if self._leave_record(flight):
            self._remember_failure(key, verdict, error)
        flight.fail(error)

    def _leave_record(self, flight: Flight[K, V]) -> bool:
        """Take ``flight`` off the record; say whether it was on it. Nobody may join a flight that has landed."""
        flights = self._flights  # another loop may put a new dict there at any moment
        if flights.get(flight.key) is not flight:
            return False
        del flights[flight.key]
        return True


class _End(Generic[K, V]):
    """Tells ``flown`` that the task of ``flight`` has ended: a ``partial`` in a third of the objects."""

    __slots__ = ("_flight", "_flown")

    def __init__(self, flown: Callable[[Flight[K, V], asyncio.Task[None]], None], flight: Flight[K, V]) -> None:
        self._flown = flown
        self._flight = flight

    def __call__(self, task: asyncio.Task[None]) -> None:
        self._flown(self._flight, task)


def _cut_short() -> UnavailableError:
    return UnavailableError("the fetch was cancelled before it was answered", provider="cache")
