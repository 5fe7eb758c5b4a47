"""Asking a service beside a machine that is not ready yet, as right after the machine, pod or container has started."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from asyncsecrets.errors import UnavailableError

__all__ = ["Patience"]

T = TypeVar("T")

_APART: Final = 0.5


class Patience:
    """Asks again for ``seconds``, in a thread. ``sleep`` and ``clock`` are in seconds too."""

    def __init__(
        self,
        seconds: float,
        sleep: Callable[[float], object] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds = seconds
        self._sleep = sleep
        self._clock = clock
        self.is_tried = False
        """Whether somebody is asked again and again at the moment, since he did not answer."""

    def ask(self, once: Callable[[], T]) -> T:
        """What ``once()`` returns. Raises what it raises; UnavailableError when it has done so all the time."""
        ends = self._clock() + self._seconds
        try:
            while True:
                try:
                    return once()
                except UnavailableError:
                    if self._clock() >= ends:
                        raise
                self.is_tried = True
                self._sleep(_APART)
        finally:
            self.is_tried = False
