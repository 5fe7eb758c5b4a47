"""One running fetch of one key, and everybody who waits for it."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

from asyncsecrets.boundary import fresh
from asyncsecrets.errands import Errand, current, wait_for, whose

__all__ = ["Flight"]

K = TypeVar("K")
V = TypeVar("V")


class Flight(Errand, Generic[K, V]):
    """The one fetch of ``key`` that is running.

    Callers wait on futures of their own, so a cancelled caller harms only itself. A flight is *on record* while the
    cache lists it; once it is off the record (a put, a delete, an invalidation), what it brings is not stored. Whoever
    already waited is given it, unless something else of the key is cached or on its way by then (``hand_over``).
    """

    __slots__ = ("serves_errands", "waiters")

    key: K
    task: asyncio.Task[None]

    def __init__(self, key: K) -> None:
        super().__init__(key)
        self.waiters: list[asyncio.Future[V]] = []
        self.serves_errands = False

    def join(self, waiter: asyncio.Future[V]) -> asyncio.Future[V]:
        """Have ``waiter`` told how it ends, and return it. Raises UnsupportedOperationError if it waits for who
        asks."""
        if current.get() is not None and (asker := whose()) is not None:
            wait_for(self, waiter, asker)
            self.serves_errands = True
        self.waiters.append(waiter)
        return waiter

    def resolve(self, value: V) -> None:
        """Give ``value`` to every waiter that is still there."""
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(value)
        self.waiters.clear()

    def hand_over(self, other: Flight[K, V]) -> None:
        """Have every waiter that is still there wait for ``other`` instead."""
        other.waiters += [waiter for waiter in self.waiters if not waiter.done()]
        self.waiters.clear()

    def fail(self, error: BaseException) -> bool:
        """Give every waiter that is still there an instance of ``error`` of its own; say whether there was any."""
        waiting = [waiter for waiter in self.waiters if not waiter.done()]
        for waiter in waiting:
            waiter.set_exception(fresh(error))
        self.waiters.clear()
        return bool(waiting)
