"""A compare-and-set is acknowledged only for our own write, and what became of one that was not answered is decided."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from asyncsecrets.client import SecretsClient
from asyncsecrets.client.puts import Put, put
from asyncsecrets.errors import (
    AccessDeniedError,
    ConflictError,
    SecretNotFoundError,
    UnavailableError,
    WriteOutcomeUnknownError,
)
from asyncsecrets.retry import RetryPolicy
from asyncsecrets.secret import Payload, Secret
from asyncsecrets.testing.virtual_time import VirtualClock
from tests.client.able import Able
from tests.client.support import client_of, denied, in_virtual_time, virtual_client

OURS, THEIRS, BEFORE = '{"n": 2}', '{"n": 3}', '{"n": 1}'

Step = Callable[["Contested", Callable[[], Awaitable[Any]]], Awaitable[Any]]


def _unanswered(name: str) -> UnavailableError:
    return UnavailableError("memory: no answer", provider="memory", name=name, outcome_unknown=True)


class Contested(Able):
    """A manager to which others write. ``script``: what happens to each of our tries, in letters.

    ``a``: it is applied (or refused); ``t``: others write another value; ``e``: others write an equal one; ``d``: it is
    denied; ``l``: it is applied three seconds later. Nothing of this is answered, but a refusal and ``ok``.
    """

    def __init__(self, *script: str) -> None:
        super().__init__(NAME=BEFORE)
        self.tries = list(script)
        self.tokens: list[str] = []
        self.late: set[asyncio.Task[Any]] = set()
        self.tried_at: list[float] = []

    async def put(self, name: str, payload: Payload, *, cas: str | None = None, token: str = "") -> Secret:
        self.tokens.append(token)
        make = super().put
        return await self._try(name, lambda: make(name, payload, cas=cas, token=token))

    async def patch(self, name: str, changes: Mapping[str, Any], *, cas: str | None = None) -> str:
        make = super().patch
        return str(await self._try(name, lambda: make(name, changes, cas=cas)))

    async def _try(self, name: str, make: Callable[[], Awaitable[Any]]) -> Any:
        self.tried_at.append(asyncio.get_running_loop().time())
        tried = self.tries.pop(0) if self.tries else "ok"
        if tried == "ok":
            return await make()
        for letter in tried:
            if letter == "a":
                await make()
            elif letter == "d":
                raise denied(name)
            elif letter == "l":
                self.late.add(asyncio.ensure_future(self._late(make)))
            elif letter in "te":
                self.set(name, THEIRS if letter == "t" else OURS)
        raise _unanswered(name)

    async def _late(self, make: Callable[[], Awaitable[Any]]) -> None:
        await asyncio.sleep(3)
        await make()


WAYS: dict[str, Callable[[SecretsClient], Awaitable[Secret]]] = {
    "put": lambda client: client.put("NAME", OURS, cas="1"),
    "patch": lambda client: client.patch("NAME", {"n": 2}, cas="1"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("script", [("-",), ("-", "-"), ("", "-")])
async def test_it_is_made_again(way: str, script: tuple[str, ...]) -> None:
    """Under the same cas, which makes it once, and the same token."""
    manager = Contested(*script)
    async with client_of(manager) as client:
        assert (await WAYS[way](client)).version == "2"
    assert len(set(manager.tokens)) <= 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("t", ConflictError),  # theirs is in the place of ours
        ("te", ConflictError),  # and so it is when another one follows, whatever that holds
        ("tt", ConflictError),
        ("e", WriteOutcomeUnknownError),  # who could tell it from ours?
        ("a", WriteOutcomeUnknownError),  # nor ours from theirs
        ("at", WriteOutcomeUnknownError),
        ("et", WriteOutcomeUnknownError),
    ],
)
async def test_what_is_there_decides(way: str, script: str, expected: type[Exception]) -> None:
    manager = Contested(script)
    async with client_of(manager) as client:
        with pytest.raises(expected, match="'NAME'") as caught:
            await WAYS[way](client)
        assert "canary" not in str(caught.value)
        current = json.loads((await client.get("NAME")).reveal())
        assert current == json.loads((await manager.get("NAME")).reveal())


@pytest.mark.parametrize("way", WAYS)
def test_what_cannot_arrive_any_more_was_not_applied(way: str) -> None:
    """The version is unchanged when the deadline of the last try has passed: it may be made again."""
    manager = Contested("-", "-", "-")

    async def main(clock: VirtualClock) -> None:
        async with virtual_client(clock, manager) as client:
            began = asyncio.get_running_loop().time()
            with pytest.raises(UnavailableError, match="was not applied: version 1 is still current") as caught:
                await WAYS[way](client)
            assert not caught.value.outcome_unknown
            assert caught.value.transient
            assert 5 <= asyncio.get_running_loop().time() - began < 10
            assert (await WAYS[way](client)).version == "2"

    in_virtual_time(main)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("last", ["-", "d"])
def test_what_arrives_late_is_waited_for(way: str, last: str) -> None:
    """Also where the try after it is refused for a reason of its own."""
    manager = Contested("l", last, "-")

    async def main(clock: VirtualClock) -> None:
        async with virtual_client(clock, manager) as client:
            with pytest.raises(WriteOutcomeUnknownError):
                await WAYS[way](client)

    in_virtual_time(main)
    assert len(manager._secrets["NAME"]) == 2


@pytest.mark.parametrize("way", WAYS)
async def test_what_is_refused_at_first_is_refused(way: str) -> None:
    manager = Contested("d")
    async with client_of(manager) as client:
        with pytest.raises(AccessDeniedError):
            await WAYS[way](client)
    assert len(manager.tries) == 0


async def test_that_nobody_may_read_leaves_it_unknown() -> None:
    manager = Contested("t")

    async def before(operation: str, name: str) -> None:
        if operation == "get":
            raise denied(name)

    manager.before = before
    async with client_of(manager, retry=RetryPolicy(attempts=1)) as client:
        with pytest.raises(WriteOutcomeUnknownError):
            await client.put("NAME", OURS, cas="1")


async def test_of_a_secret_that_is_not_there() -> None:
    """Cas "0": somebody else made it, with another value or an equal one."""
    for script, expected in [("t", ConflictError), ("e", WriteOutcomeUnknownError)]:
        manager = Contested(script)
        manager.remove("NAME")
        async with client_of(manager) as client:
            with pytest.raises(expected):
                await client.put("NAME", OURS, cas="0")


@pytest.mark.parametrize("way", WAYS)
async def test_what_this_client_knew_to_be_lost(way: str) -> None:
    """It has read a later version before it sent the write, which then cannot have been applied, whatever is there."""
    manager = Contested("a")
    async with client_of(manager) as client:
        manager.set("NAME", OURS)
        await client.get("NAME")
        manager.tries = ["-", "-", "-"]
        with pytest.raises(ConflictError):
            await WAYS[way](client)


@pytest.mark.parametrize("way", WAYS)
def test_it_is_made_again_at_once_and_then_after_a_pause(way: str) -> None:
    """Most often it was a connection that had been idle for too long."""
    manager = Contested("-", "-")

    async def main(clock: VirtualClock) -> None:
        async with virtual_client(clock, manager) as client:
            await WAYS[way](client)

    in_virtual_time(main)
    first, second, third = manager.tried_at
    assert (second - first, third - second) == (0, pytest.approx(0.05))


@pytest.mark.parametrize("way", WAYS)
async def test_it_is_made_again_also_where_nothing_else_is(way: str) -> None:
    """``attempts=1`` is for what would be asked twice; this asks what became of the first."""
    async with client_of(Contested("-"), retry=RetryPolicy(attempts=1)) as client:
        assert (await WAYS[way](client)).version == "2"


@pytest.mark.parametrize("way", WAYS)
def test_what_was_not_applied_leaves_a_value_that_is_asked_for_anew(way: str) -> None:
    """Somebody else may have written since, whose version nobody here has read."""
    manager = Contested("-", "-", "-")

    async def main(clock: VirtualClock) -> None:
        async with virtual_client(clock, manager) as client:
            await client.get("NAME")
            with pytest.raises(UnavailableError, match="was not applied"):
                await WAYS[way](client)
            await asyncio.sleep(1)
            asked = manager.calls.count(("get", "NAME"))
            assert asked == 4  # by the reader, to see what became of it, after the last could have arrived, and anew

    in_virtual_time(main)


async def test_what_was_begun_elsewhere_has_not_lost_to_what_is_known_since() -> None:
    """On an event loop that is gone it may have been applied, and that is what was read."""
    manager = Contested()
    async with client_of(manager) as client:
        source, write = client._sources["default"], Put("NAME", Secret(OURS, name="NAME"), "1")
        manager.set("NAME", OURS)
        await client.get("NAME")
        with pytest.raises(WriteOutcomeUnknownError):
            await put(source, write, interrupted=True)


async def test_of_a_secret_that_may_have_been_there_before() -> None:
    """Cas "0" says nothing of the version that it would become: the first one may be of long ago."""
    manager = Contested("tt")
    manager.remove("NAME")
    async with client_of(manager) as client:
        with pytest.raises(WriteOutcomeUnknownError):
            await client.put("NAME", OURS, cas="0")


class Gone(Contested):
    """One whose current version, ``last``, was deleted; None: there never was one."""

    last: str | None = None

    async def get(self, name: str, version: str | None = None) -> Secret:
        raise SecretNotFoundError("memory: gone", provider="memory", name=name, reason="deleted", version=self.last)


@pytest.mark.parametrize(("cas", "last"), [("0", None), ("1", "1")])
def test_of_a_secret_that_is_still_gone_it_was_not_applied(cas: str, last: str | None) -> None:
    """What is compared with is the version that was deleted, where there is one, and else "0"."""

    async def main(clock: VirtualClock) -> None:
        manager = Gone("-", "-", "-")
        manager.last = last
        async with virtual_client(clock, manager) as client:
            with pytest.raises(UnavailableError, match=f"was not applied: version {cas} is still current") as caught:
                await client.put("NAME", OURS, cas=cas)
            assert not caught.value.outcome_unknown

    in_virtual_time(main)


@pytest.mark.parametrize(("cas", "last"), [("0", "1"), ("1", None), ("1", "2")])
async def test_of_a_secret_that_was_deleted_since_nobody_knows(cas: str, last: str | None) -> None:
    """Ours may have been applied before."""
    manager = Gone("-", "-", "-")
    manager.last = last
    async with client_of(manager) as client:
        with pytest.raises(WriteOutcomeUnknownError):
            await client.put("NAME", OURS, cas=cas)


class Named(Contested):
    """One whose versions are no numbers, and which does not tell their order."""

    async def get(self, name: str, version: str | None = None) -> Secret:
        return Secret(self._secrets[name][-1].payload, name=name, version=f"v{self._current(name)}")


@pytest.mark.parametrize(("cas", "script"), [("v1", "t"), ("1", "t")])
async def test_without_an_order_of_versions_nobody_knows(cas: str, script: str) -> None:
    """Whether ours was there before what is there now."""
    async with client_of(Named(script, "-", "-")) as client:
        with pytest.raises(WriteOutcomeUnknownError):
            await client.put("NAME", OURS, cas=cas)


async def test_without_versions_nobody_knows_either() -> None:
    """What is there now may be anybody's."""

    class Plain(Contested):
        async def get(self, name: str, version: str | None = None) -> Secret:
            return Secret(self._secrets[name][-1].payload, name=name)

    async with client_of(Plain("t", "-", "-")) as client:
        with pytest.raises(WriteOutcomeUnknownError):
            await client.put("NAME", OURS, cas="1")


