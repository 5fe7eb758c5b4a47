"""How far a write has come: whether a request of it is out that may change something.

A write that is given up while its provider still logs in, or waits for a connection, was not applied and can be made
again; one that was sent may have been. Only the provider knows which of them it is, and a cancellation gives it nothing
to say that with. So it notes it here as it goes, for the task that makes the write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Sending", "followed", "is_out", "is_settled"]

_of: dict[asyncio.Task[Any] | None, Sending] = {}


class Sending:
    """One write. ``requests``: how many it has sent that may have changed something, whatever was answered."""

    __slots__ = ("requests",)

    def __init__(self) -> None:
        self.requests = 0

    @property
    def out(self) -> bool:
        """Whether it may have been applied, or a part of it."""
        return self.requests > 0


@contextmanager
def followed() -> Iterator[Sending]:
    """Follow the write that the running task makes within."""
    task, sending = asyncio.current_task(), Sending()
    before = _of.get(task)
    _of[task] = sending
    try:
        yield sending
    finally:
        if before is None:
            del _of[task]
        else:
            _of[task] = before


def is_out() -> None:
    """Note that a request which may change something is sent now, for the running task."""
    if _of and (sending := _of.get(asyncio.current_task())) is not None:
        sending.requests += 1


def is_settled() -> None:
    """Note that the last of these requests has changed nothing: it was refused, or nobody was there to take it."""
    if _of and (sending := _of.get(asyncio.current_task())) is not None:
        sending.requests -= 1
