"""Values that end by themselves: served until then and not a moment longer, and renewed ahead of it."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from typing import Any

import pytest

from asyncsecrets.cache import SingleFlightCache
from asyncsecrets.cache import renewer as renewer_module
from asyncsecrets.cache.guard import GRACE
from asyncsecrets.errors import SecretNotFoundError, UnavailableError
from tests.cache.world import DELAY, INTERVAL, MAX_STALE, Recorder, VirtualGuard, World, down, settle, virtual

AHEAD = 60.0  # seconds before its end at which a value is asked for again, at most
NOTICED = 30.0  # seconds within which a renewer sees that time has passed without its loop


class Wall:
    """Unix time, which can be set."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ahead = 1e9

    def __call__(self) -> float:
        return self.ahead + self.world.clock.boot_time()


class Ending:
    """A cache of values such as ``old@1000000300``: their end is what stands behind the @, as ``value`` makes them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.wall = Wall(world)

    def value(self, text: str, seconds: float) -> str:
        return f"{text}@{self.wall() + seconds}"

    def cache(self, **settings: Any) -> SingleFlightCache[str, str]:
        return self.world.cache(expires=_end_of, wall=self.wall, **settings)

    async def warm(self, seconds: float, **settings: Any) -> SingleFlightCache[str, str]:
        """One that has ``k`` warm for ``seconds`` more."""
        cache = self.cache(**settings)
        self.world.backend.values["k"] = self.value("old", DELAY + seconds)
        await cache.get("k")
        return cache


def _end_of(value: str) -> float | None:
    return float(value.partition("@")[2]) if "@" in value else None


def _called(world: World, since: float) -> list[float]:
    return [at - since for _, at in world.backend.calls if at > since]


@pytest.mark.parametrize("seconds", [5.0, 70.0, INTERVAL, INTERVAL + MAX_STALE / 2])
def test_it_is_served_until_its_end_through_an_outage(world: World, seconds: float) -> None:
    """Neither fresh nor stale after it, whatever the interval and max_stale say; the next reader is told the truth."""

    async def main() -> None:
        cache = await Ending(world).warm(seconds)
        world.backend.fault = down()
        await asyncio.sleep(seconds - 0.01)
        assert str(cache.peek("k")).startswith("old")
        assert cache.states()["k"].ends == pytest.approx(0.01)
        await asyncio.sleep(0.011)
        assert cache.peek("k") is None
        assert (len(cache), cache.stats.expired) == (0, 1)
        with pytest.raises(UnavailableError):
            await cache.get("k")

    world.run(main)


@virtual
async def test_what_is_gone_at_its_end_is_gone_for_the_next_reader(world: World) -> None:
    """The backend says so, and is asked once."""
    cache = await Ending(world).warm(8.0)
    world.backend.values.clear()
    await asyncio.sleep(8.0)
    with pytest.raises(SecretNotFoundError):
        await cache.get("k")
    assert world.backend.calls_of("k") == 2


@pytest.mark.parametrize("jitter", [0.0, 0.5, 1.0])
def test_its_successor_is_there_before_it_ends(world: World, jitter: float) -> None:
    """Renewed half a minute to a minute ahead: no reader waits."""

    async def main() -> None:
        ending = Ending(world)
        cache = await ending.warm(90.0, phase=jitter, refresh_interval=10_000.0)
        began = world.clock.boot_time()
        world.backend.values["k"] = "new"
        await asyncio.sleep(90.0 - AHEAD * 0.375 + DELAY + 0.01)  # it has 90 s: half of it is less than a minute
        assert cache.peek("k") == "new"
        (asked,) = _called(world, began)
        assert 90.0 - asked == pytest.approx(45.0 * (0.5 + 0.5 * jitter), abs=0.1)
        await asyncio.sleep(1_000.0)
        assert cache.peek("k") == "new"
        assert cache.stats.misses == 1

    world.run(main)


@virtual
async def test_the_interval_holds_before_the_end_comes_near(world: World) -> None:
    """An end does not make renewals rarer."""
    cache = await Ending(world).warm(INTERVAL + MAX_STALE - 1.0)
    world.backend.values["k"] = "new"
    await asyncio.sleep(INTERVAL + DELAY + 0.1)
    assert cache.peek("k") == "new"


@virtual
async def test_a_far_end_changes_nothing(world: World) -> None:
    """What the policy ends before is renewed like everything else, and costs as little."""
    cache = await Ending(world).warm(INTERVAL + MAX_STALE + 1.0)
    assert len(cache._schedule._timed) == 0
    began = world.clock.boot_time()
    await asyncio.sleep(INTERVAL + 2 * DELAY)
    assert _called(world, began) == [pytest.approx(INTERVAL, abs=INTERVAL / 1000)]


@virtual
async def test_the_same_value_is_asked_for_a_few_times_before_its_end(world: World) -> None:
    """Ever nearer, as long as there is time for it: somebody may make the next one at the last moment."""
    cache = await Ending(world).warm(1_000.0, phase=0.5, refresh_interval=10_000.0)
    began = world.clock.boot_time()
    await asyncio.sleep(1_000.0)
    asked = _called(world, began)
    assert 1_000.0 - asked[0] == pytest.approx(45.0)
    assert 3 <= len(asked) <= 5
    assert all(later - earlier > 3.0 for earlier, later in itertools.pairwise(asked))
    assert cache.peek("k") is None


@virtual
async def test_a_thousand_that_end_together_are_asked_for_one_by_one(world: World) -> None:
    """Spread over half a minute, each at a moment of its own."""
    ending, rng = Ending(world), random.Random(7)
    cache = ending.cache(jitter=rng.random, refresh_interval=10_000.0, concurrency=1_000)
    value = ending.value("old", 900.0)
    for number in range(1_000):
        cache.put(f"k{number}", value)
        world.backend.values[f"k{number}"] = "new"
    began = world.clock.boot_time()
    await asyncio.sleep(880.0)
    per_second = Counter(int(at) for at in _called(world, began))
    assert sum(per_second.values()) == 1_000
    assert (
        sum(count for second, count in per_second.items() if second >= 900 - AHEAD) > 850
    )  # the interval's part apart
    assert max(per_second.values()) < 70
    assert set(cache.hot.values()) == {"new"}


@virtual
async def test_one_that_fails_is_retried_until_its_end(world: World) -> None:
    """As any renewal, and counted as stale from its first failure."""
    cache = await Ending(world).warm(90.0)
    world.backend.fault = down()
    await asyncio.sleep(80.0)
    assert cache.states()["k"].failures >= 3
    world.backend.fault = None
    world.backend.values["k"] = "new"
    await asyncio.sleep(10.0)
    assert cache.peek("k") in {"new", None}
    assert await cache.get("k") == "new"


@virtual
async def test_a_refresh_that_fails_before_it_is_due_is_no_stale_value(world: World) -> None:
    """The entry has its turn: what somebody asked for in between does not count."""
    cache = await Ending(world).warm(90.0)
    before = cache.states()["k"]
    world.backend.fault = down()
    with pytest.raises(UnavailableError):
        await cache.refresh("k")
    after = cache.states()["k"]
    assert (after.failures, after.next_renewal) == (0, pytest.approx(before.next_renewal - DELAY))


@virtual
async def test_what_had_ended_when_it_came_is_handed_over_and_not_kept(world: World) -> None:
    """Whoever waited has what the backend gave; the next reader asks again. What was there before is dropped."""
    ending, recorder = Ending(world), Recorder()
    cache = ending.cache(listener=recorder)
    cache.put("k", "old")
    world.backend.values["k"] = gone = ending.value("gone", DELAY)
    assert await cache.refresh("k") == gone
    assert (cache.peek("k"), len(cache)) == (None, 0)
    assert recorder.heard[1:] == [("stored", "k", "old", None), ("dropped", "k", "old")]
    assert await asyncio.gather(cache.get("k"), cache.get("k")) == [gone, gone]
    assert await cache.get("k") == gone
    assert world.backend.calls_of("k") == 3
    cache.put("k", gone)
    assert len(cache) == 0


@virtual
async def test_a_new_value_has_its_own_end_or_none(world: World) -> None:
    """A put takes the end of what it replaces along."""
    ending = Ending(world)
    cache = await ending.warm(20.0)
    cache.put("k", "lasting")
    await asyncio.sleep(50.0)
    assert cache.peek("k") == "lasting"
    cache.put("k", ending.value("short", 5.0))
    await asyncio.sleep(5.01)
    assert cache.peek("k") is None


@virtual
async def test_what_is_in_doubt_ends_no_later(world: World) -> None:
    """Asked for now, and served until its end or for max_stale, whichever comes first."""
    for seconds, served in ((20.0, 20.0), (INTERVAL, MAX_STALE)):
        world.backend.fault = None
        cache = await Ending(world).warm(seconds)
        world.backend.fault = down()
        cache.renew_soon("k")
        await settle()
        assert world.backend.in_flight["k"] == 1
        await asyncio.sleep(served - 0.01)
        assert cache.peek("k") is not None
        await asyncio.sleep(0.02)
        assert cache.peek("k") is None


@virtual
async def test_a_machine_that_slept_past_its_end(world: World) -> None:
    """Noticed when the renewer looks at the clock next, as any end of a life."""
    cache = await Ending(world).warm(90.0)
    world.backend.fault = down()
    world.clock.suspend(100.0)
    await asyncio.sleep(NOTICED + 0.01)
    assert cache.peek("k") is None


def test_a_loop_that_is_blocked_past_its_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard takes it out, from its thread."""
    monkeypatch.setattr(renewer_module, "guard", VirtualGuard(world.clock))

    async def main() -> None:
        cache = await Ending(world).warm(8.0, guarded=True)
        world.clock.advance(8.0 + GRACE + 0.01)
        assert cache.peek("k") is None
        world.backend.values["k"] = "new"
        assert await cache.get("k") == "new"

    world.run(main)


