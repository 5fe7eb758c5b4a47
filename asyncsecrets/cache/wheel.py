"""A timer wheel of keys: which are due, and when the next one is.

Theory of operation. A wheel has a *span* (the longest delay it is asked for) cut into *slots*; a key that is due at
``t`` lies in bucket ``floor(t / tick)``, so it comes out at most one tick early and never late. A bucket is a flat
list ``[key, born, key, born, …]``: 16 bytes a key, nothing for the garbage collector to walk. Moments of birth are
shared floats, rounded down to the tick. Both roundings end a life early rather than late.

Taking a key out of the middle of a list would need to know its bucket, which would cost a dict entry a key (38 bytes at
100,000). Instead :meth:`Wheel.forget` counts one of its memberships as dead, and the next one of that key to come out
is dropped. This is sound because **a key's live membership is the last of its memberships to come out**: a key that
has dead ones is always put a whole span ahead, where none of its dead ones can lie. When the dead outnumber the
living, they are swept out, so a key that is forgotten a million times costs no memory.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Generic, TypeVar

__all__ = ["Wheel"]

K = TypeVar("K")

_SLOTS = 1024
_SHORTEST_TICK = 0.001
_SWEEP_AT = 1024


class Wheel(Generic[K]):
    """Keys with the moment each is due. ``span`` is the longest delay, in seconds."""

    __slots__ = ("_buckets", "_dead", "_dead_total", "_order", "_size", "_stamp", "_tick", "span")

    def __init__(self, span: float) -> None:
        self.span = span
        self._tick = max(span / _SLOTS, _SHORTEST_TICK)
        self._buckets: dict[int, list[K | float]] = {}
        self._order: list[int] = []
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
        self._insert(int((now + self.span * phase) // self._tick), key, self._stamp)

    def forget(self, key: K) -> None:
        """Take out ``key``, which must be live in the wheel."""
        self._dead[key] = self._dead.get(key, 0) + 1
        self._dead_total += 1
        if self._dead_total > _SWEEP_AT + len(self):
            self._sweep()

    def next_at(self) -> float | None:
        """The moment at which the next bucket comes out, or None when the wheel is empty."""
        return self._order[0] * self._tick if self._order else None

    def take(self, now: float) -> Iterator[tuple[K, float]]:
        """Take out every key that is due, with its moment of birth.

        The iterator may be left and taken up again between other calls; what it has not yielded stays in the wheel only
        until it is dropped, so exhaust it.
        """
        while self._order and self._order[0] * self._tick <= now:
            bucket = self._buckets.pop(heapq.heappop(self._order))
            for position in range(0, len(bucket), 2):
                self._size -= 1
                key: K = bucket[position]  # type: ignore[assignment]  # even positions hold keys
                if not self._is_dead(key):
                    yield key, bucket[position + 1]  # type: ignore[misc]  # odd positions hold floats

    def due_times(self) -> dict[K, float]:
        """When each live key is due: a snapshot for status pages, O(n)."""
        times: dict[K, float] = {}
        for index in sorted(self._buckets):
            for key in self._buckets[index][::2]:
                times[key] = index * self._tick  # type: ignore[index]  # later ones win: the live one is the last
        return times

    def _insert(self, index: int, key: K, born: float) -> None:
        bucket = self._buckets.get(index)
        if bucket is None:
            bucket = self._buckets[index] = []
            heapq.heappush(self._order, index)
        bucket += (key, born)
        self._size += 1

    def _is_dead(self, key: K) -> bool:
        if key not in self._dead:
            return False
        self._dead_total -= 1
        if self._dead[key] == 1:
            del self._dead[key]
        else:
            self._dead[key] -= 1
        return True

    def _sweep(self) -> None:
        """Drop every dead membership: per key, the first ones to come out."""
        for index in sorted(self._buckets):
            bucket = self._buckets[index]
            kept: list[K | float] = []
            for position in range(0, len(bucket), 2):
                if self._is_dead(bucket[position]):  # type: ignore[arg-type]
                    self._size -= 1
                else:
                    kept += bucket[position : position + 2]
            self._buckets[index] = kept
