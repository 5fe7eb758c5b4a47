"""Who hears of the changes in a cache, and of what goes wrong in it; and who says when a backend is left alone."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

__all__ = ["Listener", "Observer", "Outage"]

K_contra = TypeVar("K_contra", contravariant=True)
V_contra = TypeVar("V_contra", contravariant=True)


class Listener(Protocol[K_contra, V_contra]):
    """Hears of every change in the same synchronous step as the change itself. Must neither raise nor await.

    A value that is stored is not always vouched for: to keep a copy of what is hot, look whether ``cache.peek(key) is
    value`` first, and replace the copy, as the cache does, when everything is withdrawn.
    """

    def stored(self, key: K_contra, value: V_contra, previous: V_contra | None) -> None:
        """``value`` is now the value of ``key``."""

    def dropped(self, key: K_contra, previous: V_contra, why: BaseException | None) -> None:
        """``key`` has no value any more: because of the failure ``why``, if it was that the backend took it back."""

    def withdrawn(self) -> None:
        """Nothing is vouched for any more. May be called from another thread."""


class Observer(Generic[K_contra, V_contra]):
    """Hears why an entry is not as it should be, in the same synchronous step. Must neither raise nor await.

    Moments are readings of the cache's clock. This class makes nothing of it all.
    """

    def failed(self, key: K_contra, error: BaseException, ends: float | None) -> None:
        """Fetching ``key`` failed. It has no value (None), or one that lives until ``ends``; infinite where that was
        not due to be renewed, and was fetched because somebody asked for it."""

    def absent(self, key: K_contra, error: BaseException, previous: V_contra | None) -> None:
        """The backend has no ``key``. Its value, if it had one, is about to be dropped."""

    def ended(self, key: K_contra) -> None:
        """The backend has given a value of ``key`` that had ended by itself already: it goes to whoever waits, and is
        not kept. The one before it, if there was one, is about to be dropped."""

    def expired(self, key: K_contra) -> None:
        """The life of ``key``'s value has ended; it is about to be dropped."""


class Outage(Generic[K_contra]):
    """What is known of a backend that answers nobody. By this class, nothing is: every miss asks."""

    lasts: bool = False
    """Whether a reader of what is not cached is to be ``spared`` the question. Looked at for each miss."""

    def spared(self, key: K_contra) -> BaseException | None:  # noqa: ARG002  # see above
        """The error of a reader for whom ``key`` is not asked now; None for one who is to ask."""
        return None