def test_between_two_loops_it_ends_as_well(world: World) -> None:
    """The next reader looks at the clock, and asks."""
    ending = Ending(world)
    cache = world.run(lambda: ending.warm(90.0))
    world.clock.advance(91.0)
    world.backend.values["k"] = "new"

    async def main() -> None:
        assert await cache.get("k") == "new"

    world.run(main)


@virtual
async def test_the_time_of_day_is_set_past_its_end(world: World) -> None:
    """It is taken out as soon as that is noticed: ends are told in the time of day."""
    ending = Ending(world)
    cache = await ending.warm(140.0)
    cache.put("lasting", "v")
    world.backend.fault = down()
    ending.wall.ahead += 3_600.0
    await asyncio.sleep(NOTICED + 0.01)
    assert list(cache.hot) == ["lasting"]


@virtual
async def test_the_time_of_day_is_set_while_no_loop_runs(world: World) -> None:
    """The first reader notices."""
    ending = Ending(world)
    cache = await ending.warm(140.0)
    cache.forget_loop()
    ending.wall.ahead += 3_600.0
    world.backend.values["k"] = "new"
    assert await cache.get("k") == "new"


@virtual
async def test_the_time_of_day_is_set_back(world: World) -> None:
    """It is asked for again, and lives as long as it has by the new time."""
    ending = Ending(world)
    cache = await ending.warm(60.0, refresh_interval=1_000.0, phase=1.0)
    ending.wall.ahead -= 500.0
    await asyncio.sleep(120.0)
    assert str(cache.peek("k")).startswith("old")
    assert cache.states()["k"].ends == pytest.approx(500.0 + 60.0 - 120.0, abs=0.1)


@virtual
async def test_clocks_that_run_apart_a_little_are_not_set(world: World) -> None:
    """No renewal is due to half a second."""
    ending = Ending(world)
    await ending.warm(140.0)
    ending.wall.ahead += 0.5
    await asyncio.sleep(NOTICED + 1)
    assert world.backend.calls_of("k") == 1
