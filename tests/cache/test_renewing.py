"""What becomes of an entry with time: renewals, outages, and the end of its life."""

from __future__ import annotations

import asyncio
import itertools
import logging

import pytest

from asyncsecrets.cache import EntryState, Verdict
from asyncsecrets.errors import AccessDeniedError, SecretNotFoundError, UnavailableError
from tests.cache.world import (
    DELAY,
    INTERVAL,
    MAX_STALE,
    Recorder,
    World,
    absent,
    check,
    denied,
    down,
    limited,
    nonsense,
    virtual,
)

TICK = INTERVAL / 1024


@virtual
async def test_an_entry_is_renewed_every_interval(world: World) -> None:
    """Without anybody reading it, and never later than its interval."""
    cache = await world.warm()
    began = world.clock.monotonic()
    for renewal in range(1, 6):
        world.backend.values["k"] = f"v{renewal}"
        asked = world.backend.calls[-1][1]
        await asyncio.sleep(INTERVAL + DELAY)
        assert cache.peek("k") == f"v{renewal}"
        assert INTERVAL - TICK <= world.backend.calls[-1][1] - asked - DELAY <= INTERVAL
    assert world.clock.monotonic() - began == pytest.approx(5 * (INTERVAL + DELAY))
    assert cache.stats.renewals == 5


@pytest.mark.parametrize("phase", [0.0, 0.25, 0.5, 1.0])
def test_the_first_renewal_falls_where_the_jitter_says(world: World, phase: float) -> None:
    """A fleet that starts together renews apart, and nothing just fetched at once; later it is exactly the interval."""

    async def main() -> None:
        await world.warm(phase=phase)
        stored = world.clock.monotonic()
        await asyncio.sleep(INTERVAL * 2.5)
        first, second = (called for _, called in world.backend.calls[1:3])
        assert first - stored == pytest.approx(INTERVAL * (0.01 + 0.99 * phase), abs=TICK)
        assert second - first - DELAY == pytest.approx(INTERVAL, abs=TICK)

    world.run(main)


@virtual
async def test_a_fleet_spreads_itself(world: World) -> None:
    """A thousand entries that came at once are renewed evenly over the interval."""
    numbers = itertools.count()
    cache = world.cache(jitter=lambda: next(numbers) * 0.618034 % 1.0, concurrency=1000)
    world.backend.values = {f"k{i}": "v" for i in range(1000)}
    await asyncio.gather(*(cache.get(f"k{i}") for i in range(1000)))
    world.backend.calls.clear()
    await asyncio.sleep(INTERVAL)
    seconds = [0] * int(INTERVAL + 2)
    for _, called in world.backend.calls:
        seconds[int(called - world.backend.calls[0][1])] += 1
    assert max(seconds) <= 15


@virtual
async def test_a_reader_sees_the_old_value_until_the_new_one_is_there(world: World) -> None:
    """Renewal is a replacement: at no moment is there nothing."""
    cache = await world.warm()
    world.backend.values["k"] = "new"
    await asyncio.sleep(INTERVAL + DELAY / 2)
    assert world.backend.in_flight["k"] == 1
    assert await cache.get("k") == "old"
    await asyncio.sleep(DELAY)
    assert await cache.get("k") == "new"
    assert cache.stats.misses == 1


@pytest.mark.parametrize("error", [down(), nonsense(), denied(), OSError("reset"), ValueError("odd"), limited(None)])
def test_a_failure_keeps_the_old_value_until_max_stale(world: World, error: Exception) -> None:
    """Whatever it was, *absent* apart: served for the interval and max_stale, and not a moment longer."""

    async def main() -> None:
        cache = await world.warm()
        stored = world.clock.monotonic()
        world.backend.fault = error
        await asyncio.sleep(INTERVAL + MAX_STALE - TICK - 0.01)
        assert await cache.get("k") == "old"
        await asyncio.sleep(stored + INTERVAL + MAX_STALE - world.clock.monotonic())
        assert cache.peek("k") is None
        assert cache.stats.expired == 1
        with pytest.raises(type(error)):
            await cache.get("k")

    world.run(main)


@virtual
async def test_max_stale_zero_fails_closed(world: World) -> None:
    """No value is served past its interval, even while the renewal is in the air."""
    cache = await world.warm(max_stale=0.0)
    world.backend.fault = down()
    await asyncio.sleep(INTERVAL - TICK - 0.01)
    assert cache.peek("k") == "old"
    await asyncio.sleep(TICK + 0.011)
    assert cache.peek("k") is None
    with pytest.raises(UnavailableError):
        await cache.get("k")


@virtual
async def test_failed_renewals_back_off_with_jitter(world: World) -> None:
    """1, 2, 4 … seconds up to the longest, each between half and the whole of that."""
    await world.warm(phase=1.0, max_stale=1000.0, backoff=(1.0, 8.0))
    world.backend.fault, world.backend.delay = down(), 0.0
    await asyncio.sleep(INTERVAL + 40.0)
    times = [called for _, called in world.backend.calls[1:]]
    assert [round(later - earlier) for earlier, later in itertools.pairwise(times)][:6] == [1, 2, 4, 8, 8, 8]


