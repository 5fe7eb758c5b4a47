"""Following values: iterators, callbacks, and that nothing of them is left behind."""

from __future__ import annotations

import asyncio
import gc
import logging

import pytest

from asyncsecrets.client.watching import differs
from asyncsecrets.config import Freshness, SourceConfig
from asyncsecrets.errors import SecretNotFoundError, UnavailableError
from asyncsecrets.secret import Secret
from asyncsecrets.testing.virtual_time import VirtualClock
from tests.client.support import (
    ONCE,
    Manager,
    client_of,
    client_with,
    down,
    in_virtual_time,
    settled,
    value,
    virtual_client,
)


async def test_a_follower_sees_the_value_now_and_every_new_one() -> None:
    """By put, by refresh, by somebody else; an equal value under the same version is no news."""
    manager = Manager({"NAME": "canary-1"})
    async with client_of(manager) as client:
        follower = client.watch("NAME")
        assert value(await anext(follower)) == "canary-1"
        await client.put("NAME", "canary-2")
        assert value(await anext(follower)) == "canary-2"
        await client.refresh("NAME")
        waiting = asyncio.ensure_future(anext(follower))
        await settled()
        assert not waiting.done()
        manager.set("NAME", "canary-3")
        await client.refresh("NAME")
        assert value(await waiting) == "canary-3"
        await follower.aclose()  # type: ignore[attr-defined]


async def test_a_slow_consumer_sees_the_newest() -> None:
    """Rotations while it was busy are one piece of news."""
    async with client_of(Manager({"NAME": "canary-0"})) as client:
        follower = client.watch("os.environ/NAME")
        assert value(await anext(follower)) == "canary-0"
        for i in range(1, 6):
            await client.put("NAME", f"canary-{i}")
        assert value(await anext(follower)) == "canary-5"
        await follower.aclose()  # type: ignore[attr-defined]


async def test_nothing_is_registered_before_and_after() -> None:
    """An iterator that was not started, was closed, was broken out of, or was cancelled leaves nothing behind."""
    async with client_of(Manager({"NAME": "canary"})) as client:
        client.watch("NAME")
        closed = client.watch("NAME")
        await anext(closed)
        await closed.aclose()  # type: ignore[attr-defined]
        async for _ in client.watch("NAME"):
            break
        cancelled = client.watch("NAME")
        await anext(cancelled)
        waiting = asyncio.ensure_future(anext(cancelled))
        await settled()
        waiting.cancel()
        await asyncio.wait({waiting})
        gc.collect()
        await settled()
        assert client._watchers._followers == {}


async def test_following_what_is_absent_raises() -> None:
    """At once, and also when it goes away: a secret that is gone is not waited for in silence."""
    manager = Manager({"NAME": "canary"})
    async with client_of(manager, negative_ttl=0.0) as client:
        with pytest.raises(SecretNotFoundError):
            await anext(client.watch("NONE"))
        follower = client.watch("NAME")
        await anext(follower)
        waiting = asyncio.ensure_future(anext(follower))
        await settled()
        await client.delete("NAME")
        with pytest.raises(SecretNotFoundError):
            await waiting
        assert client._watchers._followers == {}


def test_an_outage_does_not_end_it() -> None:
    """The source is gone past the value's life, and comes back with another one: the follower hears of that."""

    async def main(clock: VirtualClock) -> None:
        manager = Manager({"NAME": "canary-1"})
        async with virtual_client(clock, manager, refresh_interval=100, max_stale=50, retry=ONCE) as client:
            follower = client.watch("NAME")
            await anext(follower)
            waiting = asyncio.ensure_future(anext(follower))
            manager.failure = down
            await asyncio.sleep(1000)
            assert client.peek("NAME") is None
            assert not waiting.done()
            assert len(manager.calls) < 60
            manager.failure = None
            manager.set("NAME", "canary-2")
            assert value(await waiting) == "canary-2"
            await follower.aclose()  # type: ignore[attr-defined]

    in_virtual_time(main)


async def test_an_outage_at_the_start_is_an_error() -> None:
    """There is nothing to go on with."""
    manager = Manager({"NAME": "canary"})
    manager.failure = down
    async with client_of(manager, retry=ONCE) as client:
        with pytest.raises(UnavailableError):
            await anext(client.watch("NAME"))


def test_a_rotation_in_the_background_is_heard_though_nobody_reads() -> None:
    """Also after everything warm was withdrawn, as it is when the loop has stood still."""

    async def main(clock: VirtualClock) -> None:
        manager = Manager({"NAME": "canary-1"})
        async with virtual_client(clock, manager, refresh_interval=100, max_stale=50) as client:
            follower = client.watch("NAME")
            await anext(follower)
            waiting = asyncio.ensure_future(anext(follower))
            await settled()
            client._sources["default"].cache._withdraw()
            assert client.texts == {}
            manager.set("NAME", "canary-2")
            await asyncio.sleep(60)
            assert waiting.done()
            assert value(await waiting) == "canary-2"
            await follower.aclose()  # type: ignore[attr-defined]

    in_virtual_time(main)


