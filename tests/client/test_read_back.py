"""A put or a delete that was not answered is read back of who takes the writes, and what is found is judged."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from asyncsecrets.client import SecretsClient
from asyncsecrets.errors import SecretNotFoundError, UnavailableError, WriteOutcomeUnknownError
from asyncsecrets.secret import Payload, Secret
from asyncsecrets.testing.virtual_time import VirtualClock
from tests.client.lagging import Lagging, LaggingCluster
from tests.client.support import in_virtual_time, virtual_client


class Losing(LaggingCluster):
    """One to which the next ``lose`` writes do not come. ``guards_writes``: whether a put that is made again says which
    version it replaces."""

    guards_writes = False
    lose = 0

    async def put(self, name: str, payload: Payload, *, cas: str | None = None, token: str = "") -> Secret:
        self._lost(name)
        return await super().put(name, payload, cas=cas, token=token)

    async def delete(self, name: str) -> None:
        self._lost(name)
        await super().delete(name)

    def _lost(self, name: str) -> None:
        if self.lose:
            self.lose -= 1
            raise UnavailableError("memory: no answer", provider="memory", name=name, outcome_unknown=True)


class LosingAlone(Losing):
    """One of which no other node can be asked."""

    get_current = None  # type: ignore[assignment]
    may_lag = None  # type: ignore[assignment]


def run(manager: Lagging, main: Callable[[SecretsClient], Awaitable[None]], **options: Any) -> None:
    async def with_client(clock: VirtualClock) -> None:
        async with virtual_client(clock, manager, **{"refresh_interval": 86_400.0, **options}) as client:
            await main(client)

    in_virtual_time(with_client)


@pytest.mark.parametrize("guards", [True, False])
@pytest.mark.parametrize("warm", [True, False])
def test_the_value_of_before_is_not_ours(guards: bool, warm: bool) -> None:
    """On, off, on again: a node that lags has *on*, as the version of long ago."""
    manager = Losing(NAME="canary-on")
    manager.guards_writes = guards

    async def main(client: SecretsClient) -> None:
        await client.get("NAME")
        manager.lag()
        assert (await client.put("NAME", "canary-off")).version == "2"
        if not warm:
            client.invalidate("NAME")
        manager.lose = 1
        assert (await client.put("NAME", "canary-on")).version == "3"
        assert manager._current("NAME") == "3"
        assert (await client.get("NAME")).version == "3"

    run(manager, main)


@pytest.mark.parametrize("warm", [True, False])
def test_nor_is_the_same_value_of_before(warm: bool) -> None:
    manager = Losing(NAME="canary-on")

    async def main(client: SecretsClient) -> None:
        await client.put("NAME", "canary-off")
        if not warm:
            client.invalidate("NAME")
        manager.lose = 1
        assert (await client.put("NAME", "canary-off")).version == "3"

    run(manager, main)


def test_what_stays_behind_decides_nothing() -> None:
    """Nobody else can be asked: nothing is acknowledged, and what was acknowledged before is served on."""
    manager = LosingAlone(NAME="canary-on")

    async def main(client: SecretsClient) -> None:
        await client.get("NAME")
        manager.lag(30)
        await client.put("NAME", "canary-off")
        manager.lose = 1
        with pytest.raises(WriteOutcomeUnknownError):
            await client.put("NAME", "canary-on")
        for _ in range(8):
            assert (await client.get("NAME")).equals("canary-off")
            await asyncio.sleep(5)

    run(manager, main)


@pytest.mark.parametrize("kind", [Losing, LosingAlone])
def test_a_delete_after_it_was_made_anew(kind: type[Losing]) -> None:
    """A node that knows of the end of the first one only says that there is nothing."""
    manager = kind(NAME="canary-1")

    async def main(client: SecretsClient) -> None:
        await client.destroy("NAME")
        manager.lag()
        await client.put("NAME", "canary-anew")
        manager.lose = 1
        if kind is LosingAlone:
            with pytest.raises(WriteOutcomeUnknownError):
                await client.delete("NAME")
            assert manager._current("NAME") == "1"
            return
        await client.delete("NAME")
        with pytest.raises(SecretNotFoundError) as caught:
            await manager.get_current("NAME")
        assert caught.value.reason == "deleted"

    run(manager, main)


def test_what_others_wrote_meanwhile_is_their_rotation(caplog: pytest.LogCaptureFixture) -> None:
    """It is served, and told as what it is."""
    caplog.set_level(logging.INFO, "asyncsecrets.rotation")
    manager = Losing(NAME="canary-1")

    async def main(client: SecretsClient) -> None:
        await client.get("NAME")
        manager.set("NAME", "canary-theirs")
        manager.lose = 1
        with pytest.raises(WriteOutcomeUnknownError):
            await client.put("NAME", "canary-ours")
        assert (await client.get("NAME")).equals("canary-theirs")
        assert "this client has read version 2" in client._sources["default"].known.describe("NAME")

    run(manager, main)
    assert "NAME (version 1 -> 2)" in caplog.text


def test_what_was_found_does_not_undo_what_is_known_by_then() -> None:
    manager = Losing(NAME="canary-1")

    async def main(client: SecretsClient) -> None:
        before = await client.get("NAME")
        await client.put("NAME", "canary-2")
        client._sources["default"].effects.found("NAME", before)
        client.invalidate("NAME")
        manager.lag(-1)
        assert (await client.get("NAME")).equals("canary-2")
        client._sources["default"].effects.found("NAME", before)
        assert (await client.get("NAME")).equals("canary-2")

    run(manager, main)
