"""The dead man's switch: takes values out of the hot dict when their event loop cannot.

A hit reads no clock, so somebody else has to. Normally that is the renewer, a task on the cache's loop. A loop that is
blocked, or is not being run, cannot run it; meanwhile values pass the end of their life and the next hit, which may
come before the loop's timers, would serve them. So the renewer *promises* when it will be back, and one daemon thread
per process withdraws the values of whoever breaks the promise. The thread sleeps until the earliest promise and costs
nothing in between; it ends with the last promise. On a hit it costs nothing at all.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

__all__ = ["GRACE", "Guard", "guard"]

GRACE = 0.05
"""How late a renewer may be before its values are withdrawn, in seconds: more than an ordinary pause of a loop."""


class Guard:
    """Promises by owner; one thread that holds them to it."""

    def __init__(self) -> None:
        self._condition = threading.Condition(threading.Lock())
        self._promises: dict[object, tuple[float, Callable[[], None]]] = {}
        self._thread: threading.Thread | None = None

    def promise(self, owner: object, seconds: float, withdraw: Callable[[], None]) -> None:
        """Call ``withdraw`` from the guard's thread unless ``owner`` promises again, or is released, in time.

        ``withdraw`` must neither raise nor ask anything of the guard.
        """
        with self._condition:
            until = time.monotonic() + seconds + GRACE
            earliest = min((at for at, _ in self._promises.values()), default=float("inf"))
            self._promises[owner] = (until, withdraw)
            if self._thread is None:
                self._start()
            elif until < earliest:
                self._condition.notify()

    def release(self, owner: object) -> None:
        """Forget ``owner``'s promise: it has nothing hot any more."""
        with self._condition:
            self._promises.pop(owner, None)
            if not self._promises:
                self._condition.notify()

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="asyncsecrets-guard", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # an interpreter that shuts down starts no threads, and has no use for this one
            return
        self._thread = thread

    def _run(self) -> None:
        with self._condition:
            while self._promises:
                wait = min(at for at, _ in self._promises.values()) - time.monotonic()
                if wait > 0:
                    self._condition.wait(wait)
                else:
                    self._withdraw_broken()
            self._thread = None

    def _withdraw_broken(self) -> None:
        now = time.monotonic()
        for owner in [owner for owner, (at, _) in self._promises.items() if at <= now]:
            self._promises.pop(owner)[1]()


guard = Guard()


def _after_fork() -> None:
    guard.__init__()  # type: ignore[misc]  # the thread and the lock stayed in the parent


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
