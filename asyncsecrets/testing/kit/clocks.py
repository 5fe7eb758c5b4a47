"""`SecretsClock`: the time that every client of the process goes by, moved by its test."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from asyncsecrets.boundary import afresh
from asyncsecrets.cache import boot_time
from asyncsecrets.client import stand_ins
from asyncsecrets.errors import ConfigError, DeadlineExceededError, UnsupportedOperationError
from asyncsecrets.loops import current_loop, tell

__all__ = ["SecretsClock", "clock_now", "sleep", "wall_now"]

_PATIENCE = 10.0  # seconds of real time that renewals may take which have become due
_TURNS = 100  # turns of the loop that are waited without a pause: what is in memory is done by then
_PAUSE = 0.001  # seconds
_TICK = 0.001  # seconds by which time is moved at least: what is due at a moment is past it then
_EXACT = 500  # steps that end at the very moment at which something is due; then as many that may be longer


class SecretsClock:
    """Time for clients: the machine's, and as much more as the test has let pass.

    Refresh intervals, the ends of values, *absent* that is believed, backoffs of renewals, outages and what
    ``status()`` tells go by it. The loop's own timers do not, such as ``asyncio.sleep`` and the deadlines of
    operations.
    """

    def __init__(self) -> None:
        self._ahead = 0.0
        self._sleepers: list[_Sleeper] = []

    def __repr__(self) -> str:
        return f"<SecretsClock {self._ahead:g} s ahead>"

    @contextmanager
    def installed(self) -> Iterator[SecretsClock]:
        """Have every client go by it until the block ends."""
        _clocks.append(self)
        stand_ins.put_time(self)
        try:
            yield self
        finally:
            _clocks.remove(self)
            stand_ins.put_time(_clocks[-1] if _clocks else None)

    def clock(self) -> float:
        """Seconds, as ``SingleFlightCache`` wants them."""
        return boot_time() + self._ahead

    def wall(self) -> float:
        """Unix time."""
        return time.time() + self._ahead

    @afresh
    async def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass, in no time, and return when all that became due meanwhile has been done.

        One thing after another becomes due at its moment, as in real time: an hour in which a manager is down has all
        its failed renewals. Where that would be thousands, the later ones are fewer. Raises ConfigError for what is no
        time, DeadlineExceededError if it takes ten real seconds.
        """
        until = time.monotonic() + _PATIENCE
        for step in self._steps(seconds):
            self._move(step)
            turns = 0
            while self._is_behind():
                _check(until)
                turns += 1
                await asyncio.sleep(0 if turns < _TURNS else _PAUSE)

    @afresh
    def move(self, seconds: float) -> None:
        """As ``advance``, for a test that is no coroutine: its program has an event loop in another thread, or none.

        Raises UnsupportedOperationError on an event loop, which it would block.
        """
        if current_loop() is not None:
            raise UnsupportedOperationError("move() would block this event loop: await clock.advance() there")
        until = time.monotonic() + _PATIENCE
        for step in self._steps(seconds):
            self._move(step)
            while self._is_behind():
                _check(until)
                time.sleep(_PAUSE)

    def _steps(self, seconds: float) -> Iterator[float]:
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
            raise ConfigError("time passes by a number of seconds, 0 or more")
        yield 0.0  # what is due already
        left = float(seconds)
        for number in count():
            if left <= 0:
                return
            least = _TICK if number < _EXACT else seconds / _EXACT
            step = min(left, max(self._next_due(), least))
            left -= step
            yield step

    def _next_due(self) -> float:
        dues = [source.cache.next_due() for source in stand_ins.sources()]
        return min([*dues, *(sleeper.due - self.clock() for sleeper in self._sleepers)], default=math.inf)

    def _move(self, seconds: float) -> None:
        self._ahead += seconds
        for sleeper in [*self._sleepers]:
            if sleeper.due <= self.clock():
                sleeper.wake()
        for source in stand_ins.sources():
            source.home.post(source.cache.look_at_the_clock)

    def _is_behind(self) -> bool:
        caches = [source.cache for source in stand_ins.sources()]
        waiting = sum(sleeper.due > self.clock() for sleeper in self._sleepers)
        awake = len(self._sleepers) > waiting or sum(cache.under_way for cache in caches) > waiting
        return awake or any(cache.next_due() <= 0 for cache in caches)

    async def sleep(self, seconds: float) -> None:
        """Wait until so many seconds have passed."""
        sleeper = _Sleeper(self.clock() + seconds)
        self._sleepers.append(sleeper)
        timer = sleeper.loop.call_later(seconds, sleeper.wake)
        try:
            await sleeper.woken
        finally:
            timer.cancel()
            self._sleepers.remove(sleeper)


class _Sleeper:
    """Who waits until ``due``, by the clock."""

    def __init__(self, due: float) -> None:
        self.due = due
        self.loop = asyncio.get_running_loop()
        self.woken: asyncio.Future[None] = self.loop.create_future()

    def wake(self) -> None:
        tell(self.loop, self._wake)

    def _wake(self) -> None:
        if not self.woken.done():
            self.woken.set_result(None)


def _check(until: float) -> None:
    if time.monotonic() > until:
        raise DeadlineExceededError(
            f"what became due has not been done after {_PATIENCE:g} s; does the event loop of the program run?",
            provider="secrets_clock",
        )


_clocks: list[SecretsClock] = []


def clock_now() -> float:
    """Seconds, by the clock that is installed."""
    return _clocks[-1].clock() if _clocks else boot_time()


def wall_now() -> float:
    """Unix time, by the clock that is installed."""
    return _clocks[-1].wall() if _clocks else time.time()


async def sleep(seconds: float) -> None:
    """Wait, by the clock that is installed."""
    await (_clocks[-1].sleep(seconds) if _clocks else asyncio.sleep(seconds))
