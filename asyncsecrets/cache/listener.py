"""Who hears of the changes in a cache."""

from __future__ import annotations

from typing import Protocol, TypeVar

__all__ = ["Listener"]

K_contra = TypeVar("K_contra", contravariant=True)
V_contra = TypeVar("V_contra", contravariant=True)


class Listener(Protocol[K_contra, V_contra]):
    """Hears of every change in the same synchronous step as the change itself. Must neither raise nor await.

    A value that is stored is not always vouched for: to keep a copy of what is hot, look whether ``cache.peek(key) is
    value`` first, and replace the copy, as the cache does, when everything is withdrawn.
    """

    def stored(self, key: K_contra, value: V_contra, previous: V_contra | None) -> None:
        """``value`` is now the value of ``key``."""

    def dropped(self, key: K_contra, previous: V_contra) -> None:
        """``key`` has no value any more."""

    def withdrawn(self) -> None:
        """Nothing is vouched for any more. May be called from another thread."""
