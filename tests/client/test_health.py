"""What a client that is asked how it is says of names that were served, or are required, and cannot be had."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from asyncsecrets import SecretsClient
from asyncsecrets.client.status import Health
from asyncsecrets.errors import AsyncSecretsError, ConflictError, WriteOutcomeUnknownError
from asyncsecrets.testing.virtual_time import VirtualClock
from tests.client.able import Able
from tests.client.support import ONCE, Failure, denied, down, in_virtual_time, settled, virtual_client
from tests.operators import listening

WELL = Health("fresh", (), (), ())
Change = Callable[[SecretsClient], Awaitable[Any]]


def told(story: Callable[[SecretsClient, Able], Coroutine[Any, Any, None]], manager: Able, **options: Any) -> None:
    """Play ``story`` in virtual time."""

    async def main(clock: VirtualClock) -> None:
        with listening():
            async with virtual_client(clock, manager, **({"retry": ONCE} | options)) as client:
                await story(client, manager)

    in_virtual_time(main)


async def fails(client: SecretsClient, name: str) -> None:
    with pytest.raises(AsyncSecretsError):
        await client.get(name)
    await settled()


async def conflicts(change: Awaitable[Any]) -> None:
    with pytest.raises(ConflictError):
        await change


async def undecided(change: Awaitable[Any]) -> None:
    with pytest.raises(WriteOutcomeUnknownError):
        await change


LEFT: dict[str, Change] = {
    "a compare-and-set that lost": lambda client: conflicts(client.put("NAME", "canary-own", cas="1")),
    "a patch that lost": lambda client: conflicts(client.patch("NAME", {"a": "canary-own"}, cas="1")),
    "an old version deleted": lambda client: client.delete("NAME", versions=["1"]),
    "an old version restored": lambda client: client.restore("NAME", versions=["1"]),
    "an old version destroyed": lambda client: client.destroy("NAME", versions=["1"]),
}
TAKEN: dict[str, Change] = {
    "deleted": lambda client: client.delete("NAME"),
    "destroyed": lambda client: client.destroy("NAME"),
    "its version deleted": lambda client: client.delete("NAME", versions=["1", "2"]),
    "its version destroyed": lambda client: client.destroy("NAME", versions=["2"]),
}


@pytest.mark.parametrize("how", [*LEFT, *TAKEN])
@pytest.mark.parametrize("cached", [True, False])
def test_what_a_change_took_out_of_the_cache_is_missed_unless_it_took_it_away(how: str, cached: bool) -> None:
    """It was served, and whoever asks for it now gets nothing: that is no matter of one call that failed."""

    async def story(client: SecretsClient, manager: Able) -> None:
        client._sources["default"]._keeps = cached
        manager.set("NAME", '{"a": "canary-2"}')
        await client.get("NAME")
        await (LEFT | TAKEN)[how](client)
        assert client.health() == WELL  # nobody has asked
        manager.failure = down
        await fails(client, "NAME")
        if how in LEFT:
            assert client.health() == Health("down", (), ("NAME",), ("default",))
        elif cached:  # else whose version was deleted is not known here
            assert client.health() == Health("degraded", (), (), ("default",))
        manager.failure = None
        if how in LEFT:
            await client.get("NAME")
        else:
            await fails(client, "NAME")
        assert client.health() == WELL

    told(story, Able(NAME='{"a": "canary-1"}'))


def test_what_a_change_of_unknown_outcome_took_out_of_the_cache_is_missed() -> None:
    """It was deleted by somebody else while our compare-and-set was under way, and may be there again by that."""

    async def story(client: SecretsClient, manager: Able) -> None:
        await client.get("NAME")
        manager.remove("NAME")
        await undecided(client.patch("NAME", {"a": "canary-2"}, cas="1"))
        manager.failure = down
        await fails(client, "NAME")
        assert client.health() == Health("down", (), ("NAME",), ("default",))

    told(story, Able("lost", "lost", "lost", NAME='{"a": "canary-1"}'))


def test_what_is_missing_stays_so_through_a_change_that_brings_nothing() -> None:
    """It is missing until it can be had, by whoever asks for it."""

    async def story(client: SecretsClient, manager: Able) -> None:
        manager.set("NAME", '{"a": "canary-2"}')
        await client.warm_up(["NAME"])
        manager.failure = down
        client.invalidate("NAME")
        await fails(client, "NAME")
        manager.failure = None
        await client.delete("NAME", versions=["1"])
        assert client.health() == Health("down", (), ("NAME",), ("default",))
        await client.put("NAME", '{"a": "canary-3"}')
        assert client.health() == WELL

    told(story, Able(NAME='{"a": "canary-1"}'))


@pytest.mark.parametrize("failure", [down, denied])
def test_what_is_read_anew_each_time_is_missing_when_it_cannot_be_had(failure: Failure) -> None:
    """Where nothing is cached there is nothing to serve meanwhile."""

    async def story(client: SecretsClient, manager: Able) -> None:
        client._sources["default"]._keeps = False
        await client.get("NAME")
        assert client.health() == WELL
        manager.failure = failure
        await fails(client, "NAME")
        assert client.health() == Health("down", (), ("NAME",), ("default",))
        await fails(client, "OTHER")
        assert client.health().missing == ("NAME",)  # the other was never served
        manager.failure = None
        await client.put("NAME", "canary-2")
        assert client.health() == WELL

    told(story, Able(NAME="canary-1"))
