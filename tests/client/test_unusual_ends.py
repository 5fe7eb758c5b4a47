"""A provider that ends in a way that is neither an answer nor an error of ours."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest

from asyncsecrets import SecretsClient
from asyncsecrets.cache import SingleFlightCache
from asyncsecrets.config import AccessMode, Freshness, SourceConfig
from asyncsecrets.errors import (
    AsyncSecretsError,
    ClosedError,
    TransientError,
    UnavailableError,
    WriteOutcomeUnknownError,
)
from asyncsecrets.secret import Payload, Secret
from tests.client.support import ONCE, Manager, client_of, client_with, settled, value


class Abort(BaseException):
    """What a framework raises to end a program, a test or a request: nobody is meant to take it for an error."""


class Odd(Manager):
    """Ends as it is told to, in any of its operations."""

    def __init__(self, secrets: Mapping[str, Payload] | None = None) -> None:
        super().__init__(secrets)
        self.end: Callable[[], Awaitable[None]] | None = None
        self.at = {"get", "put", "list", "delete"}

    async def _before(self, operation: str, name: str) -> None:
        await super()._before(operation, name)
        await self._at(operation)

    async def _at(self, operation: str) -> None:
        if self.end is not None and operation in self.at:
            await self.end()

    async def open(self) -> None:
        await super().open()
        await self._at("open")

    async def aclose(self) -> None:
        await super().aclose()
        await self._at("aclose")


class OddBatch(Odd):
    """The same for many names in one call."""

    batch_size = 20

    async def get_many(self, names: Sequence[str]) -> dict[str, Secret | AsyncSecretsError]:
        await self._at("get_many")
        return {name: await self.get(name) for name in names}


async def abort() -> None:
    raise Abort("why it ended")


async def cancel_itself() -> None:
    """As a call does that waits for something shared, such as a look-up, which somebody else cancels."""
    shared = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(shared.cancel)
    await shared


OPERATIONS: dict[str, Callable[[SecretsClient], Awaitable[Any]]] = {
    "get": lambda client: client.get("NAME"),
    "refresh": lambda client: client.refresh("NAME"),
    "put": lambda client: client.put("NAME", "canary-2"),
    "list": lambda client: client.list(),
}


def client_with_caching(manager: Manager, *, cached: bool) -> SecretsClient:
    """A client of ``manager`` that keeps what it reads, or does not."""
    declared = SourceConfig(
        name="default", system="memory", access_mode=AccessMode.READ_AND_WRITE, freshness=Freshness(cached=cached)
    )
    return client_with({"default": (declared, manager)}, retry=ONCE)


@contextlib.contextmanager
def handled() -> Iterator[list[BaseException]]:
    """What the loop's exception handler is told meanwhile."""
    loop, heard = asyncio.get_running_loop(), list[BaseException]()
    loop.set_exception_handler(lambda _, context: heard.append(context["exception"]))
    yield heard
    loop.set_exception_handler(None)


async def elsewhere(work: Callable[[], Awaitable[Any]]) -> Any:
    """Await ``work()`` on a loop of another thread, while this one runs on."""

    async def main() -> Any:
        return await work()

    return await asyncio.to_thread(lambda: asyncio.run(main()))


# -- the end of a program


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_what_is_no_error_reaches_whoever_waits(operation: str, cached: bool) -> None:
    """As it is, with what it says; and the client works on."""
    manager = Odd({"NAME": "canary"})
    client = client_with_caching(manager, cached=cached)
    await client.start()
    manager.end = abort
    with handled(), pytest.raises(Abort, match="why it ended"):
        await OPERATIONS[operation](client)
    manager.end = None
    await OPERATIONS[operation](client)
    await client.aclose()


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_it_reaches_who_waits_on_another_loop(operation: str) -> None:
    """The loop that carried it out goes on."""
    manager = Odd({"NAME": "canary"})
    async with client_of(manager, retry=ONCE) as client:
        manager.end = abort
        with handled(), pytest.raises(Abort, match="why it ended"):
            await asyncio.wait_for(elsewhere(lambda: OPERATIONS[operation](client)), 10)


async def test_it_reaches_all_who_wait_for_one_call() -> None:
    """For one name, and for the many that travel together: nobody waits for a deadline."""
    manager = OddBatch({f"N{i}": "canary" for i in range(5)})
    async with client_of(manager, retry=ONCE) as client:
        manager.end = abort
        with handled():
            readers = [client.get(f"N{i % 5}") for i in range(20)]
            answers = await asyncio.wait_for(asyncio.gather(*readers, return_exceptions=True), 2)
    assert [repr(answer) for answer in answers] == ["Abort('why it ended')"] * 20
    assert len({id(answer) for answer in answers}) == 20


async def test_where_nobody_waits_the_loop_hears_of_it() -> None:
    """A renewal, a read and a write whose callers are gone: each is told once, and the old value stands."""
    manager = Odd({"NAME": "canary"})
    async with client_of(manager, retry=ONCE) as client:
        await client.get("NAME")
        for operation in OPERATIONS["refresh"], OPERATIONS["put"]:
            manager.end, manager.gate = abort, asyncio.Event()
            with handled() as heard:
                waiting = asyncio.ensure_future(operation(client))
                await settled()
                waiting.cancel()
                manager.gate.set()
                await settled()
                assert [str(error) for error in heard] == ["why it ended"]
            manager.end = manager.gate = None
        assert value(client.peek("NAME")) == "canary"


def test_an_exit_ends_the_program() -> None:
    """SystemExit goes to whoever runs the loop, once; nothing is left behind that would complain."""

    async def leave() -> None:
        raise SystemExit(3)

    manager = Odd({"NAME": "canary"})
    client = client_of(manager)
    for operation in OPERATIONS.values():
        manager.end = leave
        with pytest.raises(SystemExit) as caught:
            asyncio.run(in_a_task(operation(client)))
        assert caught.value.code == 3
        manager.end = None
    asyncio.run(client.aclose())


