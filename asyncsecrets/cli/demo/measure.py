"""How the demo measures: stampedes, the cost of a warm read, readers that never stop, and stalls of the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, Self

__all__ = ["Readers", "StallProbe", "TtlDict", "nanoseconds", "stampede"]

_CALLS: Final = 10_000
_ROUNDS: Final = 10
_TICK: Final = 0.001  # s between two looks at the loop
_PAUSE: Final = 0.01  # s between two reads of one reader


async def stampede(read: Callable[[str], Awaitable[Any]], name: str, readers: int) -> float:
    """Have ``readers`` tasks read ``name`` at once; the seconds until the last one has it."""
    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(readers):
            group.create_task(_once(read, name))
    return time.perf_counter() - started


async def _once(read: Callable[[str], Awaitable[Any]], name: str) -> None:
    await read(name)


async def nanoseconds(name: str, *functions: Callable[[str], Awaitable[Any]]) -> list[float]:
    """What ``await function(name)`` costs, for each: the best of a few rounds in turn, the loop around it included."""
    best = [float("inf")] * len(functions)
    for _ in range(_ROUNDS):
        for index, function in enumerate(functions):
            best[index] = min(best[index], await _per_call(function, name))
        await asyncio.sleep(0)
    return best


async def _per_call(function: Callable[[str], Awaitable[Any]], name: str) -> float:
    started = time.perf_counter_ns()
    for _ in range(_CALLS):
        await function(name)
    return (time.perf_counter_ns() - started) / _CALLS


class TtlDict:
    """A plain cache, as it is often written: look, fetch, keep for ``ttl`` seconds."""

    def __init__(self, fetch: Callable[[str], Awaitable[Any]], ttl: float) -> None:
        self._fetch = fetch
        self._ttl = ttl
        self._known: dict[str, tuple[float, Any]] = {}

    async def __call__(self, name: str) -> Any:
        known = self._known.get(name)
        if known is None or known[0] < time.monotonic():
            known = self._known[name] = time.monotonic() + self._ttl, await self._fetch(name)
        return known[1]


class Readers:
    """Tasks that read one secret again and again, count, and notice when it changes."""

    def __init__(self, read: Callable[[str], Awaitable[str]], name: str) -> None:
        self._read = read
        self._name = name
        self._awaited: tuple[str, asyncio.Future[float]] | None = None
        self.served = 0
        self.errors: Counter[str] = Counter()

    @contextlib.asynccontextmanager
    async def running(self, readers: int) -> AsyncIterator[None]:
        """Read with ``readers`` tasks meanwhile."""
        tasks = [asyncio.create_task(self._go_on()) for _ in range(readers)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    def when(self, value: str) -> asyncio.Future[float]:
        """Resolves to the time at which a reader first gets ``value``."""
        future: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._awaited = value, future
        return future

    async def _go_on(self) -> None:
        while True:
            try:
                value = await self._read(self._name)
            except Exception as error:  # noqa: BLE001  # counting them is the point
                self.errors[type(error).__name__] += 1
            else:
                self.served += 1
                self._look_at(value)
            await asyncio.sleep(_PAUSE)

    def _look_at(self, value: str) -> None:
        if self._awaited is not None and self._awaited[0] == value and not self._awaited[1].done():
            self._awaited[1].set_result(time.perf_counter())


class StallProbe:
    """Looks at the event loop every millisecond; ``worst`` is how late it was at most, in seconds."""

    def __init__(self) -> None:
        self.worst = 0.0

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait({self._task})

    async def _watch(self) -> None:
        while True:
            due = time.perf_counter() + _TICK
            await asyncio.sleep(_TICK)
            self.worst = max(self.worst, time.perf_counter() - due)
