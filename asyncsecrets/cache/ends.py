"""The ends that values have by themselves, whatever the policy says: told in Unix time, kept by the cache's clock.

The cache's clock does not jump and counts suspension, so an end is turned into a reading of it when its value comes. If
the time of day is set afterwards, that reading is wrong; ``was_set`` notices.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, Generic, TypeVar

__all__ = ["Ends"]

V = TypeVar("V")

_SET_BY: Final = 1.0  # seconds; what is less is two clocks that run apart


class Ends(Generic[V]):
    """``expires(value)`` is the Unix time at which a value ends, or None where it has no end; ``wall`` tells Unix
    time, in seconds."""

    __slots__ = ("_apart", "_expires", "_wall")

    def __init__(self, expires: Callable[[V], float | None], wall: Callable[[], float]) -> None:
        self._expires = expires
        self._wall = wall
        self._apart: float | None = None  # how far the two clocks are; of no interest until a value has an end

    def at(self, value: V, now: float) -> float:
        """When ``value`` ends, by the clock that reads ``now``; infinite if it does not."""
        expires = self._expires(value)
        if expires is None:
            return math.inf
        apart = self._wall() - now
        if self._apart is None:
            self._apart = apart
        return expires - apart

    def was_set(self, now: float) -> bool:
        """Whether the time of day was set since this was said last, and any value had an end."""
        if self._apart is None:
            return False
        apart = self._wall() - now
        if abs(apart - self._apart) <= _SET_BY:
            return False
        self._apart = apart
        return True