def test_a_conflict_with_nothing_is_not_waited_for() -> None:
    """The manager has refused it though the version is unchanged: what follows from that, nobody knows."""

    class Odd(Contested):
        async def _try(self, name: str, make: Callable[[], Awaitable[Any]]) -> Any:
            if self.tried_at:
                raise ConflictError("memory: no", provider="memory", name=name)
            return await super()._try(name, make)

    async def main(clock: VirtualClock) -> None:
        async with virtual_client(clock, Odd("-")) as client:
            began = clock.monotonic()
            with pytest.raises(WriteOutcomeUnknownError):
                await client.put("NAME", OURS, cas="1")
            assert clock.monotonic() - began < 1

    in_virtual_time(main)


def test_a_value_that_cannot_be_read_back_is_asked_for_soon() -> None:
    """It is served meanwhile, as in any outage."""

    async def main(clock: VirtualClock) -> None:
        manager = Contested("a")
        async with virtual_client(clock, manager) as client:
            await client.get("NAME")

            async def before(operation: str, name: str) -> None:
                manager.calls.append((operation, name))
                if operation == "get":
                    raise denied(name)

            manager.before = before
            with pytest.raises(WriteOutcomeUnknownError):
                await client.put("NAME", OURS, cas="1")
            manager.before = manager._before
            assert (await client.get("NAME")).reveal() == BEFORE
            await asyncio.sleep(5)
            assert (await client.get("NAME")).reveal() == OURS

    in_virtual_time(main)


