"""Keeping a start from setting off a collection of all garbage.

Importing the SDK and making a client create some 50,000 objects that live as long as the process. Python takes such
growth for a reason to look through every object there is, which stops all threads, the event loop's among them, for 20
to 30 ms of computing, and finds nothing. So collections wait until the start is over: a third of a second.
"""

from __future__ import annotations

import contextlib
import gc
import os
import threading
from collections.abc import Iterator

__all__ = ["without_collections"]

_lock = threading.Lock()
_pauses = 0
_resume = False
_forks = 0


@contextlib.contextmanager
def without_collections() -> Iterator[None]:
    """Pause the collector, unless it is off anyway. Pauses may overlap, also in several threads."""
    forks = _pause()
    try:
        yield
    finally:
        _unpause(forks)


def _pause() -> int:
    global _pauses, _resume  # noqa: PLW0603  # the collector is the process's too
    with _lock:
        if _pauses == 0:
            _resume = gc.isenabled()
            gc.disable()
        _pauses += 1
        return _forks


def _unpause(forks: int) -> None:
    global _pauses  # noqa: PLW0603  # the collector is the process's too
    with _lock:
        if forks != _forks:  # the pause was the parent's
            return
        _pauses -= 1
        if _pauses == 0 and _resume:
            gc.enable()


def _after_fork() -> None:
    """The threads whose starts paused it are the parent's: here nobody would resume it."""
    global _forks, _lock, _pauses  # noqa: PLW0603  # the collector is the process's too
    _lock = threading.Lock()
    _forks += 1
    if _pauses and _resume:
        gc.enable()
    _pauses = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
