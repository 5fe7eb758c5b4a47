"""One running fetch of one key, and everybody who waits for it."""

from __future__ import annotations

import asyncio
import copy
from typing import Generic, TypeVar

from asyncsecrets.errands import Errand, current, wait_for, whose

__all__ = ["Flight", "fresh"]

K = TypeVar("K")
V = TypeVar("V")
E = TypeVar("E", bound=BaseException)


class Flight(Errand, Generic[K, V]):
    """The one fetch of ``key`` that is running.

    Callers wait on futures of their own, so a cancelled caller harms only itself. A flight is *on record* while the
    cache lists it; once it is off the record (a put, a delete, an invalidation), what it brings is given to those who
    already waited and is not stored.
    """

    __slots__ = ("waiters",)

    key: K
    task: asyncio.Task[None]

    def __init__(self, key: K) -> None:
        super().__init__(key)
        self.waiters: list[asyncio.Future[V]] = []

    def join(self, waiter: asyncio.Future[V]) -> asyncio.Future[V]:
        """Have ``waiter`` told how it ends, and return it. Raises UnsupportedOperationError if it waits for who
        asks."""
        if current.get() is not None and (asker := whose()) is not None:
            wait_for(self, waiter, asker)
        self.waiters.append(waiter)
        return waiter

    def resolve(self, value: V) -> None:
        """Give ``value`` to every waiter that is still there."""
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(value)
        self.waiters.clear()

    def fail(self, error: BaseException) -> bool:
        """Give every waiter that is still there an instance of ``error`` of its own; say whether there was any."""
        waiting = [waiter for waiter in self.waiters if not waiter.done()]
        for waiter in waiting:
            waiter.set_exception(fresh(error))
        self.waiters.clear()
        return bool(waiting)


def fresh(error: E) -> E:
    """Return a copy of ``error`` without traceback, context or cause.

    One instance shared by many waiters grows a traceback with each of them, and keeps their frames, with whatever
    secrets are in these, alive. An exception that cannot be copied at all is passed on as it is.
    """
    duplicate = _copy(error)
    duplicate.__traceback__ = duplicate.__context__ = duplicate.__cause__ = None
    return duplicate


def _copy(error: E) -> E:
    try:
        duplicate = copy.copy(error)
        if type(duplicate) is not type(error):
            return error
    except Exception:  # noqa: BLE001  # a foreign exception may fail to copy in any way it likes
        return _rebuilt(error)
    return duplicate


def _rebuilt(error: E) -> E:
    # Most exceptions that cannot be copied only have a constructor that asks for more than it hands on.
    try:
        duplicate = type(error).__new__(type(error), *error.args)
        duplicate.__dict__.update(error.__dict__)
    except Exception:  # noqa: BLE001  # as above
        return error
    return duplicate