@virtual
async def test_the_backoff_starts_anew_after_a_success(world: World) -> None:
    """A recovered backend is not punished for its last outage."""
    cache = await world.warm(max_stale=1000.0)
    world.backend.fault, world.backend.delay = down(), 0.0
    await asyncio.sleep(INTERVAL + 20.0)
    assert cache.states()["k"].failures > 3
    world.backend.fault = None
    await asyncio.sleep(60.0)
    assert cache.states()["k"].failures == 0
    world.backend.fault = down()
    await asyncio.sleep(INTERVAL - 60.0)
    assert cache.states()["k"].failures in {0, 1}


@pytest.mark.parametrize(("retry_after", "expected"), [(20.0, 20.0), (0.1, 0.5), (10_000.0, 30.0), (None, 0.5)])
@pytest.mark.parametrize("jitter", [0.0, 1.0])
def test_retry_after_is_honoured_within_reason(
    world: World, retry_after: float | None, expected: float, jitter: float
) -> None:
    """No call before the time that the backend asked for, at most ``longest_wait``; never sooner than the backoff.

    Jitter goes on top of both.
    """

    async def main() -> None:
        said = [1.0]
        await world.warm(max_stale=1000.0, longest_wait=30.0, jitter=lambda: said[0])
        world.backend.fault, world.backend.delay = limited(retry_after), 0.0
        said[0] = jitter
        await asyncio.sleep(INTERVAL + 50.0)
        first, second = (called for _, called in world.backend.calls[1:3])
        on_top = expected * jitter * (0.5 if expected > 1.0 else 1.0)
        assert second - first == pytest.approx(expected + on_top, abs=0.01)

    world.run(main)


@virtual
async def test_gone_is_confirmed_once_then_the_entry_is_removed(world: World) -> None:
    """Two answers, ``confirm_after`` apart; the next reader gets the truth without a call."""
    recorder = Recorder()
    cache = await world.warm(confirm_after=2.0, listener=recorder)
    del world.backend.values["k"]
    world.backend.delay = 0.0
    await asyncio.sleep(INTERVAL + 1.0)
    assert (cache.peek("k"), len(world.backend.calls)) == ("old", 2)
    await asyncio.sleep(1.0)
    assert (cache.peek("k"), len(world.backend.calls)) == (None, 3)
    assert recorder.heard[-1] == ("dropped", "k", "old")
    with pytest.raises(SecretNotFoundError):
        await cache.get("k")
    assert len(world.backend.calls) == 3


@pytest.mark.parametrize("error", [absent(), denied()])
def test_an_answer_that_is_not_confirmed_is_not_believed(world: World, error: Exception) -> None:
    """A backend that says *gone* and then finds it again ends nothing."""

    async def main() -> None:
        cache = await world.warm(confirm_after=2.0, evict_denied=True)
        world.backend.fault = error
        await asyncio.sleep(INTERVAL + DELAY)
        world.backend.fault, world.backend.values["k"] = None, "new"
        await asyncio.sleep(2.0 + DELAY)
        assert cache.peek("k") == "new"
        assert not cache.stats.failures

    world.run(main)


@virtual
async def test_denied_keeps_the_value_by_default(world: World) -> None:
    """One wrong policy edit must not stop a fleet."""
    cache = await world.warm(confirm_after=1.0)
    world.backend.fault = denied()
    await asyncio.sleep(INTERVAL + MAX_STALE / 2)
    assert await cache.get("k") == "old"
    assert cache.stats.failures[Verdict.DENIED] > 0


@virtual
async def test_denied_evicts_where_that_is_asked_for(world: World) -> None:
    """``evict_denied``: confirmed once, then the value is dropped, and the next reader is told why."""
    cache = await world.warm(confirm_after=1.0, evict_denied=True)
    world.backend.fault, world.backend.delay = denied(), 0.0
    await asyncio.sleep(INTERVAL + 0.5)
    assert cache.peek("k") == "old"
    await asyncio.sleep(1.0)
    assert "k" not in cache
    with pytest.raises(AccessDeniedError):
        await cache.get("k")


@virtual
async def test_the_value_comes_back_when_the_backend_does(world: World) -> None:
    """Nobody restarts anything."""
    cache = await world.warm()
    world.backend.fault = down()
    await asyncio.sleep(INTERVAL + MAX_STALE / 2)
    world.backend.fault, world.backend.values["k"] = None, "new"
    await asyncio.sleep(MAX_STALE)
    assert cache.peek("k") == "new"
    assert cache.states()["k"].failures == 0


