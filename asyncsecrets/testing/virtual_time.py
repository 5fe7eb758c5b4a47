"""An event loop whose time is virtual: it passes when nothing else is left to do, and a day of it costs nothing.

::

    clock = VirtualClock()
    with asyncio.Runner(loop_factory=clock.new_loop) as runner:
        runner.run(asyncio.sleep(86_400))  # returns at once

Whatever takes its time from the loop (``asyncio.sleep``, ``asyncio.timeout``, ``call_later``, a refresh interval of
``SingleFlightCache``) runs as ever, in the same order. Give the cache, or the client's
``cache_options``, ``clock=clock.boot_time`` and ``guarded=False``.

Do not mix it with real sockets, processes or threads that take their own time: while they work, nothing is ready,
and the loop jumps to its next timer.
"""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Mapping
from typing import Any

__all__ = ["VirtualClock", "VirtualTimeLoop"]

_PATIENCE = 10.0


class VirtualClock:
    """Virtual time in seconds, shared by any number of loops, one after another.

    There are two readings, as on a real machine: ``monotonic`` stops while the machine is suspended,
    ``boot_time`` does not.
    """

    __slots__ = ("_now", "_suspended")

    def __init__(self, start: float = 1_000.0) -> None:
        self._now = start
        self._suspended = 0.0

    def monotonic(self) -> float:
        """The time that loops and their timers go by."""
        return self._now

    def boot_time(self) -> float:
        """The time that has really passed, suspension included."""
        return self._now + self._suspended

    def advance(self, seconds: float) -> None:
        """Let time pass at once. Called from a task, this is a callback that blocks its loop: timers run late."""
        if seconds < 0:
            raise ValueError("time does not run backwards")
        # However small the step, the clock moves: a timer that is due in a nanosecond must become due.
        self._now = max(self._now + seconds, math.nextafter(self._now, math.inf)) if seconds else self._now

    def suspend(self, seconds: float) -> None:
        """Suspend the machine: time passes, and no timer notices."""
        if seconds < 0:
            raise ValueError("time does not run backwards")
        self._suspended += seconds

    def new_loop(self) -> VirtualTimeLoop:
        """Return a new event loop on this clock: a ``loop_factory`` for ``asyncio.Runner``."""
        return VirtualTimeLoop(self)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop that goes by a ``VirtualClock``, its own by default.

    Raises RuntimeError out of ``run_until_complete`` when nothing is ready, no timer is set, and no other thread says
    anything for ten real seconds: a deadlock, which would hang a real loop for ever.
    """

    def __init__(self, clock: VirtualClock | None = None) -> None:
        self.clock = clock or VirtualClock()
        super().__init__(_JumpingSelector(self.clock))
        self.slow_callback_duration = float("inf")  # a callback that moves the clock is not a slow one

    def time(self) -> float:
        """The clock's monotonic reading, in seconds."""
        return self.clock.monotonic()

    async def shutdown_default_executor(self, _: float | None = None) -> None:
        """Wait for the executor's threads. They take real time, in which a limit in virtual time is over at once."""
        await super().shutdown_default_executor()


class _JumpingSelector(selectors.BaseSelector):
    """Where a loop waits for its next timer or for I/O. This one does not wait: it moves the clock."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self._selector = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = self._selector.select(_PATIENCE if timeout is None else 0)
        if not events and timeout is None:
            raise RuntimeError("deadlock: nothing is ready, no timer is set, and no other thread has said anything")
        if not events and timeout is not None and timeout > 0:
            self._clock.advance(timeout)
        return events

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._selector.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._selector.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._selector.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._selector.get_map()

    def close(self) -> None:
        self._selector.close()