def test_a_try_that_hangs_leaves_time_to_decide() -> None:
    """It is given up before the deadline of the whole, made again, and done."""

    class Mute(Contested):
        async def _try(self, name: str, make: Callable[[], Awaitable[Any]]) -> Any:
            if not self.tried_at:
                self.tried_at.append(0.0)
                await asyncio.sleep(3_600)
            return await super()._try(name, make)

    async def main(clock: VirtualClock) -> None:
        async with virtual_client(clock, Mute()) as client:
            began = clock.monotonic()
            assert (await client.put("NAME", OURS, cas="1")).version == "2"
            assert clock.monotonic() - began < 10

    in_virtual_time(main)


async def test_a_cas_that_is_no_version_there_is_told_of_as_well() -> None:
    """It is not reckoned with; whether the manager took it for one, nobody knows."""
    async with client_of(Contested("t", "-", "-")) as client:
        with pytest.raises(WriteOutcomeUnknownError):
            await client.put("NAME", OURS, cas="v1")


class Pruning(Contested):
    """One that leaves nulls within lists out of a patch."""

    async def patch(self, name: str, changes: Mapping[str, Any], *, cas: str | None = None) -> str:
        return await super().patch(name, {"list": [{"b": 1}]}, cas=cas)


async def test_a_null_within_a_list_is_not_told() -> None:
    """What the manager made of it may be ours; one that is no item of a list removes its member, everywhere."""
    for changes, expected in [
        ({"list": [{"a": None, "b": 1}]}, WriteOutcomeUnknownError),
        ({"inside": {"list": [[None]]}}, WriteOutcomeUnknownError),
        ({"list": [{"b": 2}], "n": None}, ConflictError),
    ]:
        async with client_of(Pruning("a")) as client:
            with pytest.raises(expected):
                await client.patch("NAME", changes, cas="1")


