"""Which keys the backend said it does not have: believed for a while, so that asking in a loop costs one call."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from asyncsecrets.boundary import fresh
from asyncsecrets.cache.policy import CachePolicy

__all__ = ["AbsentKeys"]

K = TypeVar("K", bound=Hashable)


class AbsentKeys(Generic[K]):
    """Keys with the error that said so: ``policy.max_negative`` at most, each believed for ``policy.negative_ttl``."""

    __slots__ = ("_errors", "_policy")

    def __init__(self, policy: CachePolicy) -> None:
        self._policy = policy
        self._errors: dict[K, tuple[float, BaseException]] = {}

    def __len__(self) -> int:
        return len(self._errors)

    def remember(self, key: K, error: BaseException, now: float) -> None:
        """The backend has just said that it does not have ``key``."""
        self._errors.pop(key, None)
        if self._policy.negative_ttl:
            self._errors[key] = (now + self._policy.negative_ttl, fresh(error))
        if len(self._errors) > self._policy.max_negative:
            del self._errors[next(iter(self._errors))]

    def recall(self, key: K, clock: Callable[[], float]) -> BaseException | None:
        """Return an error of the caller's own if ``key`` is still believed to be absent. Asks the clock only then."""
        return fresh(self._errors[key][1]) if self.holds(key, clock) else None

    def holds(self, key: K, clock: Callable[[], float]) -> bool:
        """Whether ``key`` is still believed to be absent. From any thread."""
        until, error = self._errors.get(key, (0.0, None))
        return error is not None and clock() < until

    def forget(self, key: K) -> None:
        """``key`` may well be there."""
        self._errors.pop(key, None)

    def keys(self) -> list[K]:
        """Every key that is remembered, the oldest first."""
        return list(self._errors)
