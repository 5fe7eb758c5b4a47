"""``is_absent``: what is known not to be there, without asking."""

from __future__ import annotations

import asyncio
import threading

import pytest

from asyncsecrets.config import SourceConfig
from asyncsecrets.errors import ClosedError, InvalidNameError, SecretNotFoundError
from asyncsecrets.testing.virtual_time import VirtualClock
from tests.client.support import ONCE, Manager, client_of, client_with, in_virtual_time, virtual_client


async def absent(client, name: str) -> None:
    with pytest.raises(SecretNotFoundError):
        await client.get(name)


async def test_absent_is_what_the_manager_has_said():
    """Before it was asked, and of what is there, nothing is known to be absent."""
    manager = Manager({"KEY": "canary-1"})
    async with client_of(manager, retry=ONCE) as client:
        assert not client.is_absent("NOWHERE")
        await absent(client, "NOWHERE")
        await client.get("KEY")
        asked = len(manager.calls)
        assert client.is_absent("NOWHERE")
        assert client.is_absent("os.environ/NOWHERE")
        assert not client.is_absent("KEY")
        assert len(manager.calls) == asked
    with pytest.raises(ClosedError):
        client.is_absent("NOWHERE")


def test_absent_is_known_for_as_long_as_it_is_believed():
    """After ``negative_ttl`` nothing is known."""

    async def main(clock: VirtualClock) -> None:
        async with virtual_client(clock, Manager(), negative_ttl=5.0) as client:
            await absent(client, "NOWHERE")
            await asyncio.sleep(4.9)
            assert client.is_absent("NOWHERE")
            await asyncio.sleep(0.2)
            assert not client.is_absent("NOWHERE")

    in_virtual_time(main)


async def test_absent_is_known_from_any_thread():
    """A thread without a loop asks, as it may ``peek``."""
    async with client_of(Manager(), retry=ONCE) as client:
        await absent(client, "NOWHERE")
        seen: list[bool] = []
        thread = threading.Thread(target=lambda: seen.append(client.is_absent("NOWHERE")))
        thread.start()
        thread.join(10)
        assert seen == [True]


async def test_what_the_environment_stands_in_for_is_not_absent():
    """It has a value, and ``peek`` has it."""
    async with client_of(Manager(), {"FLAG": "canary-on"}, retry=ONCE) as client:
        await client.get("FLAG")
        assert not client.is_absent("FLAG")
        assert client.peek("FLAG") is not None


async def test_a_member_is_absent_where_its_secret_is_known():
    """Of a ``primary_secret_name`` that is warm it is known which members it has."""
    manager = Manager({"all": '{"A": "canary-a"}'})
    source = SourceConfig(name="default", system="memory", primary_secret_name="all")  # a name
    async with client_with({"default": (source, manager)}, {"FLAG": "canary-on"}, retry=ONCE) as client:
        assert not client.is_absent("B")
        await client.get("A")
        assert [client.is_absent(name) for name in ("A", "B", "FLAG")] == [False, True, False]
    assert manager.calls == [("get", "all")]


async def test_a_name_that_no_secret_can_have_is_an_error():
    """As ``get`` says."""
    async with client_of(Manager()) as client:
        with pytest.raises(InvalidNameError):
            client.is_absent("")
