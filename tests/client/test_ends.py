"""Secrets that end by themselves, through a client: what readers, watchers, ``status`` and ``explain`` get to see."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from asyncsecrets.errors import SecretNotFoundError, UnavailableError
from asyncsecrets.secret import Payload, Secret
from asyncsecrets.testing.virtual_time import VirtualClock
from tests.client.support import (
    NOON,
    ONCE,
    FieldManager,
    Manager,
    down,
    in_virtual_time,
    settled,
    text_of,
    value,
    watched_client,
)


class Ending(Manager):
    """A manager whose secrets end ``lasts`` seconds from now; it hands out what has ended if ``lenient``."""

    def __init__(self, clock: VirtualClock, lasts: float = 90.0, *, lenient: bool = False, **secrets: Payload) -> None:
        super().__init__(secrets)
        self._clock = clock
        self.lenient = lenient
        self.last(lasts)

    def last(self, seconds: float) -> None:
        """What there is now ends so many seconds from now."""
        self.ends = datetime.fromtimestamp(NOON + self._clock.boot_time() + seconds, UTC)

    async def get(self, name: str, version: str | None = None) -> Secret:
        secret = await super().get(name, version)
        if self.ends.timestamp() <= NOON + self._clock.boot_time() and not self.lenient:
            raise self._not_found(name, version)
        return self._ending(secret)

    async def put(self, name: str, payload: Payload, *, cas: str | None = None, token: str = "") -> Secret:
        return self._ending(await super().put(name, payload, cas=cas, token=token))

    def _ending(self, secret: Secret) -> Secret:
        payload = secret.reveal_bytes() if secret.is_binary else secret.reveal()
        return Secret(
            payload, name=secret.name, version=secret.version, created=secret.created, expires=self.ends,
            clock=self._clock.boot_time,
        )  # fmt: skip


class EndingFields(Ending, FieldManager):
    """The same, with values that are a member of an object."""


OPTIONS: dict[str, Any] = {"refresh_interval": 1_000.0, "max_stale": 1_000.0, "retry": ONCE}


def test_it_is_not_served_past_its_end_and_then_missed() -> None:
    """An outage over its end: served until then under every reference, and by nobody afterwards."""

    async def main(clock: VirtualClock) -> None:
        manager = EndingFields(clock, NAME='{"key": "canary-1", "other": "canary-2"}')
        async with watched_client(clock, manager, **OPTIONS) as client:
            read = await client.get_many(["NAME", "secret://default/NAME?field=other"])
            assert {secret.expires for secret in read.values()} == {manager.ends}
            manager.failure = down
            await asyncio.sleep(89.9)
            assert value(client.peek("NAME")) == client.texts["NAME"] == "canary-1"
            (status,) = [source for source in client.status() if source.secrets]
            assert status.values_end == pytest.approx(manager.ends, abs=timedelta(seconds=0.01))
            await asyncio.sleep(0.2)
            assert client.peek("NAME") is client.peek("secret://default/NAME?field=other") is None
            assert client.texts == {}
            assert client.health().missing == ("NAME",)
            with pytest.raises(UnavailableError):
                await client.get("NAME")
            manager.failure = None
            with pytest.raises(SecretNotFoundError):
                await client.get("NAME")

    in_virtual_time(main)


def test_its_successor_takes_its_place_without_a_reader_waiting() -> None:
    """Asked for before the end, with an end of its own."""

    async def main(clock: VirtualClock) -> None:
        manager = Ending(clock, NAME="canary-1")
        async with watched_client(clock, manager, **OPTIONS) as client:
            await client.get("NAME")
            manager.set("NAME", "canary-2")
            manager.last(5_000.0)
            await asyncio.sleep(85.0)
            assert value(client.peek("NAME")) == "canary-2"
            await asyncio.sleep(200.0)
            assert value(client.peek("NAME")) == "canary-2"

    in_virtual_time(main)


@pytest.mark.parametrize("write", [False, True])
def test_absent_is_believed_at_once_of_what_has_ended(write: bool) -> None:
    """It was read, or written, a moment ago: that is no sign of a node that lags."""

    async def main(clock: VirtualClock) -> None:
        manager = Ending(clock, 8.0, NAME="canary-1")
        async with watched_client(clock, manager, **OPTIONS) as client:
            await (client.put("NAME", "canary-2") if write else client.get("NAME"))
            await asyncio.sleep(8.01)
            manager.calls.clear()
            with pytest.raises(SecretNotFoundError):
                await client.get("NAME")
            assert manager.calls == [("get", "NAME")]

    in_virtual_time(main)


def test_one_that_has_ended_is_handed_on_and_not_kept() -> None:
    """A manager that gives it all the same is asked each time; all is well with it, and nobody is told of changes."""

    async def main(clock: VirtualClock) -> None:
        manager = Ending(clock, -10.0, lenient=True, NAME="canary-1")
        async with watched_client(clock, manager, **OPTIONS) as client:
            assert [await text_of(client, "NAME") for _ in range(3)] == ["canary-1"] * 3
            assert manager.calls == [("get", "NAME")] * 3
            assert client.peek("NAME") is None
            assert client.health().state == "fresh"
            written = await client.put("NAME", "canary-2")
            assert (written.expires, client.peek("NAME")) == (manager.ends, None)
            assert await text_of(client, "NAME") == "canary-2"

    in_virtual_time(main)


def test_one_that_ends_during_an_outage_and_is_handed_out_after_it_is_not_missing() -> None:
    """What was missed was answered; it is not kept, and that is no trouble."""

    async def main(clock: VirtualClock) -> None:
        manager = Ending(clock, lenient=True, NAME="canary-1")
        async with watched_client(clock, manager, **OPTIONS) as client:
            await client.warm_up(["NAME"])
            manager.failure = down
            await asyncio.sleep(100.0)
            with pytest.raises(UnavailableError):
                await client.get("NAME")
            assert client.health().state == "down"
            manager.failure = None
            await asyncio.sleep(10.0)
            assert await text_of(client, "NAME") == "canary-1"
            assert client.health().state == "fresh"

    in_virtual_time(main)


def test_status_and_explain_tell_when_it_ends() -> None:
    """Until when it is served, and when its manager ends it."""

    async def main(clock: VirtualClock) -> None:
        manager = Ending(clock, NAME="canary-1")
        async with watched_client(clock, manager, **OPTIONS) as client:
            assert client.explain("NAME").expires is None
            await client.get("NAME")
            (row,) = [row for source in client.status() for row in source.secrets]
            assert (row.ends, row.expires, row.state) == (pytest.approx(90.0), manager.ends, "fresh")
            assert row.next_renewal is not None
            assert 30.0 <= row.next_renewal < 90.0
            assert client.explain("NAME").expires == manager.ends
            manager.last(50_000.0)
            await client.refresh("NAME")
            (row,) = [row for source in client.status() for row in source.secrets]
            assert (row.ends, row.expires) == (pytest.approx(2_000.0, abs=1), manager.ends)

    in_virtual_time(main)


def test_a_watcher_is_told_of_its_end() -> None:
    """By the error that says that it is gone; and of nothing while the manager hands the same value on."""

    async def main(clock: VirtualClock) -> None:
        manager = Ending(clock, NAME="canary-1")
        async with watched_client(clock, manager, **OPTIONS) as client:
            changes: list[str] = []
            client.on_change(lambda name, _: changes.append(name))
            watch = client.watch("NAME")
            assert value(await anext(watch)) == "canary-1"
            following = asyncio.ensure_future(anext(watch))
            await asyncio.sleep(89.9)
            await settled()
            assert not following.done()
            await asyncio.sleep(0.2)
            with pytest.raises(SecretNotFoundError):
                await following
            assert changes == []

    in_virtual_time(main)


def test_a_watcher_of_what_has_ended_does_not_ask_without_end() -> None:
    """Once when it ends, and then at the interval."""

    async def main(clock: VirtualClock) -> None:
        manager = Ending(clock, lenient=True, NAME="canary-1")
        async with watched_client(clock, manager, **OPTIONS) as client:
            watch = client.watch("NAME")
            await anext(watch)
            following = asyncio.ensure_future(anext(watch))
            await asyncio.sleep(91.0)
            manager.calls.clear()
            await asyncio.sleep(900.0)
            assert manager.calls == []
            manager.set("NAME", "canary-2")
            await asyncio.sleep(200.0)
            assert value(await following) == "canary-2"

    in_virtual_time(main)