@virtual
async def test_renewals_run_at_most_n_at_once(world: World) -> None:
    """The rest wait for their turn, and get it."""
    cache = world.cache(concurrency=3)
    world.backend.values = {f"k{i}": "old" for i in range(10)}
    await asyncio.gather(*(cache.get(f"k{i}") for i in range(10)))
    world.backend.values = {f"k{i}": "new" for i in range(10)}
    await asyncio.sleep(INTERVAL + 0.01)
    assert sum(world.backend.in_flight.values()) == 3
    await asyncio.sleep(4 * DELAY)
    assert [cache.peek(f"k{i}") for i in range(10)] == ["new"] * 10


@virtual
async def test_a_renewal_whose_turn_comes_late_is_not_repeated(world: World) -> None:
    """An entry that somebody refreshed while its renewal waited in line is fresh: no second call."""
    cache = world.cache(concurrency=1)
    world.backend.values = {"a": "1", "b": "2"}
    await asyncio.gather(cache.get("a"), cache.get("b"))
    world.backend.delay = 10.0
    await asyncio.sleep(INTERVAL)
    (renewed,) = (key for key in "ab" if world.backend.in_flight[key])
    waiting = "b" if renewed == "a" else "a"
    cache.put(waiting, "put")
    await asyncio.sleep(30.0)
    assert world.backend.calls_of(waiting) == 1
    assert cache.peek(waiting) == "put"


@virtual
async def test_a_slow_renewal_does_not_hold_up_the_end_of_life(world: World) -> None:
    """A fetch that never comes back costs its entry, at the time when it would have gone anyway."""
    cache = await world.warm()
    stored = world.clock.monotonic()
    world.backend.delay = 1e6
    await asyncio.sleep(INTERVAL + MAX_STALE - 1.0)
    assert cache.peek("k") == "old"
    await asyncio.sleep(stored + INTERVAL + MAX_STALE - world.clock.monotonic())
    assert cache.peek("k") is None


@virtual
async def test_a_cancelled_renewal_is_tried_again(world: World) -> None:
    """Somebody cancels the task: the entry is retried after the backoff, not left until it dies."""
    cache = await world.warm()
    await asyncio.sleep(INTERVAL + DELAY / 2)
    (flight,) = cache._running
    flight.task.cancel()
    world.backend.values["k"] = "new"
    await asyncio.sleep(5.0)
    assert cache.peek("k") == "new"


@virtual
async def test_expired_entries_leave_nothing_behind(world: World) -> None:
    """The last of them, and the schedule has nothing to wake up for."""
    cache = world.cache(max_stale=0.0)
    world.backend.values = {f"k{i}": "v" for i in range(100)}
    await asyncio.gather(*(cache.get(f"k{i}") for i in range(100)))
    world.backend.fault = down()
    await asyncio.sleep(INTERVAL * 2)
    assert (len(cache), len(cache._schedule), cache._schedule.next_at()) == (0, 0, float("inf"))


@virtual
async def test_states_say_when_and_how_often(world: World) -> None:
    """Seconds to the next renewal or retry; 0 while one is under way; nothing of what is gone."""
    cache = await world.warm(max_stale=1000.0)
    cache.put("gone", "x")
    cache.invalidate("gone")
    assert cache.states() == {"k": EntryState(pytest.approx(INTERVAL, abs=TICK), 0)}
    await asyncio.sleep(INTERVAL + DELAY / 2)
    assert cache.states() == {"k": EntryState(0.0, 0)}
    world.backend.fault = down()
    await asyncio.sleep(INTERVAL + DELAY * 2)
    assert cache.states() == {"k": EntryState(pytest.approx(0.5, abs=TICK), 1)}


@virtual
async def test_a_renewer_that_fails_is_replaced(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A listener that raises in an expiry ends the renewer: nothing is served that it vouched for; the next miss
    starts another. The log names the error's class, not its message, which might quote a value."""

    class Broken(Recorder):
        def dropped(self, key: str, previous: str, why: BaseException | None) -> None:
            raise ValueError(f"canary {previous}")

    cache = await world.warm(max_stale=0.0, listener=Broken())
    world.backend.values["other"] = "o"
    world.backend.fault = down()
    with caplog.at_level(logging.DEBUG, "asyncsecrets"):
        await asyncio.sleep(INTERVAL + 2.0)
    assert "ValueError" in caplog.text
    assert "canary" not in caplog.text
    assert cache.hot == {}
    world.backend.fault = None
    assert await cache.get("other") == "o"
    assert cache.owner is asyncio.get_running_loop()
    check(cache)


@virtual
async def test_a_renewer_that_ends_takes_no_flight_with_it(world: World) -> None:
    """Somebody cancels it: what is in the air lands, and is joined, not fetched again."""
    cache = await world.warm()
    reader = asyncio.create_task(cache.get("other"))
    world.backend.values["other"] = "o"
    await asyncio.sleep(DELAY / 2)
    cache._renewer.task.cancel()
    await asyncio.sleep(0)
    assert await cache.get("other") == "o"
    assert await reader == "o"
    assert world.backend.calls_of("other") == 1
    assert cache.peek("other") == "o"
