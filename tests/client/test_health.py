"""What a client that is asked how it is says of names that were served, or are required, and cannot be had."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from asyncsecrets import SecretsClient
from asyncsecrets.client.status import Health
from asyncsecrets.config import Freshness, SourceConfig
from asyncsecrets.errors import AsyncSecretsError, ConflictError, DecodeError, ResolveError, WriteOutcomeUnknownError
from asyncsecrets.testing.virtual_time import VirtualClock
from tests.client.able import Able
from tests.client.support import (
    ONCE,
    Failure,
    client_of,
    client_with,
    denied,
    down,
    in_virtual_time,
    settled,
    virtual_client,
    virtual_options,
)
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
        await client.delete("NAME", versions=["1"])
        await settled()
        assert client.health() == Health("down", (), ("NAME",), ("default",))
        await client.put("NAME", '{"a": "canary-3"}')
        assert client.health() == WELL

    told(story, Unreadable(NAME='{"a": "canary-1"}'))


class Unreadable(Able):
    """A manager that does all but read."""

    async def _before(self, operation: str, name: str) -> None:
        if operation == "get":
            await super()._before(operation, name)


def test_what_is_required_is_fetched_once_the_source_answers_again() -> None:
    """By itself: nobody may ask for it as long as this program is not ready."""

    async def story(client: SecretsClient, manager: Able) -> None:
        await client.warm_up(["NAME", "OTHER"])
        manager.failure = down
        client.invalidate("NAME")
        await fails(client, "NAME")
        assert client.health() == Health("down", (), ("NAME",), ("default",))
        manager.failure = None
        await client.refresh("OTHER")
        await settled()
        assert client.health() == WELL
        assert client.peek("NAME") is None  # nobody has asked for its view
        manager.calls.clear()
        await client.get("NAME")
        assert manager.calls == []

    told(story, Able(NAME="canary-1", OTHER="canary-2"))


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


PLACES: dict[str, tuple[dict[str, Any], str, str]] = {
    "a member of the primary secret": ({"primary_secret_name": "ALL", "hosted_keys": frozenset({"a", "b"})}, "a", "a"),
    "a field of a member": ({"primary_secret_name": "ALL"}, "secret:///c?field=a", "c, field a"),
    "a field": ({}, "secret:///ALL?field=a", "ALL, field a"),
    "a field by its path": ({}, "secret:///ALL?field=/c/a", "ALL, field /c/a"),
    "a field of a version": ({}, "secret:///ALL?version=1&field=a", "ALL, version 1, field a"),
    "the field of all secrets": ({"hosted_keys": frozenset({"ALL"})}, "ALL", "ALL"),
}
WHOLE = '{"a": "canary-a", "b": "canary-b", "c": {"a": "canary-ca"}, "key": "canary-key"}'
LACKING = ['{"b": "canary-b", "c": {}}', "canary-no-json"]


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("payload", LACKING)
@pytest.mark.parametrize("cached", [True, False])
def test_what_is_required_and_not_in_its_secret_is_missing(where: str, payload: str, cached: bool) -> None:
    """By its name, and until it is there; whatever else is asked of the source, and by others of the same secret."""
    given, reference, name = PLACES[where]
    manager = Fielded(ALL=payload) if where == "the field of all secrets" else Able(ALL=payload)

    async def main(clock: VirtualClock) -> None:
        config = SourceConfig(
            name="default", system="memory", freshness=Freshness(refresh_interval=600.0, cached=cached), **given
        )
        options = {**virtual_options(clock), "retry": ONCE}
        with listening() as log:
            async with client_with({"default": (config, manager)}, **options) as client:
                if "hosted_keys" in given:
                    with pytest.raises(AsyncSecretsError):
                        await (client.refresh if cached else client.get)(reference)
                else:
                    with pytest.raises(ResolveError):
                        await client.warm_up([reference])
                assert client.health() == Health("down", (), (name,), ("default",))
                await settled()
                ((level, text),) = log.take()
                assert (level, f" cannot serve 1 secret ({name}): " in text) == ("ERROR", True)
                await (client.list() if payload == LACKING[1] else client.get("secret://default/ALL?field=b"))
                assert client.health().missing == (name,)
                if "version" in where:
                    return
                manager.set("ALL", WHOLE)
                await (asyncio.sleep(1_200) if cached else client.get(reference))  # it is renewed, or read anew
                await settled()
                assert client.health() == WELL
                assert [line for line in log.levels() if line != "INFO"] == []

    in_virtual_time(main)


class Fielded(Able):
    """A manager whose secrets are JSON objects with the value in ``key``."""

    default_field = "key"


def test_what_was_served_and_is_required_is_missing_once_it_is_gone_from_its_secret() -> None:
    """Without anybody asking for it, and also while the rest of the source cannot be reached."""

    async def story(client: SecretsClient, manager: Able) -> None:
        await client.warm_up(["secret:///ALL?field=a", "OTHER"])
        manager.set("ALL", '{"b": "canary-b"}')
        await asyncio.sleep(1_200)
        gone = Health("down", (), ("ALL, field a",), ("default",))
        assert client.health() == gone
        manager.failure = down
        await asyncio.sleep(1_200)
        await fails(client, "secret:///ALL?field=a")  # which is no answer of the manager's
        assert (client.health().stale, client.health().missing) == (("ALL", "OTHER"), gone.missing)
        manager.failure = None
        await asyncio.sleep(1_200)
        assert client.health() == gone
        manager.set("ALL", WHOLE)
        await client.refresh("ALL")
        assert client.health() == WELL

    told(story, Able(ALL=WHOLE, OTHER='{"a": "canary-o"}'), refresh_interval=600.0, max_stale=10_000.0)


def test_what_the_environment_has_after_all_is_not_missing() -> None:
    """It stands in for a member as for a secret."""
    manager, environ = Able(ALL='{"b": "canary-b"}'), {"OTHER": "canary-o"}

    async def main(clock: VirtualClock) -> None:
        config = SourceConfig(name="default", system="memory", primary_secret_name="ALL")
        options = {**virtual_options(clock), "environ": environ}
        async with client_with({"default": (config, manager)}, **options) as client:
            with pytest.raises(ResolveError):
                await client.warm_up(["a"])
            assert client.health() == Health("down", (), ("a",), ("default",))
            environ["a"] = "canary-e"
            await settled()
            await client.get("a")
            assert client.health() == WELL
            await settled()
            assert log.levels() == ["ERROR", "INFO"]

    with listening() as log:
        in_virtual_time(main)


def test_a_field_that_nobody_requires_is_missed_by_nobody() -> None:
    """Who asks chooses the field: also of a secret that is required as a whole."""

    async def story(client: SecretsClient, manager: Able) -> None:
        await client.warm_up(["ALL"])
        await fails(client, "secret:///ALL?field=nope")
        with pytest.raises(DecodeError):
            await client.get("ALL", field="a.b")
        assert client.health() == WELL
        await client.get("secret:///ALL?field=a")
        manager.set("ALL", '{"b": "canary-b"}')
        await client.refresh("ALL")
        assert client.health() == WELL
        assert not client._sources["default"].views._lacking  # or it would grow with what callers ask

    told(story, Able(ALL=WHOLE))


ASKED: dict[str, Change] = {
    "list": lambda client: client.list(),
    "versions": lambda client: client.versions("NAME"),
    "metadata": lambda client: client.metadata("NAME"),
    "get": lambda client: client.get("NAME"),
}


@pytest.mark.parametrize("ask", ASKED)
@pytest.mark.parametrize("limit", [0.5, 5.0])
def test_a_source_that_everybody_gives_up_on_has_not_answered(ask: str, limit: float) -> None:
    """A probe that allows a second, less than a connection may take: else it would find all well for ever."""

    async def story(client: SecretsClient, manager: Able) -> None:
        client._sources["default"]._keeps = False
        manager.gate = asyncio.Event()
        seen = []
        for _ in range(5):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(limit):
                    await ASKED[ask](client)
            seen.append(client.health().state)
        assert seen == (["down"] * 5 if limit > 2 else ["fresh"] * 3 + ["down"] * 2)  # as long as it may take
        assert client.health() == Health("down", (), (), ("default",))
        (status,) = [status for status in client.status() if status.name == "default"]
        assert status.last_error_message == (
            "memory: nobody was answered yet, and whoever asked has given up; is it reachable, and is it slow?"
        )
        manager.gate.set()
        await client.get("NAME")
        assert client.health() == WELL
        manager.gate = asyncio.Event()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await ASKED[ask](client)
        assert client.health() == WELL  # slow, for whoever has no time

    told(story, Able(NAME="canary-1"))


def test_that_a_secret_is_absent_is_an_answer_also_where_the_environment_stands_in() -> None:
    """The manager was asked, and is well."""

    async def main(clock: VirtualClock) -> None:
        manager = Able()
        with listening():
            async with client_of(manager, {"NAME": "canary-e"}, retry=ONCE, **virtual_options(clock)) as client:
                manager.failure = down
                await fails(client, "NAME")
                assert client.health().state == "down"
                manager.failure = None
                assert (await client.get("NAME")).source == "environment"
                assert client.health() == WELL

    in_virtual_time(main)
