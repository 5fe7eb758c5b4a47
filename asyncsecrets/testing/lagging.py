"""What a replica that lags still shows."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Lagging(Generic[T]):
    """The past of things, by their names.

    ``frozen`` is the change after which no other is seen; ``lag`` (s) is how long a change takes to be seen from the
    ``since``th on.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self.frozen: int | None = None
        self.lag, self.since, self.changes, self._now = 0.0, 0, 0, now
        self._past: dict[str, list[tuple[int, float, T | None]]] = {}

    def freeze(self) -> None:
        """Show nothing new from now on."""
        self.frozen = self.changes

    def thaw(self, lag: float = 0.0) -> None:
        """Show every change from now on so much later, and what was before it at once."""
        self.lag, self.since, self.frozen = lag, self.changes, None

    def changed(self, name: str, thing: T | None) -> None:
        """Note what it has become; None if it is no more."""
        self.changes += 1
        past = self._past.setdefault(name, [])
        if self.frozen is None and not self.lag:
            past.clear()
        past.append((self.changes, self._now(), copy.deepcopy(thing)))

    def seen(self, name: str) -> T | None:
        """The thing as it is shown."""
        limit, horizon = self.changes if self.frozen is None else self.frozen, self._now() - self.lag
        shown = [
            thing
            for change, at, thing in self._past.get(name, [])
            if change <= limit and (change <= self.since or at <= horizon)
        ]
        return shown[-1] if shown else None

    def names(self) -> list[str]:
        """Of all that there is and was, in the order in which they came."""
        return list(self._past)