class Tokens(Contested):
    """One whose versions bear the tokens of their writes, and which knows what was current before."""

    previous_version = "PREVIOUS"

    def __init__(self, *script: str) -> None:
        super().__init__(*script)
        self.ids = ["1"]

    def set(self, name: str, payload: Payload) -> str:
        super().set(name, payload)
        if len(self._secrets[name]) > 1:
            self.ids.append(f"theirs-{len(self._secrets[name])}")
        return self._current(name)

    def _current(self, name: str) -> str:
        return self.ids[-1] if hasattr(self, "ids") else "1"

    async def put(self, name: str, payload: Payload, *, cas: str | None = None, token: str = "") -> Secret:
        async def make() -> Secret:
            if token == self.ids[-1]:
                return await self.get(name)
            if cas != self.ids[-1]:
                raise ConflictError("tokens: lost", provider="memory", name=name)
            self.set(name, payload)
            self.ids[-1] = token
            return await self.get(name)

        self.tokens.append(token)
        written: Secret = await self._try(name, make)
        return written

    async def get(self, name: str, version: str | None = None) -> Secret:
        index = {None: -1, "PREVIOUS": -2}.get(version) or self.ids.index(str(version))
        return Secret(self._secrets[name][index].payload, name=name, version=self.ids[index])


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("a", None),  # repeated, it is known again
        ("at", None),  # it was applied, and others have written since
        ("t", ConflictError),
        ("e", WriteOutcomeUnknownError),
        ("att", WriteOutcomeUnknownError),
        ("tt", WriteOutcomeUnknownError),
    ],
)
async def test_a_token_proves_it(script: str, expected: type[Exception] | None) -> None:
    manager = Tokens(script)
    async with client_of(manager) as client:
        if expected is None:
            written = await client.put("NAME", OURS, cas="1")
            assert (written.version, written.reveal()) == (manager.tokens[0], OURS)
        else:
            with pytest.raises(expected):
                await client.put("NAME", OURS, cas="1")
        assert (await client.get("NAME")).equals(await manager.get("NAME"))


