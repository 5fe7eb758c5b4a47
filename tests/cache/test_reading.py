"""Hits, misses, single flight, failures, and keys that are not there."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable

import pytest

from asyncsecrets.cache import CachePolicy, Outage, SingleFlightCache, Verdict
from asyncsecrets.errors import SecretNotFoundError, UnavailableError
from tests.cache.world import DELAY, World, absent, denied, down, limited, nonsense, settle, virtual


@virtual
async def test_a_hit_asks_nobody_and_reads_no_clock(world: World) -> None:
    """A warm read is a lookup: no call, no clock, no suspension."""
    reads: list[float] = []

    def clock() -> float:
        reads.append(0.0)
        return world.clock.boot_time()

    cache = await world.warm(clock=clock)
    await settle()
    reads.clear()
    coroutine = cache.get("k")
    with pytest.raises(StopIteration) as stopped:
        coroutine.send(None)
    assert (stopped.value.value, reads, len(world.backend.calls)) == ("old", [], 1)


def test_ten_thousand_readers_of_a_cold_key_make_one_call(world: World) -> None:
    """However many ask, the backend is asked once, and everybody gets its answer."""

    async def main() -> None:
        world.backend.values["k"] = "v"
        cache = world.cache()
        assert set(await asyncio.gather(*(cache.get("k") for _ in range(10_000)))) == {"v"}
        assert len(world.backend.calls) == 1
        assert (cache.stats.misses, cache.stats.joined, cache.stats.flights) == (10_000, 9_999, 1)

    world.run(main, debug=False)  # ten times the time


def test_ten_thousand_readers_of_a_failing_key_make_one_call(world: World) -> None:
    """A failure is shared as a value is: one call, one error for each."""

    async def main() -> None:
        world.backend.fault = down()
        cache = world.cache()
        errors = await asyncio.gather(*(cache.get("k") for _ in range(10_000)), return_exceptions=True)
        assert {type(error) for error in errors} == {UnavailableError}
        assert len(world.backend.calls) == 1

    world.run(main, debug=False)  # ten times the time


@virtual
async def test_keys_fly_side_by_side(world: World) -> None:
    """A thousand keys take as long as one."""
    world.backend.values = {f"k{i}": f"v{i}" for i in range(1000)}
    cache, before = world.cache(), world.clock.monotonic()
    values = await asyncio.gather(*(cache.get(f"k{i}") for i in range(1000)))
    assert values == [f"v{i}" for i in range(1000)]
    assert world.clock.monotonic() - before == pytest.approx(DELAY)


@virtual
async def test_each_waiter_gets_an_exception_of_its_own(world: World) -> None:
    """Instances are not shared, and none has another's frames: a shared one grows with every waiter."""
    world.backend.fault = down()
    cache = world.cache()

    async def ask() -> BaseException:
        try:
            await cache.get("k")
        except UnavailableError as error:
            return error
        raise AssertionError

    errors = await asyncio.gather(*(ask() for _ in range(50)))
    assert len({id(error) for error in errors}) == 50
    depths = {len(traceback.extract_tb(error.__traceback__)) for error in errors}
    assert len(depths) == 1
    assert all(error.__cause__ is None and error.__context__ is None for error in errors)


@virtual
async def test_the_error_of_an_absent_key_does_not_grow(world: World) -> None:
    """A remembered failure raised a thousand times is as small as the first time."""
    cache = world.cache()
    with pytest.raises(SecretNotFoundError):
        await cache.get("k")
    depths = set()
    for _ in range(1000):
        with pytest.raises(SecretNotFoundError) as raised:
            await cache.get("k")
        depths.add(len(traceback.extract_tb(raised.value.__traceback__)))
    assert len(depths) == 1


@virtual
async def test_absent_is_believed_for_a_while(world: World) -> None:
    """Asking again for what is not there costs nothing for ``negative_ttl`` seconds, then one call."""
    cache = world.cache(negative_ttl=5.0)
    for _ in range(3):
        with pytest.raises(SecretNotFoundError):
            await cache.get("k")
    assert (len(world.backend.calls), cache.stats.negative) == (1, 2)
    world.backend.values["k"] = "v"
    await asyncio.sleep(4.9)
    with pytest.raises(SecretNotFoundError):
        await cache.get("k")
    await asyncio.sleep(0.2)
    assert await cache.get("k") == "v"


