"""A hundred thousand entries: what one costs in memory, what the scheduler costs when they are due, what gc costs."""

from __future__ import annotations

import asyncio
import gc
import random
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

from async_lru import alru_cache

from asyncsecrets import CachePolicy, SingleFlightCache
from asyncsecrets.cache.clock import boot_time
from asyncsecrets.cache.renewer import Renewer
from asyncsecrets.cache.schedule import Schedule

ENTRIES = 100_000
WITHIN = 2.0
NAMES = [f"team-{number % 100}/service-{number}" for number in range(ENTRIES)]
VALUES = [f"canary-{number}" for number in range(ENTRIES)]


# -- memory


async def _in_dict() -> object:
    return dict(zip(NAMES, VALUES, strict=True))


async def _in_cache() -> object:
    async def fetch(name: str) -> str:
        raise LookupError(name)

    cache = SingleFlightCache(fetch, CachePolicy(max_entries=0))
    for name, value in zip(NAMES, VALUES, strict=True):
        cache.put(name, value)
    await asyncio.sleep(0)
    return cache


async def _in_async_lru() -> object:
    values = dict(zip(NAMES, VALUES, strict=True))

    @alru_cache(maxsize=None, ttl=86_400)
    async def read(name: str) -> str:
        return values[name]

    for name in NAMES:
        await read(name)
    return read


async def _bytes_and_collection(make: Callable[[], Any]) -> tuple[float, float]:
    gc.collect()
    gc.freeze()
    before = tracemalloc.get_traced_memory()[0]
    kept = await make()
    gc.collect()
    size = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()  # it would slow the collector down
    taken = []
    for _ in range(9):
        started = time.process_time()
        gc.collect()
        taken.append(time.process_time() - started)
    gc.unfreeze()
    if isinstance(kept, SingleFlightCache):
        await kept.aclose()
    return size / ENTRIES, statistics.median(taken)


def _memory() -> None:
    print(f"{'':36}{'bytes per entry':>16}{'full gc, ms':>13}")
    for row, make in {"dict": _in_dict, "SingleFlightCache": _in_cache, "async-lru with ttl": _in_async_lru}.items():
        tracemalloc.start()
        size, collection = asyncio.run(_bytes_and_collection(make))
        print(f"{row:36}{size:16.0f}{collection * 1e3:13.1f}")


# -- the scheduler alone


async def _by_renewer(handled: Callable[[], None]) -> Callable[[], None]:
    schedule: Schedule[str] = Schedule(CachePolicy(refresh_interval=WITHIN, max_stale=86_400.0), random.random)
    for name in NAMES:
        schedule.begin(name, boot_time())
    renewer = Renewer(
        schedule, clock=boot_time, concurrency=20, company=lambda: 1, launch=_launch_with(schedule.renew, handled),
        expire=schedule.end, vouch=lambda: None, withdraw=lambda: None, on_end=None, guarded=True,
    )  # fmt: skip
    return renewer.task.cancel  # type: ignore[return-value]


def _launch_with(renew: Callable[[str, float], None], handled: Callable[[], None]) -> Callable[..., None]:
    """What stands in for a fetch that is answered at once."""

    def launch(name: str, done: Callable[[], None]) -> None:
        renew(name, boot_time())
        handled()
        done()

    return launch


def _stand_in() -> float:
    """CPU seconds that the stand-in for a fetch takes by itself: in a cache, the flight asks the clock and counts."""
    taken = []
    for _ in range(5):
        launch = _launch_with(lambda _, __: None, lambda: None)
        began = time.thread_time()
        for name in NAMES:
            launch(name, _done)
        taken.append((time.thread_time() - began) / ENTRIES)
    return statistics.median(taken)


def _done() -> None:
    """As the renewer's own."""


async def _by_call_later(handled: Callable[[], None]) -> Callable[[], None]:
    loop = asyncio.get_running_loop()
    timers: dict[str, asyncio.TimerHandle] = {}

    def due(name: str) -> None:
        timers[name] = loop.call_later(WITHIN, due, name)
        handled()

    for name in NAMES:
        timers[name] = loop.call_later(WITHIN * random.random(), due, name)
    return lambda: [timer.cancel() for timer in timers.values()] and None


async def _by_tasks(handled: Callable[[], None]) -> Callable[[], None]:
    async def renew() -> None:
        await asyncio.sleep(WITHIN * random.random())
        while True:
            handled()
            await asyncio.sleep(WITHIN)

    tasks = [asyncio.create_task(renew()) for _ in NAMES]
    return lambda: [task.cancel() for task in tasks] and None


async def _schedule(start: Callable[..., Any]) -> tuple[float, float, float]:
    """CPU seconds per renewal, and the 99th percentile and the worst of what the loop did in one go."""
    count = 0

    def handled() -> None:
        nonlocal count
        count += 1

    stop = await start(handled)
    await asyncio.sleep(0.01)
    gaps: list[float] = []
    began, end = time.thread_time(), time.monotonic() + WITHIN
    last = began
    # By the thread's own CPU time: other programs on the machine do not count as stalls.
    while time.monotonic() < end:
        await asyncio.sleep(0.0005)
        now = time.thread_time()
        gaps.append(now - last)
        last = now
    cpu = last - began
    stop()
    await asyncio.sleep(0.01)
    gaps.sort()
    return cpu / max(1, count), gaps[int(len(gaps) * 0.99)], gaps[-1]


async def _idle() -> float:
    """What the probe costs by itself, in CPU seconds."""
    return (await _schedule(_nothing))[0]


async def _nothing(_: Callable[[], None]) -> Callable[[], None]:
    return lambda: None


def _scheduler() -> None:
    probe, stand_in = asyncio.run(_idle()), _stand_in()
    print(f"\n{'renewals due within 2 s':36}{'us each':>10}{'p99 stall, ms':>15}{'worst, ms':>11}")
    rows = {"Renewer": _by_renewer, "call_later per entry": _by_call_later, "task per entry": _by_tasks}
    for row, start in rows.items():
        runs = [asyncio.run(_schedule(start)) for _ in range(3)]
        each, p99, worst = (statistics.median(column) for column in zip(*runs, strict=True))
        own = each - probe / ENTRIES - (stand_in if start is _by_renewer else 0.0)
        print(f"{row:36}{own * 1e6:10.2f}{p99 * 1e3:15.2f}{worst * 1e3:11.2f}")
    print(f"Taken off: {probe * 1e3:.0f} ms for the probe that looks for stalls, in all; ", end="")
    print(f"of the Renewer {stand_in * 1e6:.2f} us each for what stands in for a fetch")


def main() -> None:
    """Print both tables."""
    print(f"{ENTRIES} entries, Python {sys.version.split()[0]}; bytes beyond name and value")
    _memory()
    _scheduler()


if __name__ == "__main__":
    main()