class Forgetful(Tokens):
    """One whose previous version is gone: it says which one it was, and no more."""

    async def get(self, name: str, version: str | None = None) -> Secret:
        if version is None:
            return await super().get(name)
        raise SecretNotFoundError("tokens: gone", provider="memory", name=name, reason="deleted", version=self.ids[-2])


async def test_a_token_of_a_version_that_is_gone_proves_nothing() -> None:
    """What it held, and whose it was, nobody can see any more."""
    async with client_of(Forgetful("t")) as client:
        with pytest.raises(WriteOutcomeUnknownError):
            await client.put("NAME", OURS, cas="1")


@pytest.mark.parametrize("seed", range(10))
def test_counting(seed: int) -> None:
    """Eight writers count, and a tenth of their requests is lost, applied without an answer, or applied late."""
    dice = random.Random(seed)
    counts = dict.fromkeys(("acknowledged", "unknown", "refused"), 0)

    class Lossy(Contested):
        async def _try(self, name: str, make: Callable[[], Awaitable[Any]]) -> Any:
            self.tries = [dice.choice(["-", "a", "l"]) if dice.random() < 0.1 else "ok"]
            await asyncio.sleep(dice.random() / 100)
            answer = await super()._try(name, make)
            await asyncio.sleep(dice.random() / 100)
            return answer

        async def _late(self, make: Callable[[], Awaitable[Any]]) -> None:
            await asyncio.sleep(3)
            try:
                await make()
            except ConflictError:
                counts["refused"] += 1

    manager = Lossy()
    manager.set("NAME", "0")

    async def write(client: SecretsClient) -> None:
        for _ in range(20):
            read = await client.refresh("NAME")
            try:
                await client.put("NAME", str(int(read.reveal()) + 1), cas=read.version)
            except (ConflictError, UnavailableError):
                continue
            except WriteOutcomeUnknownError:
                counts["unknown"] += 1
            else:
                counts["acknowledged"] += 1

    async def main(clock: VirtualClock) -> None:
        clients = [virtual_client(clock, manager) for _ in range(8)]
        await asyncio.gather(*(client.start() for client in clients))
        await asyncio.gather(*(write(client) for client in clients))
        await asyncio.sleep(10)
        await asyncio.gather(*(client.aclose() for client in clients))

    in_virtual_time(main)
    final = int(str(manager._secrets["NAME"][-1].payload))
    assert counts["acknowledged"] <= final <= counts["acknowledged"] + counts["unknown"]
    assert counts["acknowledged"] > 10