@pytest.mark.parametrize("error", [denied(), down(), nonsense(), limited(60.0), OSError("reset"), ValueError("odd")])
def test_no_other_failure_is_remembered(world: World, error: Exception) -> None:
    """Only *absent* is: whatever else failed, the next reader asks again."""

    async def main() -> None:
        cache = world.cache()
        for asked in (1, 2, 3):
            world.backend.fault = error
            with pytest.raises(type(error)):
                await cache.get("k")
            assert len(world.backend.calls) == asked
        world.backend.fault, world.backend.values["k"] = None, "v"
        assert await cache.get("k") == "v"

    world.run(main)


@virtual
async def test_negative_ttl_zero_remembers_nothing(world: World) -> None:
    """With no negative time, every read of an absent key asks."""
    cache = world.cache(negative_ttl=0.0)
    for asked in (1, 2):
        with pytest.raises(SecretNotFoundError):
            await cache.get("k")
        assert len(world.backend.calls) == asked


@virtual
async def test_a_first_load_is_not_confirmed(world: World) -> None:
    """Only an answer that would end a living entry is asked for twice."""
    cache, before = world.cache(), world.clock.monotonic()
    with pytest.raises(SecretNotFoundError):
        await cache.get("k")
    assert (len(world.backend.calls), world.clock.monotonic() - before) == (1, DELAY)


@virtual
async def test_a_stand_in_answers_for_what_is_absent(world: World) -> None:
    """It is stored like a value; it answers for nothing else."""
    cache = world.cache(stand_in=lambda key, _: "stand-in" if key == "k" else None)
    assert await cache.get("k") == "stand-in"
    assert cache.peek("k") == "stand-in"
    with pytest.raises(SecretNotFoundError):
        await cache.get("other")
    world.backend.fault = down()
    cache.invalidate("k")
    with pytest.raises(UnavailableError):
        await cache.get("k")


@virtual
async def test_peek_never_asks(world: World) -> None:
    """What is not warm is None, and nothing starts."""
    cache = world.cache()
    assert cache.peek("k") is None
    await settle()
    assert world.backend.calls == []
    world.backend.values["k"] = "v"
    await cache.get("k")
    assert cache.peek("k") == "v"
    assert "k" in cache
    assert len(cache) == 1


@virtual
async def test_join_of_a_warm_key_is_done_at_once(world: World) -> None:
    """A future that already has the value, for callers who read ``hot`` themselves and lost a race."""
    cache = await world.warm()
    future = cache.join("k")
    assert future.done()
    assert await future == "old"


@virtual
async def test_a_warm_key_answers_while_it_is_being_fetched(world: World) -> None:
    """A reader never waits for a refresh."""
    cache = await world.warm()
    world.backend.values["k"] = "new"
    task = asyncio.create_task(cache.refresh("k"))
    await settle()
    assert await cache.get("k") == "old"
    assert await cache.join("k") == "old"
    assert await task == "new"
    assert await cache.get("k") == "new"


@virtual
async def test_a_reader_joins_a_refresh_of_an_absent_key(world: World) -> None:
    """The first reader after a refresh began waits for it; there is one call."""
    world.backend.values["k"] = "v"
    cache = world.cache()
    task = asyncio.create_task(cache.refresh("k"))
    await settle()
    assert await cache.get("k") == await task == "v"
    assert len(world.backend.calls) == 1


@virtual
async def test_a_fetch_that_is_cancelled_from_outside_leaves_nobody_waiting(world: World) -> None:
    """Somebody cancels every task in the process: waiters hear of it, and the next reader starts anew."""
    world.backend.values["k"] = "v"
    cache = world.cache()
    readers = [asyncio.create_task(cache.get("k")) for _ in range(3)]
    await settle()
    (flight,) = cache._running
    flight.task.cancel()
    results = await asyncio.gather(*readers, return_exceptions=True)
    assert [str(result) for result in results] == ["the fetch was cancelled before it was answered"] * 3
    assert await cache.get("k") == "v"


@virtual
async def test_what_a_classifier_raises_reaches_the_waiters(world: World) -> None:
    """A mistake in the code around the cache is not taken for a cancelled fetch, and leaves nobody waiting."""

    def broken(error: BaseException) -> Verdict:
        raise ZeroDivisionError("my mistake")

    world.backend.fault = down()
    cache = world.cache(classify=broken)
    with pytest.raises(ZeroDivisionError, match="my mistake"):
        await cache.get("k")
    assert not cache._flights


