"""What a warm read costs, beside the cheapest coroutine that could answer, a bare dict, and async-lru."""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
import time
import types
from collections.abc import Awaitable, Callable

from async_lru import alru_cache

from asyncsecrets import SecretsClient, SingleFlightCache, get_secret
from asyncsecrets.providers.memory import MemoryProvider

ROUNDS = 41
CALLS = 20_000
NAME = "NAME"
FLOOR = "floor: async def f(n): return d[n]"


async def _await_many(read: Callable[[str], Awaitable[object]], calls: range) -> None:
    for _ in calls:
        await read("NAME")


async def _call_many(read: Callable[[str], object], calls: range) -> None:
    for _ in calls:
        read("NAME")


async def _look_up_many(values: dict[str, object], calls: range) -> None:
    for _ in calls:
        values["NAME"]


def _own_copy(function: types.FunctionType) -> Callable[..., Awaitable[None]]:
    """The same code with inline caches of its own: the interpreter specialises a call for what it calls."""
    return types.FunctionType(function.__code__.replace(), function.__globals__)


async def measure() -> dict[str, list[float]]:
    """Nanoseconds per read, one per round; every round does all rows."""
    values: dict[str, object] = {NAME: "canary"}

    async def floor(name: str) -> object:
        return values[name]

    @alru_cache(ttl=3600)
    async def with_async_lru(name: str) -> object:
        return values[name]

    async def fetch(name: str) -> object:
        return values[name]

    cache = SingleFlightCache(fetch)
    client = SecretsClient.from_provider(MemoryProvider({NAME: "canary"}))
    async with client:
        rows = {
            "bare dict, synchronous": (_look_up_many, values),
            FLOOR: (_await_many, floor),
            "await get_secret(name)": (_await_many, get_secret),
            "await client.get(name)": (_await_many, client.get),
            "client.peek(name)": (_call_many, client.peek),
            "await cache.get(key)": (_await_many, cache.get),
            "cache.peek(key)": (_call_many, cache.peek),
            "async-lru with ttl": (_await_many, with_async_lru),
        }
        spinners = {row: (_own_copy(spin), read) for row, (spin, read) in rows.items()}
        taken: dict[str, list[float]] = {row: [] for row in rows}
        await _round(spinners, {row: [] for row in rows})  # the first one warms everything
        for _ in range(ROUNDS):
            await _round(spinners, taken)
    await cache.aclose()
    return taken


async def _round(spinners: dict, taken: dict[str, list[float]]) -> None:
    gc.disable()
    calls = range(CALLS)
    for row, (spin, read) in spinners.items():
        before = time.thread_time_ns()  # other programs on the machine do not count
        await spin(read, calls)
        taken[row].append((time.thread_time_ns() - before) / CALLS)
    gc.enable()


def main() -> None:
    """Print medians, and the median of each round's ratio to its own floor."""
    taken = asyncio.run(measure())
    print(f"One warm read, Python {sys.version.split()[0]}, medians of {ROUNDS} interleaved rounds of {CALLS} calls")
    print(f"{'':40}{'ns':>8}{'x floor':>9}")
    for row, times in taken.items():
        ratios = [own / floor for own, floor in zip(times, taken[FLOOR], strict=True)]
        print(f"{row:40}{statistics.median(times):8.0f}{statistics.median(ratios):9.2f}")


if __name__ == "__main__":
    main()
