"""A timer wheel of keys: which are due, and when the next one is.

Theory of operation. A wheel has a *span* (the longest delay it is asked for) cut into *slots*; a key that is due at
``t`` lies in bucket ``floor(t / tick)``, so it comes out at most one tick early and never late. A bucket is a flat
list ``[key, born, key, born, …]``: 16 bytes a key, nothing for the garbage collector to walk. Moments of birth are
shared floats, rounded down to the tick. Both roundings end a life early rather than late.

Taking a key out of the middle of a list would need to know its bucket, which would cost a dict entry a key (38 bytes at
100,000). Instead ``Wheel.forget`` counts one of its memberships as dead, and the next one of that key to come out
is dropped. This is sound because **a key's live membership is the last of its memberships to come out**: a key that
has dead ones is always put a whole span ahead, where none of its dead ones can lie behind it. When the dead outnumber
the living, they are swept out, so a key that is forgotten a million times costs no memory.
"""

from __future__ import annotations

import heapq
from typing import Any, Generic, TypeVar

__all__ = ["Wheel"]

K = TypeVar("K")

_SLOTS = 1024
_SHORTEST_TICK = 0.001
_SWEEP_AT = 1024


class Wheel(Generic[K]):
    """Keys with the moment each is due. ``span`` is the longest delay, in seconds. Time must not run backwards."""

    __slots__ = (
        "_buckets",
        "_coming",
        "_coming_index",
        "_dead",
        "_dead_total",
        "_order",
        "_size",
        "_stamp",
        "_tick",
        "span",
    )

    def __init__(self, span: float) -> None:
        self.span = span
        self._tick = max(span / _SLOTS, _SHORTEST_TICK)
        self._buckets: dict[int, list[Any]] = {}
        self._order: list[int] = []  # a heap of the buckets' numbers
        self._coming: list[Any] = []  # the bucket that is being taken out, last first
        self._coming_index = 0
        self._dead: dict[K, int] = {}
        self._dead_total = 0
        self._size = 0
        self._stamp = float("-inf")

    def __len__(self) -> int:
        return self._size - self._dead_total

    def add(self, key: K, now: float, phase: float) -> None:
        """Put ``key`` in, born ``now`` and due after ``phase`` (0 to 1) of the span.

        The key must not be live in the wheel: it has come out, or was forgotten.
        """
        if key in self._dead:
            phase = 1.0
        if not now - self._tick < self._stamp <= now:
            self._stamp = now
        index = int((now + self.span * phase) // self._tick)
        bucket = self._buckets.get(index)
        if bucket is None:
            bucket = self._buckets[index] = []
            heapq.heappush(self._order, index)
        bucket += (key, self._stamp)
        self._size += 1

    def forget(self, key: K) -> None:
        """Take out ``key``, which must be live in the wheel."""
        self._dead[key] = self._dead.get(key, 0) + 1
        self._dead_total += 1
        if self._dead_total > _SWEEP_AT + len(self):
            self._sweep()

    def next_at(self) -> float | None:
        """The moment at which the next key comes out, or None when the wheel is empty."""
        if self._coming:
            return self._coming_index * self._tick
        return self._order[0] * self._tick if self._order else None

    def pop(self, now: float) -> tuple[K, float] | None:
        """Take out one key that is due, and return it with its moment of birth; None when none is due."""
        while self._coming or self._turn(now):
            key: K = self._coming.pop()
            born: float = self._coming.pop()
            self._size -= 1
            if not self._drop_dead(key):
                return key, born
        return None

    def pop_early(self, until: float, most: int) -> list[tuple[K, float]]:
        """Take out up to ``most`` of the keys that are due by ``until``, in the order in which they are due."""
        taken: list[tuple[K, float]] = []
        while len(taken) < most and (found := self.pop(until)) is not None:
            taken.append(found)
        self._put_back()
        return taken

    def _put_back(self) -> None:
        """What is left of a bucket that was begun before its time must not stand in the way of earlier ones."""
        if self._coming:
            if self._coming_index not in self._buckets:
                heapq.heappush(self._order, self._coming_index)
            self._buckets[self._coming_index] = self._coming[::-1] + self._buckets.get(self._coming_index, [])
            self._coming = []

    def due_times(self) -> dict[K, float]:
        """When each live key is due, as ``times`` has it."""
        return {key: due for key, (due, _) in self.times().items()}

    def times(self) -> dict[K, tuple[float, float]]:
        """When each live key is due and when it was born: a snapshot for status pages, O(n).

        Safe from any thread: no list is turned round or cut that others may be looking at. Of a key that moves at this
        moment it may have the old place, or none.
        """
        dead, buckets, coming = self._dead.copy(), self._buckets.copy(), self._coming[:]
        times: dict[K, tuple[float, float]] = {}
        # Where a key was taken out and its birth not yet, that birth is the last of the list, and zip leaves it out.
        pairs = [(self._coming_index, list(zip(coming[1::2], coming[::2], strict=False))[::-1])]
        pairs += [(at, list(zip(bucket[::2], bucket[1::2], strict=False))) for at, bucket in sorted(buckets.items())]
        for at, bucket in pairs:
            for key, born in bucket:
                if dead.get(key):
                    dead[key] -= 1
                else:
                    times[key] = (at * self._tick, born)
        return times

    def _turn(self, now: float) -> bool:
        if not self._order or self._order[0] * self._tick > now:
            return False
        index = heapq.heappop(self._order)
        self._coming = self._buckets.pop(index)[::-1]
        self._coming_index = index
        return True

    def _drop_dead(self, key: K) -> bool:
        """Whether the membership of ``key`` that comes out now is a dead one, which it is no longer counted as."""
        if key not in self._dead:
            return False
        self._dead_total -= 1
        self._dead[key] -= 1
        if not self._dead[key]:
            del self._dead[key]
        return True

    def _sweep(self) -> None:
        """Drop every dead membership: per key, the first ones to come out."""
        self._coming = self._living(self._coming[::-1])[::-1]
        swept = {index: self._living(self._buckets[index]) for index in sorted(self._buckets)}
        self._buckets = {index: bucket for index, bucket in swept.items() if bucket}
        self._order = list(self._buckets)  # sorted, and so a heap

    def _living(self, bucket: list[Any]) -> list[Any]:
        kept: list[Any] = []
        for position in range(0, len(bucket), 2):
            if not self._drop_dead(bucket[position]):
                kept += bucket[position : position + 2]
        self._size -= (len(bucket) - len(kept)) // 2
        return kept
