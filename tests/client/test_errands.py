"""Fetches that ask for other keys on their way: those that come back to themselves are told so, the others work."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from asyncsecrets import SecretsClient
from asyncsecrets.cache import SingleFlightCache
from asyncsecrets.config import Freshness, SourceConfig
from asyncsecrets.errors import UnsupportedOperationError
from asyncsecrets.secret import Secret
from tests.client.support import ONCE, Manager, client_of, client_with, settled, value

CYCLE = "waits for itself"


class Asking(Manager):
    """Asks for other secrets before it answers, as ``asks`` says for each name; ``opens_with`` before it is open."""

    def __init__(self, asks: Mapping[str, str], opens_with: str | None = None) -> None:
        super().__init__({name: f"canary-{name}" for name in "abcd"})
        self.asks = dict(asks)
        self.opens_with = opens_with
        self.client: SecretsClient
        self.way: Callable[[Awaitable[Any]], Awaitable[Any]] = lambda waiting: waiting

    async def open(self) -> None:
        await super().open()
        if self.opens_with is not None:
            await self.client.get(self.opens_with)

    async def get(self, name: str, version: str | None = None) -> Secret:
        if name in self.asks:
            await self.way(self.client.get(self.asks[name]))
        return await super().get(name, version)


def asking(asks: Mapping[str, str], *, cached: bool = True, opens_with: str | None = None) -> Asking:
    """A manager that asks its own client."""
    manager = Asking(asks, opens_with)
    declared = SourceConfig(name="default", system="memory", freshness=Freshness(cached=cached))
    manager.client = client_with({"default": (declared, manager)}, retry=ONCE)
    return manager


async def in_a_task(waiting: Awaitable[Any]) -> Any:
    return await asyncio.ensure_future(waiting)


async def gathered(waiting: Awaitable[Any]) -> Any:
    async def wait() -> Any:
        return await waiting

    return (await asyncio.gather(wait()))[0]


async def within_a_time(waiting: Awaitable[Any]) -> Any:
    return await asyncio.wait_for(waiting, 60)


CIRCLES = [
    ({"a": "a"}, "'a' -> 'a'"),
    ({"a": "b", "b": "a"}, "'b' -> 'a' -> 'b'"),
    ({"a": "b", "b": "c", "c": "d", "d": "b"}, "'d' -> 'b' -> 'c' -> 'd'"),
]


@pytest.mark.parametrize("way", [in_a_task, gathered, within_a_time])
@pytest.mark.parametrize(("asks", "shown"), CIRCLES)
async def test_a_fetch_that_asks_for_itself_is_told_so(
    asks: dict[str, str], shown: str, way: Callable[[Awaitable[Any]], Awaitable[Any]]
) -> None:
    """Directly or through others, in a task of its own or not; at once, and with the way that it went."""
    manager = asking(asks)
    manager.way = way
    async with manager.client as client:
        with pytest.raises(UnsupportedOperationError, match=CYCLE) as caught:
            await asyncio.wait_for(client.get("a"), 2)
        assert shown in str(caught.value)
        manager.asks.clear()
        assert value(await client.get("a")) == "canary-a"


async def test_two_that_come_at_once_and_ask_for_each_other() -> None:
    """Neither began the other: each was under way when it was asked for."""
    manager = asking({"a": "b", "b": "a"})
    async with manager.client as client:
        together = asyncio.gather(client.get("a"), client.get("b"), return_exceptions=True)
        answers = await asyncio.wait_for(together, 2)
        assert [type(answer) for answer in answers] == [UnsupportedOperationError] * 2


@pytest.mark.parametrize("asks", [asks for asks, _ in CIRCLES])
async def test_what_is_not_kept_is_watched_as_well(asks: dict[str, str]) -> None:
    """Without a cache there is no flight to wait for: it would ask ever deeper."""
    manager = asking(asks, cached=False)
    async with manager.client as client:
        with pytest.raises(UnsupportedOperationError, match=CYCLE):
            await asyncio.wait_for(client.get("a"), 2)
        manager.asks.clear()
        assert value(await client.get("a")) == "canary-a"


@pytest.mark.parametrize("kept", [(True, False), (False, True), (True, True), (False, False)])
async def test_a_circle_through_two_clients(kept: tuple[bool, bool]) -> None:
    """Whether they keep what they read or not."""
    one, other = asking({"a": "b"}, cached=kept[0]), asking({"b": "a"}, cached=kept[1])
    one.client, other.client = other.client, one.client
    async with one.client, other.client:
        with pytest.raises(UnsupportedOperationError, match=CYCLE):
            await asyncio.wait_for(other.client.get("a"), 2)


async def test_a_circle_through_a_client_of_another_loop() -> None:
    """Each of the two lives on a loop of its own."""
    one, other = asking({"a": "b"}), asking({"b": "a"})
    one.client, other.client = other.client, one.client
    ready, over = threading.Event(), threading.Event()

    async def elsewhere() -> None:
        async with one.client:
            ready.set()
            while not over.is_set():
                await asyncio.sleep(0.001)

    async with other.client as client:
        living = asyncio.ensure_future(asyncio.to_thread(lambda: asyncio.run(elsewhere())))
        await asyncio.to_thread(ready.wait)
        try:
            with pytest.raises(UnsupportedOperationError, match=CYCLE):
                await asyncio.wait_for(client.get("a"), 5)
        finally:
            over.set()
            await living


@pytest.mark.parametrize("cached", [True, False])
async def test_a_provider_that_needs_its_own_secrets_to_open(cached: bool) -> None:
    """Nobody would ever open it."""
    manager = asking({}, cached=cached, opens_with="b")
    with pytest.raises(UnsupportedOperationError, match="opening of default"):
        await asyncio.wait_for(manager.client.get("a"), 2)
    with pytest.raises(UnsupportedOperationError, match="opening of default"):
        await asyncio.wait_for(manager.client.start(), 2)


@pytest.mark.parametrize("cached", [True, False])
async def test_asking_for_others_is_no_circle(cached: bool) -> None:
    """A chain, a diamond, and many at once of the same."""
    manager = asking({"a": "b", "b": "c", "d": "b"}, cached=cached)
    async with manager.client as client:
        answers = await asyncio.gather(*(client.get(name) for name in "abcd" * 5))
        assert [value(answer) for answer in answers] == [f"canary-{name}" for name in "abcd" * 5]


async def test_what_waits_no_more_is_no_circle() -> None:
    """``a`` gave up waiting for ``b``, and goes on; only then does ``b`` ask for ``a``."""
    manager, given_up = asking({"a": "b", "b": "a"}), asyncio.Event()

    async def give_up(waiting: Awaitable[Any]) -> None:
        if not given_up.is_set():
            given_up.set()
            asking_b = asyncio.ensure_future(waiting)
            await settled()
            asking_b.cancel()
            await asyncio.wait([asking_b])
            gate.set()
            return
        await gate.wait()
        await waiting

    gate = asyncio.Event()
    manager.way = give_up
    async with manager.client as client:
        assert value(await asyncio.wait_for(client.get("a"), 2)) == "canary-a"
        assert value(await asyncio.wait_for(client.get("b"), 2)) == "canary-b"


async def test_a_task_that_outlives_its_fetch_is_no_part_of_it() -> None:
    """A provider starts something of its own at the first fetch, and that asks for what it likes."""
    manager = Manager({"a": "canary-a"})
    background: list[asyncio.Task[Secret]] = []
    over = asyncio.Event()

    async def later() -> Secret:
        await over.wait()
        return await client.refresh("a")

    class Starting(Manager):
        async def get(self, name: str, version: str | None = None) -> Secret:
            if not background:
                background.append(asyncio.create_task(later()))
            return await super().get(name, version)

    manager = Starting({"a": "canary-a"})
    async with client_of(manager) as client:
        await client.get("a")
        over.set()
        assert value(await asyncio.wait_for(background[0], 2)) == "canary-a"


async def test_the_cache_alone_does_the_same() -> None:
    """Whatever its keys are."""

    async def fetch(key: int) -> int:
        return await cache.get((key + 1) % 3) if key < 5 else key

    cache = SingleFlightCache(fetch)
    with pytest.raises(UnsupportedOperationError, match="2 -> 0 -> 1 -> 2"):
        await asyncio.wait_for(cache.get(0), 2)
    assert await cache.get(5) == 5
    await cache.aclose()
