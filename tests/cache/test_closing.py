"""aclose: every waiter is told, every task ends, nothing stays."""

from __future__ import annotations

import asyncio

import pytest

from asyncsecrets.cache.guard import guard
from asyncsecrets.errors import ClosedError
from tests.cache.world import INTERVAL, World, settle, virtual


@virtual
async def test_waiters_get_closed_error_not_cancelled_error(world: World) -> None:
    """At once, however slow the backend is; also those whose flight is off the record."""
    world.backend.values["k"], world.backend.delay = "v", 100.0
    cache = world.cache()
    disowned = asyncio.create_task(cache.get("k"))
    await settle()
    cache.invalidate("k")
    readers = [asyncio.create_task(cache.get("k")) for _ in range(5)]
    await settle()
    before = world.clock.monotonic()
    await cache.aclose()
    results = await asyncio.gather(disowned, *readers, return_exceptions=True)
    assert {type(result) for result in results} == {ClosedError}
    assert world.clock.monotonic() == before
    assert asyncio.all_tasks() == {asyncio.current_task()}


@virtual
async def test_a_closed_cache_says_so(world: World) -> None:
    """Every way in."""
    cache = await world.warm()
    await cache.aclose()
    await cache.aclose()
    with pytest.raises(ClosedError):
        await cache.get("k")
    with pytest.raises(ClosedError):
        await cache.refresh("k")
    with pytest.raises(ClosedError):
        cache.join("k")
    with pytest.raises(ClosedError):
        cache.put("k", "v")
    with pytest.raises(ClosedError):
        cache.start()
    cache.invalidate("k")
    assert (cache.peek("k"), len(cache), cache.states()) == (None, 0, {})


@virtual
async def test_a_fetch_that_ignores_cancellation_is_waited_for_two_seconds(world: World) -> None:
    """Then it is left to itself; its result goes nowhere."""

    async def stubborn(key: str) -> str:
        end = world.clock.monotonic() + 60.0
        while (left := end - world.clock.monotonic()) > 0:
            try:
                await asyncio.sleep(left)
            except asyncio.CancelledError:
                continue
        return "late"

    cache = world.cache()
    cache._fetch = stubborn
    reader = asyncio.create_task(cache.get("k"))
    await settle()
    before = world.clock.monotonic()
    await cache.aclose()
    assert world.clock.monotonic() - before == pytest.approx(2.0)
    with pytest.raises(ClosedError):
        await reader
    await asyncio.sleep(60.0)
    assert (len(cache), cache.peek("k")) == (0, None)


@virtual
async def test_renewals_that_queue_do_not_start_during_close(world: World) -> None:
    """The end of one renewal frees a place; nobody takes it any more."""
    cache = world.cache(concurrency=1)
    world.backend.values = {f"k{i}": "v" for i in range(5)}
    await asyncio.gather(*(cache.get(f"k{i}") for i in range(5)))
    world.backend.delay = 10.0
    await asyncio.sleep(INTERVAL)
    asked = len(world.backend.calls)
    await cache.aclose()
    await settle()
    assert len(world.backend.calls) == asked
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_the_end_of_a_run_starts_no_renewal(world: World) -> None:
    """``asyncio.run`` cancels everything at once: a renewal that ends then frees a place that nobody takes."""

    async def main() -> None:
        cache = world.cache(concurrency=1)
        world.backend.values = {f"k{i}": "v" for i in range(5)}
        await asyncio.gather(*(cache.get(f"k{i}") for i in range(5)))
        world.backend.delay = 10.0
        await asyncio.sleep(INTERVAL)

    world.run(main)
    assert len(world.backend.calls) == 6


@virtual
async def test_closing_while_somebody_closes(world: World) -> None:
    """Both return; nothing is closed twice."""
    ends = []

    async def on_end() -> None:
        ends.append(world.clock.monotonic())

    cache = await world.warm(on_end=on_end)
    await asyncio.gather(cache.aclose(), cache.aclose())
    assert len(ends) == 1


def test_close_by_the_end_of_the_loop_itself(world: World) -> None:
    """``on_end`` may close the cache, and more after it: the renewer neither waits for itself nor cancels itself."""
    done: list[str] = []

    async def on_end() -> None:
        await world.caches[0].aclose()
        await asyncio.sleep(1.0)
        done.append("closed")

    world.run(lambda: world.warm(on_end=on_end))
    assert done == ["closed"]
    with pytest.raises(ClosedError):
        world.run(lambda: world.caches[0].get("k"))


@virtual
async def test_a_fetch_may_close_its_cache(world: World) -> None:
    """It neither waits for itself nor cancels itself; whoever waited is told."""
    cache, done = world.cache(), []

    async def fetch(key: str) -> str:
        await cache.aclose()
        await asyncio.sleep(0)
        done.append(key)
        return "v"

    cache._fetch = fetch
    with pytest.raises(ClosedError):
        await cache.get("k")
    await settle()
    assert done == ["k"]


@virtual
async def test_a_close_that_is_cancelled_still_ends_the_tasks(world: World) -> None:
    """Whoever closes runs out of patience: everything was told to end, and ends."""
    cache = await world.warm()
    reader = asyncio.create_task(cache.get("other"))
    await settle()
    closing = asyncio.create_task(cache.aclose())
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.gather(closing, reader, return_exceptions=True)
    await settle()
    assert asyncio.all_tasks() == {asyncio.current_task()}


@virtual
async def test_close_without_any_use(world: World) -> None:
    """Nothing was started, nothing is ended."""
    cache = world.cache()
    await cache.aclose()
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_close_releases_the_guard() -> None:
    """Also when the renewer is closed before its first step: the guard's thread keeps no cache alive."""
    world = World()
    for warm in (False, True):
        cache = world.cache(guarded=True)
        cache.start()
        cache.put("k", "v")
        renewer = cache._renewer
        assert renewer in guard._promises
        if warm:
            await settle()
        await cache.aclose()
        await settle()
        assert renewer not in guard._promises
