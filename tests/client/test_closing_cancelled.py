"""Closing that is cancelled while it waits: everything ends all the same, and the cancellation arrives after that."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from asyncsecrets.client import SecretsClient
from asyncsecrets.errors import ClosedError, SecretNotFoundError
from asyncsecrets.secret import Payload, Secret
from tests.client.support import Manager, client_of


class Slow(Manager):
    """Never answers a write, and takes its time to close."""

    async def put(self, name: str, value: Payload, *, cas: str | None = None, token: str | None = None) -> Secret:
        await asyncio.sleep(3600)
        return await super().put(name, value, cas=cas, token=token)

    async def aclose(self) -> None:
        await asyncio.sleep(0.05)
        await super().aclose()


def ours() -> list[str]:
    """The tasks that are ours."""
    names = (task.get_name() for task in asyncio.all_tasks())
    return [name for name in names if name.startswith("asyncsecrets")]


async def left_by_exit(client: SecretsClient) -> None:
    """As ``async with`` ends."""
    await client.__aexit__(None, None, None)


@pytest.mark.parametrize("end", [SecretsClient.aclose, left_by_exit])
@pytest.mark.parametrize("moments", [[0.1], [0.1, 0.1], [0.1, 0.0, 0.0], [1.02]], ids=str)
async def test_everything_ends_before_the_cancellation_arrives(
    end: Callable[[SecretsClient], Coroutine[Any, Any, None]], moments: list[float]
) -> None:
    """While a write is waited for, or the provider closes; once, or again and again; and within two seconds."""
    manager, loop = Slow({"NAME": "canary"}), asyncio.get_running_loop()
    client = client_of(manager, refresh_interval=0.2)
    await client.start()
    await client.get("NAME")
    write = asyncio.create_task(client.put("OTHER", "canary"))
    await asyncio.sleep(0.01)
    closing, began = asyncio.create_task(end(client)), loop.time()
    for moment in moments:
        await asyncio.sleep(moment)
        closing.cancel()
    await asyncio.wait({closing})
    assert closing.cancelled()
    assert loop.time() - began < 2.3
    assert ours() == []
    assert manager.closed == 1
    with pytest.raises(ClosedError):
        await write
    calls = len(manager.calls)
    await asyncio.sleep(0.3)
    assert len(manager.calls) == calls


async def test_a_time_limit_around_closing() -> None:
    """It is kept late, and everything has ended then; with no time at all, it ends soon after."""
    manager = Slow({"NAME": "canary"})
    client = client_of(manager)
    await client.get("NAME")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await client.aclose()
    assert (manager.closed, ours()) == (1, [])
    other = client_of(manager)
    await other.get("NAME")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(other.aclose(), 0)
    await asyncio.sleep(0.2)
    assert (manager.closed, ours()) == (2, [])


async def test_a_task_that_is_cancelled_before_its_turn() -> None:
    """Closing begins with the call: such a task never runs a line of what it was made for."""
    manager = Manager({"NAME": "canary"})
    client = client_of(manager)
    await client.get("NAME")
    closing = asyncio.ensure_future(client.aclose())
    closing.cancel()
    with pytest.raises(ClosedError):
        await client.get("OTHER")
    await asyncio.sleep(0.05)
    assert (closing.cancelled(), manager.closed, ours()) == (True, 1, [])


def test_a_loop_that_ends_while_something_closes() -> None:
    """Also where whoever closes is a task that nobody waits for, and the loop is shut down under it."""
    manager = Slow({"NAME": "canary"})

    async def main() -> None:
        client = client_of(manager)
        await client.get("NAME")
        main.task = asyncio.create_task(client.aclose())  # type: ignore[attr-defined]
        await asyncio.sleep(0.01)

    asyncio.run(main())
    assert manager.closed + manager.abandoned


def test_aclose_is_what_frameworks_take_for_a_coroutine_function() -> None:
    """They ask before they call it, and do not await what is none; without a loop it is begun by the one that runs
    it."""
    client = client_of(Manager())
    asks = inspect.iscoroutinefunction if sys.version_info >= (3, 12) else asyncio.iscoroutinefunction
    assert asks(client.aclose)
    asyncio.run(client.aclose())
    with pytest.raises(ClosedError):
        client.explain("NAME")


async def test_a_fetch_that_closes_its_client_does_not_wait_for_itself() -> None:
    """Nor is it waited for."""

    class Closes(Manager):
        async def get(self, name: str, version: str | None = None) -> Secret:
            await client.aclose()
            raise SecretNotFoundError("gone", provider="memory", name=name)

    client = client_of(Closes())
    began = asyncio.get_running_loop().time()
    with pytest.raises(ClosedError):
        await client.get("NAME")
    await asyncio.sleep(0.05)
    assert asyncio.get_running_loop().time() - began < 0.8
    assert ours() == []
