"""A cancelled caller harms only itself, wherever it is cancelled."""

from __future__ import annotations

import asyncio
import gc
import itertools
from collections.abc import Awaitable, Callable

import pytest

from asyncsecrets.cache import SingleFlightCache
from asyncsecrets.errors import ClosedError, UnavailableError
from tests.cache.world import INTERVAL, World, check, down, settle, virtual

_STEPS = 14  # more turns of the loop than any of the operations below takes


@virtual
async def test_the_first_readers_cancel_harms_nobody_else(world: World) -> None:
    """The leader goes; the others get the value from the same call."""
    world.backend.values["k"] = "v"
    cache = world.cache()
    readers = [asyncio.create_task(cache.get("k")) for _ in range(5)]
    await settle()
    readers[0].cancel()
    results = await asyncio.gather(*readers, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1:] == ["v"] * 4
    assert len(world.backend.calls) == 1


@virtual
async def test_the_last_waiters_cancel_does_not_kill_the_flight(world: World) -> None:
    """A client that gives up sooner than the backend answers still gets the value at its next try."""
    world.backend.values["k"], world.backend.delay = "v", 10.0
    cache = world.cache()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(cache.get("k"), 3.0)
    await asyncio.sleep(8.0)
    assert await cache.get("k") == "v"
    assert len(world.backend.calls) == 1


@virtual
async def test_a_failure_that_nobody_waits_for_is_silent(world: World) -> None:
    """Every waiter has gone when it comes: no log, and the next reader starts anew."""
    world.backend.fault = down()
    cache = world.cache()
    reader = asyncio.create_task(cache.get("k"))
    await settle()
    reader.cancel()
    await asyncio.sleep(2.0)
    gc.collect()
    assert not cache._flights
    with pytest.raises(UnavailableError):
        await cache.get("k")


@virtual
async def test_cancelled_in_the_step_in_which_the_value_lands(world: World) -> None:
    """The cancellation is delivered, not swallowed."""
    world.backend.values["k"] = "v"
    cache = world.cache()
    reader = asyncio.create_task(cache.get("k"))
    await settle()
    cache.put("k", "put")
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert await cache.get("k") == "put"


@virtual
async def test_a_cancelled_refresh_goes_on(world: World) -> None:
    """The value is replaced all the same."""
    cache = await world.warm()
    world.backend.values["k"] = "new"
    refresh = asyncio.create_task(cache.refresh("k"))
    await settle()
    refresh.cancel()
    await asyncio.sleep(2.0)
    assert cache.peek("k") == "new"


# -- the matrix: an operation, cancelled after k turns of the loop, as the leader, a follower, or the last of three

Operation = Callable[[World, SingleFlightCache[str, str]], Awaitable[object]]


async def _get(_: World, cache: SingleFlightCache[str, str]) -> object:
    return await cache.get("k")


async def _refresh(_: World, cache: SingleFlightCache[str, str]) -> object:
    return await cache.refresh("k")


async def _get_and_put(_: World, cache: SingleFlightCache[str, str]) -> object:
    waiter = asyncio.ensure_future(cache.get("k"))
    try:
        await asyncio.sleep(0)
        cache.put("k", "put")
    finally:
        outcome = await asyncio.gather(waiter, return_exceptions=True)
    return outcome


async def _get_and_invalidate(_: World, cache: SingleFlightCache[str, str]) -> object:
    waiter = asyncio.ensure_future(cache.get("k"))
    try:
        await asyncio.sleep(0)
        cache.invalidate("k")
    finally:
        outcome = await asyncio.gather(waiter, return_exceptions=True)
    return outcome


async def _renewed(_: World, cache: SingleFlightCache[str, str]) -> object:
    cache.put("k", "old")
    await asyncio.sleep(INTERVAL)
    return await cache.refresh("k")


async def _close(_: World, cache: SingleFlightCache[str, str]) -> object:
    waiter = asyncio.ensure_future(cache.get("other"))
    try:
        await asyncio.sleep(0)
        await cache.aclose()
    finally:
        outcome = await asyncio.gather(waiter, return_exceptions=True)
    return outcome


_OPERATIONS = [_get, _refresh, _get_and_put, _get_and_invalidate, _renewed, _close]
_FAULTS = {"answers": None, "fails": down()}


@pytest.mark.parametrize("operation", _OPERATIONS, ids=lambda operation: operation.__name__.strip("_"))
@pytest.mark.parametrize("fault", _FAULTS)
def test_the_cancellation_matrix(operation: Operation, fault: str) -> None:
    """At every step, in every role: nobody stuck, no key poisoned, no task left, no cancellation swallowed."""
    for step, role, delay in itertools.product(range(_STEPS), range(3), (0.0, 1.0)):
        _cancel_one(operation, _FAULTS[fault], step, role, delay)


def _cancel_one(operation: Operation, fault: Exception | None, step: int, role: int, delay: float) -> None:
    world = World()
    world.backend.values, world.backend.fault, world.backend.delay = {"k": "v", "other": "o"}, fault, delay

    async def main() -> None:
        cache = world.cache()
        tasks = [asyncio.create_task(operation(world, cache)) for _ in range(3)]  # type: ignore[arg-type]
        for _ in range(step):
            await asyncio.sleep(0)
        late = not tasks[role].cancel()
        async with asyncio.timeout(INTERVAL * 3):
            results = await asyncio.gather(*tasks, return_exceptions=True)
        assert late or isinstance(results[role], asyncio.CancelledError)
        assert all(not isinstance(result, asyncio.CancelledError) for i, result in enumerate(results) if i != role)
        await _still_works(world, cache)

    world.run(main, debug=False)


async def _still_works(world: World, cache: SingleFlightCache[str, str]) -> None:
    check(cache)
    world.backend.fault = None
    if not cache._closed:
        assert await cache.refresh("k") == "v"
        assert await cache.get("k") == "v"
    await cache.aclose()
    with pytest.raises(ClosedError):
        await cache.get("k")
    await settle()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert not cache._flights
    assert not cache._running
