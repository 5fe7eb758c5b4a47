"""Keeping a start from setting off a collection of all garbage.

Importing the SDK and making a client create some 50,000 objects that live as long as the process. Python takes such
growth for a reason to look through every object there is, which stops all threads, the event loop's among them, for 20
to 30 ms of computing, and finds nothing. So collections wait until the start is over: a third of a second.
"""

from __future__ import annotations

import contextlib
import gc
import threading
from collections.abc import Iterator

__all__ = ["without_collections"]

_lock = threading.Lock()
_pauses = 0
_resume = False


@contextlib.contextmanager
def without_collections() -> Iterator[None]:
    """Pause the collector, unless it is off anyway. Pauses may overlap, also in several threads."""
    _pause()
    try:
        yield
    finally:
        _unpause()


def _pause() -> None:
    global _pauses, _resume  # noqa: PLW0603  # the collector is the process's too
    with _lock:
        if _pauses == 0:
            _resume = gc.isenabled()
            gc.disable()
        _pauses += 1


def _unpause() -> None:
    global _pauses  # noqa: PLW0603  # the collector is the process's too
    with _lock:
        _pauses -= 1
        if _pauses == 0 and _resume:
            gc.enable()
