"""One running fetch of one key, and everybody who waits for it."""

from __future__ import annotations

import asyncio
import copy
from typing import Generic, TypeVar

__all__ = ["Flight", "fresh"]

K = TypeVar("K")
V = TypeVar("V")


class Flight(Generic[K, V]):
    """The one fetch of ``key`` that is running.

    Callers wait on futures of their own, so a cancelled caller harms only itself. A flight is *on record* while the
    cache lists it; once it is off the record (a put, a delete, an invalidation), what it brings is given to those who
    already waited and is not stored.
    """

    __slots__ = ("key", "task", "waiters")

    def __init__(self, key: K) -> None:
        self.key = key
        self.task: asyncio.Task[None] | None = None
        self.waiters: list[asyncio.Future[V]] = []

    def resolve(self, value: V) -> None:
        """Give ``value`` to every waiter that is still there."""
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(value)
        self.waiters.clear()

    def fail(self, error: BaseException) -> None:
        """Give every waiter that is still there an instance of ``error`` of its own."""
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_exception(fresh(error))
        self.waiters.clear()


def fresh(error: BaseException) -> BaseException:
    """Return a copy of ``error`` without traceback or context.

    One instance shared by many waiters grows a traceback with each of them, and keeps their frames, with whatever
    secrets are in these, alive. An exception that cannot be copied is passed on as it is.
    """
    try:
        duplicate = copy.copy(error)
    except Exception:  # noqa: BLE001  # a foreign exception may fail to copy in any way it likes
        return error
    if type(duplicate) is not type(error):
        return error
    duplicate.__traceback__ = duplicate.__context__ = duplicate.__cause__ = None
    return duplicate
