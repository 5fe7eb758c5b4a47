"""put, invalidate and clear, against flights that are in the air. The names are Caffeine's."""

from __future__ import annotations

import asyncio

import pytest

from asyncsecrets.errors import SecretNotFoundError, UnavailableError
from tests.cache.world import DELAY, INTERVAL, MAX_STALE, Recorder, World, absent, down, settle, virtual


@virtual
async def test_put_is_seen_by_the_next_read(world: World) -> None:
    """No await lies between a put and its being read."""
    cache = world.cache()
    cache.put("k", "put")
    assert await cache.get("k") == "put"
    assert world.backend.calls == []


@virtual
async def test_put_during_a_load_wins(world: World) -> None:
    """The load's older value is not stored; who waited gets what was put."""
    world.backend.values["k"] = "loaded"
    cache = world.cache()
    reader = asyncio.create_task(cache.get("k"))
    await asyncio.sleep(DELAY / 2)
    cache.put("k", "put")
    assert await reader == "put"
    await asyncio.sleep(DELAY)
    assert cache.peek("k") == "put"


@virtual
async def test_put_during_a_refresh_wins(world: World) -> None:
    """A renewal that was asked before the write does not undo it."""
    cache = await world.warm()
    await asyncio.sleep(INTERVAL)
    assert world.backend.in_flight["k"] == 1
    cache.put("k", "put")
    await asyncio.sleep(DELAY * 2)
    assert cache.peek("k") == "put"


@virtual
async def test_invalidate_during_a_load_does_not_resurrect(world: World) -> None:
    """The load brings its value to who waited, and stores nothing."""
    world.backend.values["k"] = "loaded"
    cache = world.cache()
    reader = asyncio.create_task(cache.get("k"))
    await asyncio.sleep(DELAY / 2)
    cache.invalidate("k")
    assert await reader == "loaded"
    assert cache.peek("k") is None
    assert len(cache) == 0


@virtual
async def test_invalidate_during_a_refresh_does_not_resurrect(world: World) -> None:
    """Nor does a renewal."""
    cache = await world.warm()
    await asyncio.sleep(INTERVAL)
    cache.invalidate("k")
    await asyncio.sleep(DELAY * 2)
    assert "k" not in cache


@virtual
async def test_invalidate_of_a_renewal_that_still_queues_does_not_resurrect(world: World) -> None:
    """A renewal that waits for its turn is not carried out for an entry that is gone."""
    cache = world.cache(concurrency=1)
    world.backend.values = {"a": "1", "b": "2"}
    await asyncio.gather(cache.get("a"), cache.get("b"))
    world.backend.delay = 10.0
    await asyncio.sleep(INTERVAL)
    assert sum(world.backend.in_flight.values()) == 1
    cache.clear()
    await asyncio.sleep(25.0)
    assert len(cache) == 0
    assert len(world.backend.calls) == 3


@virtual
async def test_a_stale_completion_does_not_discard_its_successor(world: World) -> None:
    """Load, invalidate, load again: the first load's end leaves the second alone."""
    world.backend.values["k"] = "first"
    cache = world.cache()
    first = asyncio.create_task(cache.get("k"))
    await asyncio.sleep(DELAY / 2)
    cache.invalidate("k")
    world.backend.values["k"] = "second"
    second = asyncio.create_task(cache.get("k"))
    await asyncio.sleep(DELAY * 0.75)  # the first one has ended
    third = asyncio.create_task(cache.get("k"))
    assert (await first, await second, await third) == ("second", "second", "second")
    assert len(world.backend.calls) == 2
    assert cache.peek("k") == "second"


@virtual
@pytest.mark.parametrize("renewed", [False, True])
async def test_whoever_waits_for_an_invalidated_load_sees_nothing_that_others_do_not(
    world: World, renewed: bool
) -> None:
    """The manager answered the first load after the second, with something newer: who reads next would go back."""
    answers: list[asyncio.Future[str]] = []

    async def fetch(_: str) -> str:
        answers.append(asyncio.get_running_loop().create_future())
        return await answers[-1]

    cache = world.cache()
    cache._fetch = fetch
    if renewed:
        cache.put("k", "old")
    first = asyncio.create_task(cache.refresh("k"))
    await settle()
    if renewed:
        cache.renew_soon("k")
    else:
        cache.invalidate("k")
        second = asyncio.create_task(cache.get("k"))
        await settle()
        answers[1].set_result("old")
        assert await second == "old"
    answers[0].set_result("new")
    await settle()
    assert not first.done()
    assert cache.peek("k") == "old"
    answers[-1].set_result("newest")
    assert await first == cache.peek("k") == "newest"
    assert len(answers) == (2 if renewed else 3)


