"""What is known of secrets for a while, in a bounded number of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

__all__ = ["Remembered"]

T = TypeVar("T")

_MOST: Final = 65_536


class Remembered(Generic[T]):
    """What was noted of a secret, for ``seconds`` by ``clock``; of more than ``most`` secrets the oldest are
    forgotten."""

    def __init__(self, seconds: float, clock: Callable[[], float], most: int = _MOST) -> None:
        self._seconds = seconds
        self._clock = clock
        self._most = most
        self._noted: dict[str, tuple[T, float]] = {}

    def note(self, resource: str, what: T) -> None:
        """Remember ``what`` from now on."""
        self._noted.pop(resource, None)
        self._noted[resource] = what, self._clock() + self._seconds
        if len(self._noted) > self._most:
            del self._noted[next(iter(self._noted))]

    def get(self, resource: str) -> T | None:
        """What was noted, if its time has not passed."""
        what, until = self._noted.get(resource, (None, 0.0))
        return what if until > self._clock() else None

    def forget(self, resource: str) -> None:
        """Nothing is known of it any more."""
        self._noted.pop(resource, None)
