"""Ten thousand readers of one cold key: calls, CPU and memory, beside ten thousand tasks on one shared future."""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
import time
import tracemalloc
from collections.abc import Awaitable, Callable

from async_lru import alru_cache

from asyncsecrets import SecretsClient, SingleFlightCache
from asyncsecrets.providers.memory import MemoryProvider

WAITERS = 10_000
ROUNDS = 11
LATENCY = 0.05
FLOOR = "floor: tasks on one shared future"

Read = Callable[[], Awaitable[object]]


class Backend:
    """Answers after 50 ms, and counts."""

    def __init__(self) -> None:
        self.calls = 0

    async def fetch(self, _: str) -> str:
        self.calls += 1
        await asyncio.sleep(LATENCY)
        return "canary"


class SlowMemory(MemoryProvider):
    """The memory provider, as slow as the backend."""

    def __init__(self, backend: Backend) -> None:
        super().__init__({"NAME": "canary"})
        self.backend = backend

    async def get(self, name: str, version: str | None = None):
        await self.backend.fetch(name)
        return await super().get(name, version)


def _floor(backend: Backend) -> tuple[Read, Callable[[], Awaitable[None]] | None]:
    shared: list[asyncio.Future[str]] = []

    async def answer(future: asyncio.Future[str]) -> None:
        future.set_result(await backend.fetch("NAME"))

    async def read() -> object:
        if not shared:
            shared.append(asyncio.get_running_loop().create_future())
            shared.append(asyncio.create_task(answer(shared[0])))  # type: ignore[arg-type]
        return await shared[0]

    return read, None


def _cache(backend: Backend) -> tuple[Read, Callable[[], Awaitable[None]] | None]:
    cache = SingleFlightCache(backend.fetch)
    return lambda: cache.get("NAME"), cache.aclose


def _client(backend: Backend) -> tuple[Read, Callable[[], Awaitable[None]] | None]:
    client = SecretsClient.from_provider(SlowMemory(backend))
    return lambda: client.get("NAME"), client.aclose


def _async_lru(backend: Backend) -> tuple[Read, Callable[[], Awaitable[None]] | None]:
    read = alru_cache(ttl=3600)(backend.fetch)
    return lambda: read("NAME"), read.cache_close


ROWS = {FLOOR: _floor, "SingleFlightCache.get": _cache, "SecretsClient.get": _client, "async-lru": _async_lru}


async def _stampede(row: str, measure: Callable[[], float]) -> tuple[float, int]:
    backend = Backend()
    read, close = ROWS[row](backend)
    gc.collect()
    before = measure()
    tasks = [asyncio.create_task(read()) for _ in range(WAITERS)]  # type: ignore[arg-type]
    await asyncio.gather(*tasks)
    spent = measure() - before
    if close is not None:
        await close()
    return spent, backend.calls


async def _first_cancelled(row: str) -> bool:
    """Whether the others get the value when the first reader is cancelled."""
    read, close = ROWS[row](Backend())
    tasks = [asyncio.create_task(read()) for _ in range(100)]  # type: ignore[arg-type]
    await asyncio.sleep(LATENCY / 5)
    tasks[0].cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    if close is not None:
        await close()
    return all(not isinstance(outcome, BaseException) for outcome in outcomes[1:])


def _peak(row: str) -> float:
    """Bytes at the peak, above what there was before."""
    tracemalloc.start()
    try:
        asyncio.run(_stampede(row, lambda: tracemalloc.get_traced_memory()[1]))
        tracemalloc.reset_peak()
        return asyncio.run(_stampede(row, lambda: tracemalloc.get_traced_memory()[1]))[0]
    finally:
        tracemalloc.stop()


def main() -> None:
    """Print each row beside the floor."""
    taken: dict[str, list[tuple[float, int]]] = {row: [] for row in ROWS}
    for _ in range(ROUNDS):
        for row, results in taken.items():
            results.append(asyncio.run(_stampede(row, time.process_time)))
    peaks = {row: _peak(row) for row in ROWS}
    print(
        f"{WAITERS} readers of one cold key, {LATENCY * 1e3:.0f} ms backend, Python {sys.version.split()[0]}, ", end=""
    )
    print(f"medians of {ROUNDS} interleaved rounds")
    print(f"{'':36}{'calls':>6}{'CPU ms':>8}{'x floor':>9}{'peak MB':>9}{'x floor':>9}  first cancelled, others fine")
    for row, results in taken.items():
        cpu = [spent for spent, _ in results]
        ratio = statistics.median(own / floor for own, (floor, _) in zip(cpu, taken[FLOOR], strict=True))
        calls = max(calls for _, calls in results)
        fine = "yes" if asyncio.run(_first_cancelled(row)) else "no"
        print(f"{row:36}{calls:6}{statistics.median(cpu) * 1e3:8.0f}{ratio:9.2f}", end="")
        print(f"{peaks[row] / 1e6:9.1f}{peaks[row] / peaks[FLOOR]:9.2f}  {fine}")


if __name__ == "__main__":
    main()