@virtual
async def test_whoever_waits_for_an_invalidated_load_is_answered_where_there_is_nothing_else(world: World) -> None:
    """Nobody asked since, and nothing is cached: who reads next asks after this answer, and gets nothing older."""
    world.backend.values["k"] = "value"
    cache = world.cache()
    first = asyncio.create_task(cache.get("k"))
    await settle()
    cache.invalidate("k")
    assert await first == "value"
    assert cache.peek("k") is None
    assert len(world.backend.calls) == 1


@virtual
async def test_a_load_that_other_loads_wait_for_is_handed_on_to_nobody(world: World) -> None:
    """Who waits for whom was settled when they joined: an answer is better than two that wait for each other."""
    answers: dict[str, list[asyncio.Future[str]]] = {"k": [], "other": []}

    async def fetch(key: str) -> str:
        if key == "other":
            return await cache.get("k")
        answers[key].append(asyncio.get_running_loop().create_future())
        return await answers[key][-1]

    cache = world.cache()
    cache._fetch = fetch
    first = asyncio.create_task(cache.get("other"))
    await settle()
    cache.invalidate("k")
    second = asyncio.create_task(cache.get("k"))
    await settle()
    answers["k"][0].set_result("first")
    assert await first == "first"
    answers["k"][1].set_result("second")
    assert await second == "second"


@virtual
async def test_a_late_failure_of_an_invalidated_load_does_not_evict_its_successor(world: World) -> None:
    """The trap that others fell into: the old load fails after the new value is in."""
    cache, world.backend.delay = world.cache(), 10.0
    world.backend.fault = absent()
    first = asyncio.create_task(cache.get("k"))
    await settle()
    cache.invalidate("k")
    world.backend.fault, world.backend.delay, world.backend.values["k"] = None, 1.0, "new"
    assert await cache.get("k") == "new"
    with pytest.raises(SecretNotFoundError):
        await first
    assert cache.peek("k") == "new"
    assert await cache.get("k") == "new"
    assert len(world.backend.calls) == 2


@virtual
async def test_a_late_value_does_not_overwrite_a_put_that_was_renewed(world: World) -> None:
    """The same key, put and fetched again meanwhile, is not the same entry (ABA)."""
    world.backend.values["k"], world.backend.delay = "slow", 10.0
    cache = world.cache()
    slow = asyncio.create_task(cache.get("k"))
    await settle()
    cache.put("k", "put")
    world.backend.values["k"], world.backend.delay = "fast", 1.0
    assert await cache.refresh("k") == "fast"
    assert await slow == "put"
    await asyncio.sleep(20.0)
    assert cache.peek("k") == "fast"


@virtual
async def test_put_makes_an_absent_key_present(world: World) -> None:
    """A negative entry does not outlive a write."""
    cache = world.cache(negative_ttl=1000.0)
    with pytest.raises(SecretNotFoundError):
        await cache.get("k")
    cache.put("k", "put")
    assert await cache.get("k") == "put"
    cache.invalidate("k")
    world.backend.values["k"] = "there"
    assert await cache.get("k") == "there"


@virtual
async def test_invalidate_forgets_that_a_key_is_absent(world: World) -> None:
    """The next reader asks."""
    cache = world.cache(negative_ttl=1000.0)
    with pytest.raises(SecretNotFoundError):
        await cache.get("k")
    cache.invalidate("k")
    world.backend.values["k"] = "v"
    assert await cache.get("k") == "v"


@virtual
async def test_a_failure_of_refresh_keeps_the_value(world: World) -> None:
    """Whoever asked for the refresh hears of it; readers do not."""
    cache = await world.warm()
    world.backend.fault = down()
    with pytest.raises(UnavailableError):
        await cache.refresh("k")
    assert await cache.get("k") == "old"


