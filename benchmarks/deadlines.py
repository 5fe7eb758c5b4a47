"""What limiting the time of an operation costs: our queue beside asyncio.timeout and aiohttp's timer."""

from __future__ import annotations

import asyncio
import time

from aiohttp.helpers import TimeoutHandle

from asyncsecrets.deadlines import Deadline

ROUNDS, TIMES = 9, 20_000


async def _nothing() -> None:
    for _ in range(TIMES):
        await asyncio.sleep(0)


async def _asyncio() -> None:
    for _ in range(TIMES):
        async with asyncio.timeout(10):
            await asyncio.sleep(0)


async def _aiohttp() -> None:
    loop = asyncio.get_running_loop()
    for _ in range(TIMES):
        handle = TimeoutHandle(loop, 5)
        with handle.timer():
            started = handle.start()
            await asyncio.sleep(0)
        if started is not None:
            started.cancel()


async def _ours() -> None:
    deadline = Deadline(10)
    for _ in range(TIMES):
        with deadline.limit():
            await asyncio.sleep(0)


async def measure() -> None:
    """Print microseconds beyond the bare operation."""
    rows = {"bare": _nothing, "asyncio.timeout": _asyncio, "aiohttp's timer": _aiohttp, "Deadline": _ours}
    taken: dict[str, list[float]] = {row: [] for row in rows}
    for _ in range(ROUNDS):
        for row, run in rows.items():
            started = time.perf_counter()
            await run()
            taken[row].append((time.perf_counter() - started) / TIMES * 1e6)
    bare = min(taken.pop("bare"))
    print(f"Limiting the time of one operation, the least of {ROUNDS} interleaved rounds")
    for row, times in taken.items():
        print(f"  {row:18}{min(times) - bare:6.2f} us")


def main() -> None:
    """Run it."""
    asyncio.run(measure())


if __name__ == "__main__":
    main()
