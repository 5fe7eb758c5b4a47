"""What cannot grow: entries, absences, dead memberships, alarms."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from itertools import pairwise
from typing import Any

import pytest

from asyncsecrets.errors import SecretNotFoundError, UnavailableError
from tests.cache.world import INTERVAL, Recorder, World, check, down, settle, virtual


@virtual
async def test_the_oldest_entry_leaves_first(world: World) -> None:
    """Beyond ``max_entries`` one leaves for each that comes."""
    recorder = Recorder()
    cache = world.cache(max_entries=3, listener=recorder)
    for key in "abcde":
        cache.put(key, key)
    assert [key for key in "abcde" if key in cache] == ["c", "d", "e"]
    assert cache.stats.evicted == 2
    assert [heard[1] for heard in recorder.heard if heard[0] == "dropped"] == ["a", "b"]
    check(cache)


@virtual
async def test_zero_entries_means_no_bound(world: World) -> None:
    """As the policy says."""
    cache = world.cache(max_entries=0)
    for number in range(20_000):
        cache.put(str(number), "v")
    assert len(cache) == 20_000


@virtual
async def test_an_evicted_entry_is_not_renewed(world: World) -> None:
    """Its renewal is taken out of the schedule with it."""
    cache = world.cache(max_entries=1)
    cache.put("a", "1")
    cache.put("b", "2")
    await asyncio.sleep(INTERVAL * 1.5)
    assert {key for key, _ in world.backend.calls} == {"b"}


@virtual
async def test_absent_keys_are_bounded(world: World) -> None:
    """Names made up by an attacker cost a bounded amount of memory; the oldest is forgotten first."""
    world.backend.delay = 0.0
    cache = world.cache(max_negative=10, negative_ttl=1000.0)
    for number in range(100):
        with pytest.raises(SecretNotFoundError):
            await cache.get(str(number))
    assert cache._absent.keys() == [str(number) for number in range(90, 100)]


@virtual
async def test_a_hundred_thousand_puts_leave_no_memory_behind(world: World) -> None:
    """Each takes a membership out of the middle of the wheel; the dead ones are swept out."""
    cache = world.cache()
    for number in range(100_000):
        cache.put("k", "v")
        if number % 1000 == 0:
            world.clock.advance(1.0)
    wheel = cache._schedule._wheel
    assert wheel._size <= 1024 + 2 * len(cache) + 1
    assert sum(map(len, wheel._buckets.values())) == 2 * wheel._size
    check(cache)


@virtual
async def test_renewals_leave_no_alarms_behind(world: World) -> None:
    """The alarm for an end of life that did not come is dropped, even when max_stale is a year."""
    cache = world.cache(refresh_interval=10.0, max_stale=3e7, concurrency=100)
    world.backend.values, world.backend.delay = {str(number): "v" for number in range(100)}, 0.0
    await asyncio.gather(*(cache.get(key) for key in world.backend.values))
    await asyncio.sleep(500.0)
    assert cache.stats.renewals >= 4_900
    assert len(cache._schedule._alarms) <= 1024 + 4 * 100
    check(cache)


@virtual
async def test_refreshes_that_fail_leave_no_alarms_behind(world: World) -> None:
    """Each failure of an overdue entry sets one."""
    cache = await world.warm(refresh_interval=10.0, max_stale=3e7)
    world.backend.fault, world.backend.delay = down(), 0.0
    await asyncio.sleep(11.0)
    for _ in range(2000):
        with pytest.raises(UnavailableError):
            await cache.refresh("k")
    assert len(cache._schedule._alarms) <= 1100
    assert cache.peek("k") == "old"


@virtual
async def test_waking_up_leaves_no_timers_behind(world: World) -> None:
    """The renewer is woken before its time by each value that is in doubt."""
    cache = await world.warm()
    world.backend.delay = 0.0
    for _ in range(100):
        cache.renew_soon("k")
        await settle()
    assert world.backend.calls_of("k") == 101
    loop: Any = asyncio.get_running_loop()
    assert len([timer for timer in loop._scheduled if not timer.cancelled()]) <= 1


def test_a_thousand_failing_readers_leave_no_memory_behind(world: World) -> None:
    """No traceback, no frame, no waiter is kept."""

    async def main() -> int:
        world.backend.fault = down()
        cache = world.cache()
        sizes = []
        for _ in range(5):
            await asyncio.gather(*(cache.get("k") for _ in range(1000)), return_exceptions=True)
            gc.collect()  # what is counted is what is kept, not what waits to be collected
            sizes.append(tracemalloc.get_traced_memory()[0])
        # What is kept of each reader is kept in every round; the interpreter's own tables grow in one of them.
        return min(after - before for before, after in pairwise(sizes))

    tracemalloc.start()
    try:
        grown = world.run(main, debug=False)
    finally:
        tracemalloc.stop()
    assert grown < 20_000
