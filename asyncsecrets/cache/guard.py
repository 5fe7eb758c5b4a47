"""The dead man's switch: takes values out of the hot dict when their event loop cannot.

A hit reads no clock, so somebody else has to. Normally that is the renewer, a task on the cache's loop. A loop that is
blocked, or is not being run, cannot run it; meanwhile values pass the end of their life and the next hit, which may
come before the loop's timers, would serve them. So the renewer *promises* when it will be back, and one daemon thread
per process withdraws the values of whoever breaks the promise. The thread sleeps until the earliest promise and costs
nothing in between; it ends with the last promise. On a hit it costs nothing at all.
"""

from __future__ import annotations

import os
import time

# Taken from where threading takes them, when this is imported: gevent may replace threading's later. A greenlet could
# not look after a loop that blocks its thread, and one that waits for a lock of this thread would wait for ever.
from _thread import RLock, allocate_lock, start_new_thread
from collections.abc import Callable

__all__ = ["GRACE", "Guard", "guard"]

GRACE = 0.05
"""How late a renewer may be before its values are withdrawn, in seconds: more than an ordinary pause of a loop."""


class Guard:
    """Promises by owner; one thread that holds them to it."""

    def __init__(self) -> None:
        # Reentrant, and nothing is iterated over in place: garbage that is collected in here may be a renewer that
        # releases its promise.
        self._lock = RLock()
        self._look = allocate_lock()  # released when the thread is to look again before its time
        self._look.acquire()
        self._promises: dict[object, tuple[float, Callable[[], object]]] = {}
        self._runs = False

    def promise(self, owner: object, seconds: float, withdraw: Callable[[], object]) -> None:
        """Call ``withdraw`` from the guard's thread unless ``owner`` promises again, or is released, in time.

        ``withdraw`` must neither raise nor ask anything of the guard.
        """
        with self._lock:
            until = time.monotonic() + seconds + GRACE
            earliest = min((at for at, _ in list(self._promises.values())), default=float("inf"))
            self._promises[owner] = (until, withdraw)
            starts, self._runs = not self._runs, True
            if not starts and until < earliest:
                self._wake()
        if starts:
            self._start()

    def release(self, owner: object) -> None:
        """Forget ``owner``'s promise: it has nothing hot any more."""
        with self._lock:
            self._promises.pop(owner, None)
            if not self._promises:
                self._wake()

    def _wake(self) -> None:
        if self._look.locked():
            self._look.release()

    def _start(self) -> None:
        try:
            start_new_thread(self._run, ())  # nobody waits for its end, not even the interpreter
        except RuntimeError:  # an interpreter that shuts down starts no threads, and has no use for this one
            self._runs = False

    def _run(self) -> None:
        while (wait := self._held_to_promises()) is not None:
            self._look.acquire(timeout=wait)

    def _held_to_promises(self) -> float | None:
        """Withdraw what is broken; return how long there is nothing to do, or None if nothing is promised any more."""
        with self._lock:
            now = time.monotonic()
            for owner, (at, withdraw) in list(self._promises.items()):
                if at <= now and self._promises.pop(owner, None) is not None:
                    withdraw()
            self._runs = bool(self._promises)
            return min((at for at, _ in list(self._promises.values())), default=now) - now if self._runs else None


guard = Guard()


def _after_fork() -> None:
    guard.__init__()  # type: ignore[misc]  # the thread and the lock stayed in the parent


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