@virtual
async def test_two_refreshes_are_one_call(world: World) -> None:
    """A refresh joins one that is in the air."""
    cache = await world.warm()
    world.backend.values["k"] = "new"
    assert await asyncio.gather(*(cache.refresh("k") for _ in range(5))) == ["new"] * 5
    assert len(world.backend.calls) == 2


@virtual
async def test_a_put_counts_as_fresh(world: World) -> None:
    """The interval runs from the put, and so does the end of life."""
    cache = await world.warm()
    await asyncio.sleep(INTERVAL * 0.9)
    cache.put("k", "put")
    asked = len(world.backend.calls)
    await asyncio.sleep(INTERVAL * 0.9)
    assert len(world.backend.calls) == asked
    world.backend.fault = down()
    await asyncio.sleep(INTERVAL * 0.1 + MAX_STALE * 0.9)
    assert cache.peek("k") == "put"
    await asyncio.sleep(MAX_STALE * 0.11)
    assert cache.peek("k") is None


@virtual
async def test_clear_forgets_values_flights_and_absences(world: World) -> None:
    """As invalidate does for one key."""
    cache = await world.warm(negative_ttl=1000.0)
    with pytest.raises(SecretNotFoundError):
        await cache.get("gone")
    world.backend.values["slow"] = "slow"
    reader = asyncio.create_task(cache.get("slow"))
    await settle()
    cache.clear()
    assert await reader == "slow"
    assert len(cache) == 0
    world.backend.values["gone"] = "back"
    assert await cache.get("gone") == "back"


@virtual
async def test_invalidate_all_forgets_what_it_is_told(world: World) -> None:
    """Values, flights in the air and absences of these keys, and nothing of the others."""
    cache = await world.warm(negative_ttl=1000.0)
    with pytest.raises(SecretNotFoundError):
        await cache.get("k.gone")
    world.backend.values |= {"k.slow": "old", "slow": "old", "k.gone": "back"}
    readers = [asyncio.create_task(cache.get(key)) for key in ("k.slow", "slow")]
    await settle()
    cache.invalidate_all(lambda key: key.startswith("k."))
    world.backend.values |= {"k.slow": "new", "slow": "new"}
    assert await asyncio.gather(*readers) == ["old", "old"]
    assert [await cache.get(key) for key in ("k", "k.slow", "slow", "k.gone")] == ["old", "new", "old", "back"]


@virtual
async def test_the_listener_hears_of_every_change_in_order(world: World) -> None:
    """With the value before, so that a change can be told from a renewal that brought the same."""
    recorder = Recorder()
    cache = await world.warm(listener=recorder, max_entries=1)
    cache.put("k", "put")
    cache.put("other", "o")
    cache.invalidate("other")
    cache.invalidate("other")
    assert [heard for heard in recorder.heard if heard != ("withdrawn",)] == [
        ("stored", "k", "old", None),
        ("stored", "k", "put", "old"),
        ("dropped", "k", "put"),
        ("stored", "other", "o", None),
        ("dropped", "other", "o"),
    ]


@virtual
async def test_a_value_in_doubt_is_served_and_renewed(world: World) -> None:
    """Readers keep the old value while the backend is asked, and a flight that began before has nothing to say."""
    cache = await world.warm()
    world.backend.values["k"] = "new"
    cache.renew_soon("k")
    cache.renew_soon("absent")
    assert await cache.get("k") == "old"
    await asyncio.sleep(DELAY * 3)
    assert await cache.get("k") == "new"
    assert cache.stats.misses == 1


@virtual
async def test_what_was_put_is_not_absent_any_more(world: World) -> None:
    """Also once it has left the cache again: the backend is asked, and not told what it said before."""
    cache = world.cache(max_entries=1, negative_ttl=1_000.0)
    with pytest.raises(SecretNotFoundError):
        await cache.get("k")
    cache.put("k", "v")
    cache.put("other", "o")
    assert "k" not in cache
    world.backend.values["k"] = "v2"
    assert await cache.get("k") == "v2"
