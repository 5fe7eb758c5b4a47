"""Closing: everything ends within two seconds, whoever waits is told, nothing is left, and it may be done twice."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

from asyncsecrets import default
from asyncsecrets.client import SecretsClient
from asyncsecrets.config import Freshness, SourceConfig
from asyncsecrets.errors import ClosedError, ConfigError
from asyncsecrets.secret import Payload, Secret
from asyncsecrets.testing.virtual_time import VirtualClock
from tests.client.support import Manager, client_of, client_with, in_virtual_time, settled, value, virtual_client


def ours() -> list[asyncio.Task[object]]:
    """The tasks that are ours."""
    return [task for task in asyncio.all_tasks() if task.get_name().startswith("asyncsecrets")]


async def test_a_closed_client_says_so_everywhere() -> None:
    """Every operation raises ClosedError, whatever it is asked; nothing is warm, nothing is called."""
    manager = Manager({"NAME": "canary"})
    client = client_of(manager)
    async with client:
        await client.get("NAME")
    manager.calls.clear()
    operations = [
        client.start(),
        client.get("NAME"),
        client.get("NAME", version="1"),
        client.get(""),
        client.refresh("NAME"),
        client.put("NAME", "canary"),
        client.delete("NAME"),
        client.list(),
        client.versions("NAME"),
        client.get("NAME"),
        client.__aenter__(),
    ]
    for operation in operations:
        with pytest.raises(ClosedError):
            await operation
    for call in (client.invalidate, client.explain, client.watch):
        with pytest.raises(ClosedError):
            call("NAME")
    assert client.peek("NAME") is None
    assert client.texts == {}
    assert client.status()
    assert manager.calls == []
    assert (manager.opened, manager.closed) == (1, 1)
    assert ours() == []


async def test_closing_twice_and_at_once_is_harmless() -> None:
    """In a row, from several tasks, before any use."""
    manager = Manager({"NAME": "canary"})
    client = client_of(manager)
    await client.get("NAME")
    await asyncio.gather(client.aclose(), client.aclose())
    await client.aclose()
    assert manager.closed == 1
    unused = client_of(Manager())
    await unused.aclose()
    await unused.aclose()


@pytest.mark.parametrize("cached", [True, False])
async def test_whoever_waits_gets_closed_error(cached: bool) -> None:
    """Readers, refreshers, listers and followers, cached or not, well within two seconds."""
    manager = Manager({"NAME": "canary"})
    declared = SourceConfig(name="default", system="memory", freshness=Freshness(cached=cached))
    client = client_with({"default": (declared, manager)})
    await client.start()
    follower = client.watch("NAME")
    assert value(await anext(follower)) == "canary"
    manager.gate = asyncio.Event()
    waiting = [
        asyncio.create_task(coroutine)
        for coroutine in (
            client.get("OTHER"),
            client.refresh("NAME"),
            client.list(),
            client.versions("NAME"),
            anext(follower),
        )
    ]
    await settled()
    started = asyncio.get_running_loop().time()
    await client.aclose()
    assert asyncio.get_running_loop().time() - started < 1
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(answer) for answer in answers] == [ClosedError] * 5
    assert ours() == []


class Stubborn(Manager):
    """Closes only when it is told to, and does not mind being cancelled in a read."""

    async def aclose(self) -> None:
        await asyncio.sleep(3600)

    async def get(self, name: str, version: str | None = None) -> Secret:
        for _ in range(50):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.1)
        return await super().get(name, version)


async def test_a_provider_that_hangs_cannot_hold_up_closing() -> None:
    """Not by a read that will not end, nor by a close that does not return: two seconds, and it is left behind."""
    manager = Stubborn({"NAME": "canary"})
    client = client_of(manager)
    reader = asyncio.create_task(client.get("NAME"))
    await asyncio.sleep(0.05)
    started = asyncio.get_running_loop().time()
    await client.aclose()
    assert asyncio.get_running_loop().time() - started < 2.3
    assert manager.abandoned
    with pytest.raises(ClosedError):
        await reader
    for task in ours():  # let the stubborn read end, so that it does not outlive the test
        await asyncio.wait({task})


class Endless(Manager):
    """One whose writes do not let themselves be cancelled."""

    async def put(self, name: str, payload: Payload, *, cas: str | None = None, token: str = "") -> Secret:
        for _ in range(5):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(10)
        return await super().put(name, payload, cas=cas, token=token)


def test_a_write_that_does_not_end_keeps_nothing_else() -> None:
    """The renewals end with the two seconds, nothing is warm, and nothing is opened or asked any more."""
    manager = Endless({"NAME": "canary"})

    async def main(clock: VirtualClock) -> None:
        client = virtual_client(clock, manager, refresh_interval=5.0)
        await client.get("NAME")
        writing = asyncio.ensure_future(client.put("OTHER", "canary"))
        await settled()
        began = clock.monotonic()
        await client.aclose()
        assert clock.monotonic() - began < 2
        assert client.peek("NAME") is None
        assert [task.get_name() for task in ours()] == ["asyncsecrets-operation"]
        with pytest.raises(ClosedError):
            await writing
        await asyncio.sleep(60)
        assert ours() == []

    in_virtual_time(main)
    assert manager.calls == [("get", "NAME")]
    assert (manager.opened, manager.closed) == (1, 1)


async def test_who_has_his_turn_after_the_connection_was_closed() -> None:
    """It was closed because its loop seemed to end; it goes on, and the connection is opened again."""
    manager = Manager({"NAME": "canary", "OTHER": "canary-o"})
    manager.concurrency = 1  # type: ignore[attr-defined]
    manager.gate = asyncio.Event()
    async with client_of(manager) as client:
        readers = [asyncio.create_task(client.get(name)) for name in ("NAME", "OTHER")]
        await settled()
        await client._sources["default"]._connection.close()
        manager.gate.set()
        assert [value(secret) for secret in await asyncio.gather(*readers)] == ["canary", "canary-o"]
    assert (manager.opened, manager.closed) == (2, 2)


async def test_a_provider_that_fails_to_close_is_left_behind() -> None:
    """Its exception may hold anything, and nobody could do anything about it."""

    class Fails(Manager):
        async def aclose(self) -> None:
            raise KeyError("canary")

    manager = Fails({"NAME": "canary"})
    async with client_of(manager) as client:
        await client.get("NAME")
    assert manager.abandoned == 1


async def test_closing_while_it_opens() -> None:
    """A provider that hangs in open is closed all the same, and start() says why it ended."""

    class Hangs(Manager):
        async def open(self) -> None:
            await super().open()
            await asyncio.sleep(3600)

    manager = Hangs()
    client = client_of(manager)
    starting = asyncio.create_task(client.start())
    await settled()
    await client.aclose()
    with pytest.raises(ClosedError):
        await starting
    assert manager.closed
    assert ours() == []


async def test_a_start_that_fails_closes_what_it_opened() -> None:
    """Of several sources, one is wrong: its error is raised, the others are closed, the client is no default."""

    class Wrong(Manager):
        async def open(self) -> None:
            raise ConfigError("canary setting is wrong")

    good = Manager()
    sources = {name: (SourceConfig(name=name, system="memory"), m) for name, m in (("default", good), ("bad", Wrong()))}
    with pytest.raises(ConfigError):
        async with client_with(sources):
            pytest.fail("not to be entered")
    assert (good.opened, good.closed) == (1, 1)
    assert default._open == ()
    assert ours() == []


async def test_a_start_that_is_cancelled_closes_what_it_opened() -> None:
    """async with that is cancelled on its way in leaves nothing open."""

    class Hangs(Manager):
        async def open(self) -> None:
            await asyncio.sleep(3600)

    good = Manager()
    sources = {
        name: (SourceConfig(name=name, system="memory"), m) for name, m in (("default", good), ("slow", Hangs()))
    }
    entering = asyncio.create_task(client_with(sources).__aenter__())
    await asyncio.sleep(0.01)
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering
    assert (good.opened, good.closed) == (1, 1)
    assert ours() == []


async def test_a_closing_that_is_cancelled_can_be_done_again() -> None:
    """What the first could not close, the second does."""

    class Slow(Manager):
        async def aclose(self) -> None:
            await asyncio.sleep(0.05)
            await super().aclose()

    manager = Slow({"NAME": "canary"})
    client = client_of(manager)
    manager.gate = asyncio.Event()
    writer = asyncio.create_task(client.put("NAME", "canary"))
    await settled()
    closing = asyncio.create_task(client.aclose())
    await settled()
    closing.cancel()
    await asyncio.wait({closing})
    manager.gate.set()
    await client.aclose()
    assert manager.closed == 1
    await asyncio.wait({writer})
    assert ours() == []


async def test_nothing_is_left_of_many_clients() -> None:
    """A hundred clients, opened, used and closed: no task, no thread, no default."""
    threads = threading.active_count()
    for _ in range(100):
        async with client_of(Manager({"NAME": "canary"})) as client:
            await client.get("NAME")
            await client.put("OTHER", "canary")
    assert ours() == []
    assert default._open == ()
    for _ in range(100):
        if threading.active_count() <= threads:
            break
        await asyncio.sleep(0.01)  # the guard's thread ends with its last promise, in its own time
    assert threading.active_count() <= threads


def test_building_a_client_does_nothing() -> None:
    """No I/O, no event loop, no task: built where no loop runs, it is usable on any."""
    manager = Manager({"NAME": "canary"})
    client = client_of(manager)
    assert manager.opened == 0
    assert isinstance(client, SecretsClient)

    async def use() -> None:
        async with client:
            assert value(await client.get("NAME")) == "canary"

    asyncio.run(use())