@virtual
async def test_a_fetch_that_fails_before_it_is_awaited(world: World) -> None:
    """A plain function that raises instead of returning an awaitable is a failed fetch like any other."""

    def fetch(key: str) -> Awaitable[str]:
        raise absent(key)

    cache: SingleFlightCache[str, str] = SingleFlightCache(fetch, CachePolicy(), guarded=False)
    with pytest.raises(SecretNotFoundError):
        await cache.get("k")
    await cache.aclose()


@pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="Python 3.12 has eager tasks")
def test_an_eager_task_factory_changes_nothing(world: World) -> None:
    """Flights are on record before they run, whatever the loop's task factory does."""

    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        world.backend.delay, world.backend.values["k"] = 0.0, "v"
        cache = world.cache()
        assert await asyncio.gather(*(cache.get("k") for _ in range(10))) == ["v"] * 10
        assert len(world.backend.calls) == 1
        await cache.aclose()

    world.run(main)


@virtual
async def test_stats_count_what_happened(world: World) -> None:
    """Each failure under its verdict."""
    cache = world.cache()
    for error in (absent(), denied(), down(), nonsense()):
        world.backend.fault = error
        with pytest.raises(type(error)):
            await cache.get(f"k{type(error).__name__}")
    assert cache.stats.failures == dict.fromkeys(Verdict, 1)


@virtual
async def test_while_an_outage_lasts_only_who_is_to_ask_asks(world: World) -> None:
    """Whoever would launch a flight is spared it; what is known, or under way, is there for everybody."""

    class Spared(Outage[str]):
        asked: tuple[str, ...] = ()

        def spared(self, key: str) -> BaseException | None:
            return None if key in self.asked else down()

    outage = Spared()
    cache = await world.warm(outage=outage, negative_ttl=1_000.0)
    with pytest.raises(SecretNotFoundError):
        await cache.get("gone")
    flying = cache.join("slow")
    outage.lasts, calls = True, len(world.backend.calls)
    world.backend.values |= {"a": "A", "b": "B", "slow": "S"}
    joined = cache.join("slow")
    assert (await cache.get("k"), await flying, await joined) == ("old", "S", "S")
    with pytest.raises(SecretNotFoundError):
        await cache.get("gone")
    with pytest.raises(UnavailableError):
        await cache.get("a")
    assert len(world.backend.calls) == calls + 1
    assert await cache.refresh("a") == "A"
    outage.asked = ("b",)
    assert await cache.get("b") == "B"
    outage.lasts = False
    world.backend.values["c"] = "C"
    assert await cache.get("c") == "C"


@pytest.mark.parametrize("renewer", ["vouches", "has ended"])
@pytest.mark.parametrize("how", ["get", "refresh"])
@virtual
async def test_a_flight_that_is_cancelled_is_joined_by_nobody(world: World, renewer: str, how: str) -> None:
    """Whoever comes before it has noticed gets a flight of his own; who waited is told."""
    world.backend.values["k"] = "v"
    cache = world.cache()
    cache.start()
    first = asyncio.ensure_future(cache.get("k"))
    await asyncio.sleep(DELAY / 2)
    flight = cache._flights["k"].task
    if renewer == "has ended":
        cache._renewer.task.cancel()  # type: ignore[union-attr]
        await asyncio.sleep(0)
    flight.cancel()
    assert await getattr(cache, how)("k") == "v"
    with pytest.raises(UnavailableError, match="cancelled"):
        await first
    assert world.backend.calls_of("k") == 2


@virtual
async def test_who_joins_while_nothing_is_vouched_for_is_counted_as_well(world: World) -> None:
    """The flight that is under way is joined, and a second one of its key would be a second call."""
    cache = await world.warm()
    world.backend.values["slow"] = "new"
    readers = [asyncio.ensure_future(cache.get("slow"))]
    await settle()
    cache._withdraw()
    readers.append(asyncio.ensure_future(cache.get("slow")))
    assert await asyncio.gather(*readers) == ["new", "new"]
    assert (cache.stats.joined, world.backend.calls_of("slow")) == (1, 1)