async def in_a_task(waiting: Awaitable[Any]) -> Any:
    return await waiting


# -- cancelled, and nobody asked for it


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_provider_that_cancels_itself_has_failed_for_the_moment(operation: str, cached: bool) -> None:
    """Neither is its caller cancelled, nor the client closed; of a write nobody knows whether it was made."""
    manager = Odd({"NAME": "canary"})
    client = client_with_caching(manager, cached=cached)
    await client.start()
    manager.end = cancel_itself
    with pytest.raises((TransientError, WriteOutcomeUnknownError), match="cancelled"):
        await OPERATIONS[operation](client)
    manager.end = None
    assert value(await client.refresh("NAME")) == "canary"
    await client.aclose()


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_asked_from_another_loop_it_has_failed_as_well(operation: str) -> None:
    """It is not asked again and again, as it would be if that loop had ended."""
    manager = Odd({"NAME": "canary"})
    async with client_of(manager, retry=ONCE) as client:
        manager.end = cancel_itself
        with pytest.raises((TransientError, WriteOutcomeUnknownError), match="cancelled"):
            await asyncio.wait_for(elsewhere(lambda: OPERATIONS[operation](client)), 10)


async def test_a_value_outlives_a_renewal_that_cancels_itself() -> None:
    """It is an outage like any other."""
    manager = Odd({"NAME": "canary"})
    async with client_of(manager, retry=ONCE) as client:
        await client.get("NAME")
        manager.end = cancel_itself
        with pytest.raises(UnavailableError, match="cancelled"):
            await client.refresh("NAME")
        assert value(await client.get("NAME")) == "canary"


async def test_a_batch_that_cancels_itself_fails_each_of_its_names() -> None:
    """At once, with an error of its own."""
    manager = OddBatch({f"N{i}": "canary" for i in range(5)})
    manager.at = {"get_many"}
    async with client_of(manager, retry=ONCE) as client:
        manager.end = cancel_itself
        reading = asyncio.gather(*(client.get(f"N{i}") for i in range(5)), return_exceptions=True)
        answers = await asyncio.wait_for(reading, 2)
        assert {type(answer) for answer in answers} == {UnavailableError}
        assert sorted(answer.name for answer in answers if isinstance(answer, UnavailableError)) == [
            f"N{i}" for i in range(5)
        ]


@pytest.mark.parametrize("end", [abort, cancel_itself])
async def test_a_provider_that_cannot_be_opened_for_it(end: Callable[[], Awaitable[None]]) -> None:
    """Every reader hears why; it is opened when it can be."""
    manager = Odd({"NAME": "canary"})
    manager.at, manager.end = {"open"}, end
    client = client_of(manager, retry=ONCE)
    with handled():
        readers = [client.get("NAME"), client.get("OTHER"), client.list()]
        answers = await asyncio.wait_for(asyncio.gather(*readers, return_exceptions=True), 2)
    assert {type(answer) for answer in answers} == {Abort if end is abort else UnavailableError}
    manager.end = None
    assert value(await client.get("NAME")) == "canary"
    await client.aclose()


async def test_a_close_that_cancels_itself_is_a_close() -> None:
    """What is left is let go of; whoever closes can do nothing about it, and is not cancelled."""
    manager = Odd({"NAME": "canary"})
    manager.at, manager.end = {"aclose"}, cancel_itself
    client = client_of(manager)
    await client.get("NAME")
    await client.aclose()
    assert manager.abandoned == 1


async def test_a_close_that_is_ended_is_a_close_and_says_so() -> None:
    """The loop hears of it, and the client is closed."""
    manager = Odd({"NAME": "canary"})
    manager.at, manager.end = {"aclose"}, abort
    client = client_of(manager)
    await client.get("NAME")
    with handled() as heard:
        await client.aclose()
    assert [str(error) for error in heard] == ["why it ended"]
    assert manager.abandoned == 1
    with pytest.raises(ClosedError):
        await client.get("NAME")


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("operation", OPERATIONS)
async def test_all_of_our_tasks_are_cancelled_and_their_callers_are_not(operation: str, cached: bool) -> None:
    """As a program does that cancels all tasks it finds: an open client never says that it is closed."""
    manager = Odd({"NAME": "canary"})
    client = client_with_caching(manager, cached=cached)
    await client.start()
    manager.gate = asyncio.Event()
    waiting = asyncio.ensure_future(OPERATIONS[operation](client))
    await settled()
    for task in asyncio.all_tasks() - {asyncio.current_task(), waiting}:
        task.cancel()
    with pytest.raises((TransientError, WriteOutcomeUnknownError), match="cancelled"):
        await waiting
    manager.gate = None
    assert value(await client.refresh("NAME")) == "canary"
    await client.aclose()


# -- the cache by itself


async def test_a_cache_alone_tells_the_same() -> None:
    """What is no error reaches who waits, or the loop; a fetch that cancels itself has failed for the moment."""
    end = abort

    async def fetch(key: str) -> str:
        await end()
        return key

    cache = SingleFlightCache(fetch)
    with pytest.raises(Abort, match="why it ended"):
        await cache.get("k")
    with handled() as heard:
        waiting = asyncio.ensure_future(cache.get("k"))
        await asyncio.sleep(0)
        waiting.cancel()
        await settled()
        assert [str(error) for error in heard] == ["why it ended"]
    end = cancel_itself
    answers = await asyncio.gather(*(cache.get("k") for _ in range(3)), return_exceptions=True)
    assert {type(answer) for answer in answers} == {UnavailableError}
    await cache.aclose()
