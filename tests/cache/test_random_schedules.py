"""The same program in thousands of orders: a loop that runs what is ready in any order, from a seed.

A failure names its seed; ``_play(seed)`` replays it.
"""

from __future__ import annotations

import asyncio
import os
import random

import pytest

from asyncsecrets.cache import SingleFlightCache
from asyncsecrets.errors import ClosedError, ProviderError, SecretNotFoundError
from asyncsecrets.testing.virtual_time import VirtualClock, VirtualTimeLoop
from tests.cache.world import Record, World, absent, check, denied, down

QUICK, LONG = 1_500, 200_000


class ShuffledLoop(VirtualTimeLoop):
    """What is ready at the beginning of a turn runs in a random order. asyncio promises an order; code that needs it
    is right by luck, or must say so."""

    def __init__(self, clock: VirtualClock, chance: random.Random) -> None:
        super().__init__(clock)
        self._chance = chance

    def _run_once(self) -> None:
        ready = list(self._ready)
        self._chance.shuffle(ready)
        self._ready.clear()
        self._ready.extend(ready)
        super()._run_once()


class Program:
    """Readers, writers, and somebody who cancels, on two keys; versions only grow."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self.world, self.chance, self.version = world, chance, 0
        self.cache: SingleFlightCache[str, str] = world.cache(
            refresh_interval=chance.choice([2.0, 5.0]), max_stale=chance.choice([0.0, 3.0]), jitter=chance.random,
            concurrency=chance.choice([1, 10]), negative_ttl=chance.choice([0.0, 2.0]), backoff=(0.5, 1.0),
        )  # fmt: skip
        self.cache.batch_size = chance.choice([1, 2])
        self.floor = {"a": 0, "b": 0}
        self.record = Record(self.cache)
        self.cache._fetch = self.fetch

    async def fetch(self, key: str) -> str:
        value = self.world.backend.values.get(key)
        fault = self.chance.choice([None, None, None, down(), denied()])
        with self.record.fetching(key):
            for _ in range(self.chance.randrange(3)):
                await asyncio.sleep(self.chance.choice([0.0, 0.0, 0.5]))
        if fault is not None:
            raise fault
        if value is None:
            raise absent(key)
        return value

    async def reader(self, key: str) -> None:
        await self.pause()
        floor = self.floor[key]
        try:
            value = await (self.cache.refresh(key) if self.chance.random() < 0.2 else self.cache.get(key))
        except (ProviderError, ClosedError) as error:
            assert not isinstance(error, SecretNotFoundError) or not floor  # noqa: PT017
            return
        assert int(value) >= floor, "an older value than was acknowledged"
        self.floor[key] = max(self.floor[key], int(value))

    async def writer(self, key: str) -> None:
        await self.pause()
        self.version += 1
        self.world.backend.values[key] = str(self.version)
        await self.pause()
        if self.chance.random() < 0.3:
            self.record.disown(key)
            self.cache.invalidate(key)
        else:
            version = int(self.world.backend.values[key])
            self.cache.put(key, str(version))
            self.record.disown(key)
            self.floor[key] = max(self.floor[key], version)

    async def canceller(self, tasks: list[asyncio.Task[None]]) -> None:
        await self.pause()
        self.chance.choice(tasks).cancel()

    async def pause(self) -> None:
        for _ in range(self.chance.randrange(4)):
            await asyncio.sleep(self.chance.choice([0.0, 0.0, 0.1, 1.0]))

    async def main(self) -> None:
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(self.reader(self.chance.choice("ab"))) for _ in range(8)]
        tasks += [loop.create_task(self.writer(self.chance.choice("ab"))) for _ in range(3)]
        tasks += [loop.create_task(self.canceller(tasks[:8])) for _ in range(2)]
        self.chance.shuffle(tasks)
        if self.chance.random() < 0.2:
            tasks.append(loop.create_task(self.close_late()))
        async with asyncio.timeout(100.0):
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError | ClosedError):
                    raise outcome
        check(self.cache)
        await self.cache.aclose()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    async def close_late(self) -> None:
        await self.pause()
        await self.cache.aclose()


def _play(seed: int) -> None:
    chance, world = random.Random(seed), World()
    complaints: list[str] = []
    with asyncio.Runner(loop_factory=lambda: ShuffledLoop(world.clock, chance), debug=False) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: complaints.append(str(context)))
        try:
            runner.run(Program(world, chance).main())
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
    assert complaints == [], f"seed {seed}"


def test_any_order_will_do() -> None:
    """No reader stuck, no older value, no second fetch, no task left, whatever runs first."""
    for seed in range(QUICK):
        _play(seed)


@pytest.mark.soak
@pytest.mark.skipif(os.environ.get("HYPOTHESIS_PROFILE") != "soak", reason="long: make soak")
def test_any_order_will_do_for_long() -> None:
    """The same, with as many seeds as an hour allows."""
    for seed in range(QUICK, LONG):
        _play(seed)
