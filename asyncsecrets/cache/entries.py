"""The entries of a cache: how a value is stored and scheduled, what a failure does to one, and when one is dropped.

An entry is in the dict exactly if it is in the schedule: both change in ``_store`` and ``_drop``, and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from typing import TypeVar

from asyncsecrets.cache.absent import AbsentKeys
from asyncsecrets.cache.ends import Ends
from asyncsecrets.cache.flights import Flights
from asyncsecrets.cache.listener import Listener, Observer
from asyncsecrets.cache.policy import Verdict
from asyncsecrets.cache.schedule import Schedule

__all__ = ["Entries"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Entries(Flights[K, V]):
    """The part of ``SingleFlightCache`` that keeps. Who vouches for what is kept is the business of the rest."""

    _absent: AbsentKeys[K]
    _clock: Callable[[], float]
    _listener: Listener[K, V] | None
    _observer: Observer[K, V]
    _own_ends: Ends[V]
    _schedule: Schedule[K]

    def _reschedule(self) -> None:
        raise NotImplementedError

    # -- what a flight brings (asyncsecrets.cache.flights)

    def _remember_failure(self, key: K, verdict: Verdict, error: BaseException) -> None:
        self.stats.failures[verdict] += 1
        if verdict is Verdict.ABSENT:
            self._observer.absent(key, error, self._entries.get(key))
            self._drop(key, error)
            self._absent.remember(key, error, self._clock())
        elif verdict is Verdict.DENIED and self.policy.evict_denied and key in self._entries:
            self._observer.failed(key, error, self._clock())
            self._observer.expired(key)
            self._drop(key, error)
        else:
            self._retry_later(key, getattr(error, "retry_after", None) or 0.0)
            ends = self._schedule.ends_at(key) if key in self._entries else None
            self._observer.failed(key, error, ends)

    def _retry_later(self, key: K, wait: float = 0.0) -> None:
        self._schedule.failed(key, self._clock(), min(wait, self.policy.longest_wait))
        self._reschedule()

    def _store(self, key: K, value: V) -> None:
        now = self._clock()
        ends = self._own_ends.at(value, now)
        self._absent.forget(key)
        if ends <= now:
            self._pass_by(key)
        else:
            self._keep(key, value, now, ends)
        self._reschedule()

    def _keep(self, key: K, value: V, now: float, ends: float) -> None:
        previous = self._entries.get(key)
        if key in self._entries:
            self._schedule.renew(key, now, ends)
        else:
            self._schedule.begin(key, now, ends)
        self._entries[key] = value
        if self.policy.max_entries and len(self._entries) > self.policy.max_entries:
            self.stats.evicted += 1
            self._drop(next(iter(self._entries)))
        if self._listener is not None:
            self._listener.stored(key, value, previous)

    def _pass_by(self, key: K) -> None:
        """What came had ended by itself already: whoever waits for it is given it, and nobody after that."""
        self._observer.ended(key)
        self._drop(key)

    # -- what time does

    def _expire(self, key: K) -> None:
        self.stats.expired += 1
        self._observer.expired(key)
        self._drop(key)

    def _look_at_the_time(self, now: float) -> None:
        """If the time of day was set, values end at another moment than they were to: they are asked for again."""
        if not self._own_ends.was_set(now):
            return
        for key, value in self._entries.items():
            ends = self._own_ends.at(value, now)
            if ends < math.inf:
                self._schedule.hasten(key, now, ends)

    def _drop(self, key: K, why: BaseException | None = None) -> None:
        if key in self._entries:
            previous = self._entries.pop(key)
            self._schedule.end(key)
            if self._listener is not None:
                self._listener.dropped(key, previous, why)
