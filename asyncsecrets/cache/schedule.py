"""When each entry is renewed, retried and expires: pure state, no clock, no event loop.

An entry is *scheduled* (in the wheel) until its refresh interval ends, then *overdue* until a new value lands or its
life ends. What an overdue entry needs to know (its failures, the end of its life) is kept for overdue entries only;
in normal times there are hardly any.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Generic, TypeVar

from asyncsecrets.cache.wheel import Wheel

__all__ = ["Event", "Overdue", "Schedule"]

K = TypeVar("K")


class Event(Enum):
    """What is to be done about a key."""

    RENEW = "renew"
    EXPIRE = "expire"


class Overdue(Generic[K]):
    """An entry past its refresh interval: when its life ends, and how often renewing it failed."""

    __slots__ = ("expires_at", "failures", "key", "retry_at")

    def __init__(self, key: K, retry_at: float, expires_at: float) -> None:
        self.key = key
        self.retry_at = retry_at
        self.expires_at = expires_at
        self.failures = 0


class Schedule(Generic[K]):
    """The renewals of one cache. All times are readings of the cache's clock, in seconds."""

    __slots__ = ("_alarms", "_backoff", "_jitter", "_life", "_overdue", "_sequence", "_wheel")

    def __init__(
        self,
        interval: float,
        max_stale: float,
        *,
        backoff: tuple[float, float],
        jitter: Callable[[], float],
    ) -> None:
        self._wheel: Wheel[K] = Wheel(interval)
        self._life = interval + max_stale
        self._backoff = backoff
        self._jitter = jitter
        self._overdue: dict[K, Overdue[K]] = {}
        self._alarms: list[tuple[float, int, Overdue[K]]] = []
        self._sequence = 0

    def __len__(self) -> int:
        return len(self._wheel) + len(self._overdue)

    def begin(self, key: K, now: float) -> None:
        """A new entry: its first renewal falls anywhere in the interval, so that a fleet spreads itself."""
        self._wheel.add(key, now, self._jitter())

    def renew(self, key: K, now: float) -> None:
        """An entry has a new value: its next renewal is one interval from now."""
        self.end(key)
        self._wheel.add(key, now, 1.0)

    def end(self, key: K) -> None:
        """An entry is gone. It must be scheduled or overdue."""
        if self._overdue.pop(key, None) is None:
            self._wheel.forget(key)

    def failed(self, key: K, now: float, wait: float = 0.0) -> None:
        """A renewal failed: try again after the backoff with jitter, and not before ``wait`` seconds.

        Does nothing for an entry that is not overdue: it will have its turn.
        """
        overdue = self._overdue.get(key)
        if overdue is None:
            return
        first, longest = self._backoff
        ceiling = min(longest, first * 2.0 ** min(overdue.failures, 32))
        overdue.failures += 1
        overdue.retry_at = now + max(wait, ceiling * (0.5 + 0.5 * self._jitter()))
        self._alarm(overdue.retry_at, overdue)

    def failures(self, key: K) -> int:
        """How many renewals of ``key`` have failed since its value was fetched."""
        overdue = self._overdue.get(key)
        return 0 if overdue is None else overdue.failures

    def next_at(self) -> float | None:
        """When :meth:`take` next has something to say."""
        wheel = self._wheel.next_at()
        if not self._alarms:
            return wheel
        return self._alarms[0][0] if wheel is None else min(wheel, self._alarms[0][0])

    def take(self, now: float) -> Iterator[tuple[Event, K]]:
        """What has become due. Exhaust the iterator; the schedule may be changed in between."""
        while self._alarms and self._alarms[0][0] <= now:
            overdue = heapq.heappop(self._alarms)[2]
            if self._overdue.get(overdue.key) is not overdue:
                continue
            if overdue.expires_at <= now:
                yield Event.EXPIRE, overdue.key
            elif overdue.retry_at <= now:
                overdue.retry_at = float("inf")
                yield Event.RENEW, overdue.key
        for key, born in self._wheel.take(now):
            # Overdue until a value lands. The one alarm that is set now ends its life, whatever becomes of the renewal.
            overdue = self._overdue[key] = Overdue(key, float("inf"), born + self._life)
            if overdue.expires_at <= now:
                yield Event.EXPIRE, key
            else:
                self._alarm(overdue.expires_at, overdue)
                yield Event.RENEW, key

    def overdue(self) -> dict[K, Overdue[K]]:
        """The overdue entries, for status pages."""
        return dict(self._overdue)

    def due_times(self) -> dict[K, float]:
        """When each entry will be renewed next, for status pages. O(n)."""
        times = self._wheel.due_times()
        times.update({key: overdue.retry_at for key, overdue in self._overdue.items()})
        return times

    def _alarm(self, when: float, overdue: Overdue[K]) -> None:
        self._sequence += 1
        heapq.heappush(self._alarms, (when, self._sequence, overdue))
