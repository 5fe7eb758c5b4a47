"""Which node of the cluster is asked: that of ``addr``, and another one of ``cluster_addrs`` while it cannot be.

A node that could not be reached is left out for some seconds, or every call would wait for it anew. Then one call tries
it again, whoever comes first; the others go on as before until that one was answered.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence

from asyncsecrets.journal import NODE, say
from asyncsecrets.providers.vault.paths import SYSTEM

__all__ = ["Nodes"]

_FIRST_WAIT = 5.0  # seconds; doubled with each failure in a row
_LONGEST_WAIT = 60.0


class Nodes:
    """``origins`` are the nodes' addresses, in the order in which they are asked. ``clock`` is in monotonic seconds."""

    def __init__(self, origins: Sequence[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._origins = tuple(dict.fromkeys(origins))
        self._clock = clock
        self._in_use = self._origins[0]
        self._until: dict[str, float] = {}
        self._failures: dict[str, int] = {}
        self.several = len(self._origins) > 1
        """Whether there is another node to go to."""

    @property
    def first(self) -> str:
        """The node of ``addr``."""
        return self._origins[0]

    def choose(self) -> str:
        """The node to ask: the first one that is not left out; where all are, the one that has been for longest."""
        if not self._until:
            return self._origins[0]
        return self.other(()) or min(self._origins, key=lambda origin: self._until.get(origin, 0.0))

    def other(self, tried: Collection[str]) -> str | None:
        """The first node that is not left out and was not ``tried``, or None."""
        now = self._clock()
        for origin in self._origins:
            until = self._until.get(origin)
            if origin in tried or (until is not None and now < until):
                continue
            if until is not None:
                self._leave_out(origin)  # until this call was answered, for everybody else
            return origin
        return None

    def is_left_out(self, origin: str) -> bool:
        """Whether a node could not be reached a moment ago."""
        return self._clock() < self._until.get(origin, 0.0)

    def failed(self, origin: str) -> None:
        """Note that a node could not be reached, or cannot serve."""
        if self.several:
            self._failures[origin] = self._failures.get(origin, 0) + 1
            self._leave_out(origin)

    def served(self, origin: str, *, in_use: bool = True) -> None:
        """Note that a node answered as it should. A change of the node ``in_use`` is logged."""
        if self._until.pop(origin, None) is not None:
            del self._failures[origin]
        if not in_use or origin == self._in_use:
            return
        before, self._in_use = self._in_use, origin
        if origin == self.first:
            said = f"{origin} answers again, and is asked again in the place of {before}"
        else:
            said = f"{before} cannot be reached or cannot serve; {origin} is asked in its place"
        say(NODE, logging.INFO, "%s: %s", SYSTEM, said)

    def _leave_out(self, origin: str) -> None:
        wait = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(self._failures[origin] - 1, 32))
        self._until[origin] = self._clock() + wait