def test_what_is_always_read_is_looked_at_every_interval() -> None:
    """A source that keeps nothing cannot tell of changes: the follower asks."""

    async def main(clock: VirtualClock) -> None:
        manager = Manager({"NAME": "canary-1"})
        freshness = Freshness(cached=False, refresh_interval=30.0)
        sources = {"default": (SourceConfig(name="default", system="memory", freshness=freshness), manager)}
        async with client_with(sources, cache_options={"clock": clock.boot_time, "guarded": False}) as client:
            follower = client.watch("NAME")
            await anext(follower)
            manager.set("NAME", "canary-2")
            started = clock.monotonic()
            assert value(await anext(follower)) == "canary-2"
            assert clock.monotonic() - started == pytest.approx(30.0)
            await follower.aclose()  # type: ignore[attr-defined]

    in_virtual_time(main)


class TestOnChange:
    """Callbacks for everything that is warm."""

    async def test_it_is_called_for_changes_only(self) -> None:
        """Not for the first value, nor for the same one again; once for each reference that was read."""
        heard: list[tuple[str, str]] = []
        manager = Manager({"NAME": "canary-1", "OTHER": "canary"})
        async with client_of(manager) as client:
            remove = client.on_change(lambda reference, secret: heard.append((reference, secret.reveal())))
            await client.get_many(["NAME", "os.environ/NAME", "OTHER"])
            await client.refresh("NAME")
            assert heard == []
            await client.put("NAME", "canary-2")
            assert sorted(heard) == [("NAME", "canary-2"), ("os.environ/NAME", "canary-2")]
            remove()
            remove()
            await client.put("NAME", "canary-3")
            assert len(heard) == 2

    async def test_a_change_across_a_gap_is_a_change(self) -> None:
        """Invalidated or withdrawn in between: another value than last time is told."""
        heard: list[str] = []
        manager = Manager({"NAME": "canary-1"})
        async with client_of(manager) as client:
            client.on_change(lambda _, secret: heard.append(secret.reveal()))
            await client.get("NAME")
            manager.set("NAME", "canary-2")
            client.invalidate("NAME")
            await client.get("NAME")
            assert heard == ["canary-2"]

    async def test_a_callback_that_raises_stops_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        """It is logged by class alone; the others are called, and the reader is answered."""
        heard: list[str] = []

        def fails(reference: str, secret: Secret) -> None:
            raise ValueError(secret.reveal())

        async with client_of(Manager({"NAME": "canary-1"})) as client:
            client.on_change(fails)
            client.on_change(lambda _, secret: heard.append(secret.reveal()))
            await client.get("NAME")
            with caplog.at_level(logging.DEBUG):
                await client.put("NAME", "canary-2")
        assert heard == ["canary-2"]
        assert "on_change callback failed for 'NAME': ValueError" in caplog.text
        assert "canary" not in caplog.text

    async def test_it_remembers_no_values_and_not_for_ever(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What a reference had last is kept as a keyed fingerprint, for a bounded number of them."""
        monkeypatch.setattr("asyncsecrets.client.watching._REMEMBERED", 10)
        async with client_of(Manager({f"N{i}": "canary" for i in range(100)})) as client:
            client.on_change(lambda *_: None)
            for i in range(100):
                await client.get(f"N{i}")
            assert len(client._watchers._last) == 10
            assert "canary" not in repr(client._watchers._last)


async def test_a_callback_hears_of_what_was_read_before_it_came() -> None:
    """The first change after registering is a change, whenever the secret was read first."""
    heard: list[str] = []
    async with client_of(Manager({"NAME": "canary-1"})) as client:
        await client.get("NAME")
        client.on_change(lambda name, _: heard.append(name))
        await client.put("NAME", "canary-2")
    assert heard == ["NAME"]


@pytest.mark.parametrize(
    ("new", "is_news"),
    [
        (Secret("canary-1", name="NAME", version="1"), False),
        (Secret("canary-1", name="NAME", version="2"), True),
        (Secret("canary-2", name="NAME", version="1"), True),
    ],
)
@pytest.mark.parametrize("numbered", [True, False])
def test_what_is_news_to_a_follower(new: Secret, is_news: bool, numbered: bool) -> None:
    """Another version; or another value, for managers such as the environment, KV v1 and KMS know no versions."""
    old = Secret("canary-1", name="NAME", version="1" if numbered else None)
    if not numbered:
        new, is_news = Secret(new.reveal(), name="NAME"), not new.equals(old)
    assert differs(old, new) is is_news
