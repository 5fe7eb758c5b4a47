"""Following values: iterators, callbacks, and that nothing of them is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import warnings
import weakref
from functools import partial
from typing import Any

import pytest

from asyncsecrets.client.watching import differs
from asyncsecrets.config import Freshness, SourceConfig
from asyncsecrets.errors import (
    AccessDeniedError,
    ClosedError,
    ConfigError,
    InvalidNameError,
    ResolveError,
    SecretNotFoundError,
    UnavailableError,
    UnsupportedOperationError,
)
from asyncsecrets.secret import Secret
from asyncsecrets.testing.virtual_time import VirtualClock
from tests.client.support import (
    ONCE,
    Failure,
    Manager,
    client_of,
    client_with,
    denied,
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
        await follower.aclose()


async def test_a_slow_consumer_sees_the_newest() -> None:
    """Rotations while it was busy are one piece of news."""
    async with client_of(Manager({"NAME": "canary-0"})) as client:
        follower = client.watch("os.environ/NAME")
        assert value(await anext(follower)) == "canary-0"
        for i in range(1, 6):
            await client.put("NAME", f"canary-{i}")
        assert value(await anext(follower)) == "canary-5"
        await follower.aclose()


async def test_nothing_is_registered_before_and_after() -> None:
    """An iterator that was not started, was closed, was broken out of, or was cancelled leaves nothing behind."""
    async with client_of(Manager({"NAME": "canary"})) as client:
        client.watch("NAME")
        closed = client.watch("NAME")
        await anext(closed)
        await closed.aclose()
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
        assert client._watchers._waiting == {}


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
        assert client._watchers._waiting == {}


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
            await follower.aclose()

    in_virtual_time(main)


async def test_an_outage_at_the_start_is_an_error() -> None:
    """There is nothing to go on with. Afterwards it is over."""
    manager = Manager({"NAME": "canary"})
    manager.failure = down
    async with client_of(manager, retry=ONCE) as client:
        follower = client.watch("NAME")
        with pytest.raises(UnavailableError):
            await anext(follower)
        with pytest.raises(StopAsyncIteration):
            await anext(follower)


@pytest.mark.parametrize("failure", [None, down])
def test_what_is_not_there_yet_can_be_waited_for(failure: Failure | None) -> None:
    """As long as it takes, with few questions; also where the manager cannot be reached, and when it goes away."""

    async def main(clock: VirtualClock) -> None:
        manager = Manager()
        async with virtual_client(clock, manager, retry=ONCE, negative_ttl=1.0) as client:
            follower = client.watch("NAME", wait=True)
            waiting = asyncio.ensure_future(anext(follower))
            manager.failure = failure
            await asyncio.sleep(3600)
            assert not waiting.done()
            assert 50 < len(manager.calls) < 80
            manager.failure = None
            manager.set("NAME", "canary-1")
            await asyncio.sleep(60)
            assert waiting.done()
            assert value(await waiting) == "canary-1"
            waiting = asyncio.ensure_future(anext(follower))
            await settled()
            await client.delete("NAME")
            await asyncio.sleep(600)
            assert not waiting.done()
            manager.set("NAME", "canary-2")
            await asyncio.sleep(1.1)  # absent is believed for a while
            await client.get("NAME")  # somebody else does
            await settled()
            assert value(waiting.result()) == "canary-2"

    in_virtual_time(main)


async def test_what_cannot_come_right_is_not_waited_for() -> None:
    """Denied, and a client that is closed meanwhile."""
    manager = Manager()
    manager.failure = denied
    async with client_of(manager, negative_ttl=0.0) as client:
        with pytest.raises(AccessDeniedError):
            await anext(client.watch("NAME", wait=True))
        manager.failure = None
        waiting = asyncio.ensure_future(anext(client.watch("NAME", wait=True)))
        await settled()
    with pytest.raises(ClosedError):
        await waiting


async def test_a_turn_that_is_cancelled_is_taken_again() -> None:
    """After any number of steps, while it reads or waits: the news is there at the next turn; nothing is left of it."""
    manager = Manager({"NAME": "canary-0"})
    async with client_of(manager) as client:
        follower, seen = client.watch("NAME"), list[str | None]()
        for number in range(1, 60):
            turn = asyncio.ensure_future(anext(follower))
            for _ in range(number % 20):
                await asyncio.sleep(0)
            if number % 3 == 0:
                manager.set("NAME", f"canary-{number}")
                client.invalidate("NAME")
            if number % 2:
                await asyncio.sleep(0)
            turn.cancel()
            await asyncio.wait({turn})
            if not turn.cancelled():
                seen.append(value(turn.result()))
            assert client._watchers._waiting == {}
        await client.refresh("NAME")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                seen.append(value(await anext(follower)))
        assert seen[-1] == "canary-57"
        assert seen == list(dict.fromkeys(seen))


async def test_what_changes_between_two_turns() -> None:
    """Another value; a new version of an equal one; gone, and back as another one; nothing where it is as it was."""
    manager = Manager({"NAME": "canary-1"})
    async with client_of(manager, negative_ttl=0.0) as client:
        follower = client.watch("NAME")
        assert value(await anext(follower)) == "canary-1"
        manager.set("NAME", "canary-2")
        await client.refresh("NAME")
        assert value(await anext(follower)) == "canary-2"
        await client.put("NAME", "canary-2")
        assert (await anext(follower)).version == "3"
        await client.delete("NAME")
        await client.put("NAME", "canary-4")
        assert value(await anext(follower)) == "canary-4"
        await client.refresh("NAME")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(follower), 0.01)
        await client.delete("NAME")
        with pytest.raises(SecretNotFoundError):
            await anext(follower)


async def test_without_versions_only_the_value_tells() -> None:
    """The environment: another value and back again, while nobody looked, is no news."""
    environ, name = {"NAME": "canary-1"}, "secret://environment/NAME"
    async with client_of(Manager(), environ) as client:
        follower = client.watch(name)
        assert value(await anext(follower)) == "canary-1"
        environ["NAME"] = "canary-2"
        await client.refresh(name)
        environ["NAME"] = "canary-1"
        await client.refresh(name)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(follower), 0.01)
        environ["NAME"] = "canary-3"
        await client.refresh(name)
        assert value(await anext(follower)) == "canary-3"


async def test_one_task_at_a_time_and_each_its_own() -> None:
    """Two that wait for one iterator would each miss half of it."""
    async with client_of(Manager({"NAME": "canary-1"})) as client:
        follower, other = client.watch("NAME"), client.watch("NAME")
        assert aiter(follower) is follower
        await asyncio.gather(anext(follower), anext(other))
        waiting = [asyncio.ensure_future(anext(each)) for each in (follower, other)]
        await settled()
        with pytest.raises(UnsupportedOperationError, match="one task"):
            await anext(follower)
        await client.put("NAME", "canary-2")
        assert [value(await each) for each in waiting] == ["canary-2"] * 2


async def test_ending_it_by_hand() -> None:
    """Whoever waits sees its end."""
    async with client_of(Manager({"NAME": "canary-1"})) as client:
        async with contextlib.aclosing(client.watch("NAME")) as follower:
            await anext(follower)
            waiting = asyncio.ensure_future(anext(follower))
            await settled()
        with pytest.raises(StopAsyncIteration):
            await waiting
        assert [secret async for secret in follower] == []


def test_one_loop_after_another() -> None:
    """It may be taken on by the next loop, as the client may."""
    client = client_of(Manager({"NAME": "canary-1"}))
    follower = client.watch("NAME")

    async def turn() -> str | None:
        return value(await anext(follower))

    async def change() -> None:
        waiting = asyncio.ensure_future(turn())
        await settled()
        await client.put("NAME", "canary-2")
        assert await waiting == "canary-2"
        await client.aclose()

    assert asyncio.run(turn()) == "canary-1"
    asyncio.run(change())


def test_what_is_not_kept_is_not_asked_for_at_every_turn() -> None:
    """A consumer that has a time limit for each turn asks the manager no more often than one without."""

    async def main(clock: VirtualClock) -> None:
        manager = Manager({"NAME": "canary-1"})
        freshness = Freshness(cached=False, refresh_interval=30.0)
        sources = {"default": (SourceConfig(name="default", system="memory", freshness=freshness), manager)}
        async with client_with(sources, cache_options={"clock": clock.boot_time, "guarded": False}) as client:
            follower = client.watch("NAME")
            await anext(follower)
            for _ in range(100):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(anext(follower), 1.0)
            assert 3 <= len(manager.calls) <= 5

    in_virtual_time(main)


class TestMany:
    """Several at once."""

    async def test_all_of_them_whenever_one_changes(self) -> None:
        """By name; of two sources; each once, whatever is given twice."""
        here, there = Manager({"NAME": "canary-1"}), Manager({"OTHER": "canary-1"})
        sources = {
            "default": (SourceConfig(name="default", system="memory"), here),
            "there": (SourceConfig(name="there", system="memory"), there),
        }
        async with client_with(sources) as client:
            follower = client.watch_many(["NAME", "secret://there/OTHER", "NAME"])
            assert values(await anext(follower)) == {"NAME": "canary-1", "secret://there/OTHER": "canary-1"}
            waiting = asyncio.ensure_future(anext(follower))
            await settled()
            there.set("OTHER", "canary-2")
            await client.refresh("secret://there/OTHER")
            assert values(await waiting) == {"NAME": "canary-1", "secret://there/OTHER": "canary-2"}
            here.set("NAME", "canary-2")
            await client.refresh("NAME")
            assert values(await anext(follower)) == {"NAME": "canary-2", "secret://there/OTHER": "canary-2"}
            assert client._watchers._waiting == {}

    async def test_members_of_one_secret_belong_together(self) -> None:
        """However the rotation and the reads fall: never the user of one version with the password of another."""
        manager = Manager({"LOGIN": login(0), "SLOW": "canary"})
        names = ["secret:///LOGIN?field=user", "SLOW", "secret:///LOGIN?field=password"]
        async with client_of(manager) as client:
            for number in range(1, 20):
                client.invalidate("SLOW")
                if number % 2:
                    client.invalidate("LOGIN")
                manager.gate = asyncio.Event()
                reading = asyncio.ensure_future(client.get_many(names))
                for _ in range(number):
                    await asyncio.sleep(0)
                manager.gate.set()
                manager.set("LOGIN", login(number))
                await client.refresh(names[0])
                user, _, password = values(await reading).values()
                assert user == password

    async def test_they_are_as_they_are_at_one_moment(self) -> None:
        """What was rotated while another one was waited for is new as well."""
        manager = Manager({"NAME": "canary-1", "SLOW": "canary-1"})
        async with client_of(manager) as client:
            await client.get("NAME")
            manager.gate = asyncio.Event()
            reading = asyncio.ensure_future(client.get_many(["NAME", "SLOW"]))
            await settled()
            new = Secret("canary-2", name="NAME", version="2", source="default")
            client._sources["default"].cache.put("NAME", new)
            manager.gate.set()
            assert values(await reading) == {"NAME": "canary-2", "SLOW": "canary-1"}

    async def test_what_cannot_be_had(self) -> None:
        """Is listed, unless it is waited for; and names that are none are refused at once."""
        manager = Manager({"NAME": "canary-1"})
        async with client_of(manager, negative_ttl=0.0) as client:
            with pytest.raises(ResolveError, match="OTHER"):
                await anext(client.watch_many(["NAME", "OTHER"]))
            waiting = asyncio.ensure_future(anext(client.watch_many(["NAME", "OTHER"], wait=True)))
            await settled()
            manager.set("OTHER", "canary-1")
            await client.get("OTHER")
            assert values(await waiting) == {"NAME": "canary-1", "OTHER": "canary-1"}
            for none in ([], "NAME", 7):
                with pytest.raises(ConfigError):
                    client.watch_many(none)  # type: ignore[arg-type]
            with pytest.raises(InvalidNameError):
                client.watch_many(["NAME", ""])

    def test_an_outage_of_one_of_them(self) -> None:
        """Does not end it."""

        async def main(clock: VirtualClock) -> None:
            manager = Manager({"NAME": "canary-1", "OTHER": "canary-1"})
            async with virtual_client(clock, manager, refresh_interval=100, max_stale=50, retry=ONCE) as client:
                follower = client.watch_many(["NAME", "OTHER"])
                await anext(follower)
                waiting = asyncio.ensure_future(anext(follower))
                manager.failure = down
                await asyncio.sleep(1000)
                manager.failure = None
                manager.set("OTHER", "canary-2")
                assert values(await waiting) == {"NAME": "canary-1", "OTHER": "canary-2"}

        in_virtual_time(main)


def login(number: int) -> str:
    """A secret with two members."""
    return f'{{"user": "canary-{number}", "password": "canary-{number}"}}'


def values(secrets: dict[str, Secret]) -> dict[str, str]:
    """What they say."""
    return {name: secret.reveal() for name, secret in secrets.items()}


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
            await follower.aclose()

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
            await follower.aclose()

    in_virtual_time(main)


class Last(BaseException):
    """An end that is not an error."""


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
        monkeypatch.setattr("asyncsecrets.client.callbacks._REMEMBERED", 10)
        async with client_of(Manager({f"N{i}": "canary" for i in range(100)}), max_entries=20) as client:
            client.on_change(lambda *_: None)
            for i in range(100):
                await client.get(f"N{i}")
            assert 20 <= len(client._watchers.callbacks._last) <= 30
            assert "canary" not in repr(client._watchers.callbacks._last)

    async def test_more_secrets_than_it_remembers_are_told_of_all_the_same(self, monkeypatch: Any) -> None:
        """They are renewed in turn: what is warm is remembered, however much that is."""
        monkeypatch.setattr("asyncsecrets.client.callbacks._REMEMBERED", 1)
        manager, names, heard = Manager({f"N{i}": "canary-1" for i in range(30)}), [f"N{i}" for i in range(30)], set()
        async with client_of(manager) as client:
            await client.get_many(names)
            client.on_change(lambda name, _: heard.add(name))
            for name in names:
                manager.set(name, "canary-2")
                await client.refresh(name)
        assert heard == {*names}

    async def test_by_name(self) -> None:
        """A callback of one name hears of that one; of two registrations of one function, each ends by itself."""
        heard: list[tuple[str, str]] = []

        def note(reference: str, secret: Secret) -> None:
            heard.append((reference, secret.reveal()))

        async with client_of(Manager({"NAME": "canary-1", "OTHER": "canary-1"})) as client:
            first, second = client.on_change(note, "NAME"), client.on_change(note, "NAME")
            await client.get_many(["NAME", "OTHER"])
            await client.put("OTHER", "canary-2")
            await client.put("NAME", "canary-2")
            assert heard == [("NAME", "canary-2")] * 2
            first()
            first()
            await client.put("NAME", "canary-3")
            assert heard[2:] == [("NAME", "canary-3")]
            second()
            await client.put("NAME", "canary-4")
            assert len(heard) == 3
            client.on_change(note, "NAME")
            await client.refresh("NAME")
            assert len(heard) == 3  # what changed while nobody listened is not told afterwards

    async def test_none_is_lost(self) -> None:
        """Two rotations in one turn, a value that comes back as it was, a new version of an equal value."""
        heard: list[tuple[str | None, str]] = []
        manager = Manager({"NAME": "canary-1"})
        async with client_of(manager) as client:
            await client.get("NAME")
            client.on_change(lambda _, secret: heard.append((secret.version, secret.reveal())))
            cache = client._sources["default"].cache
            for version, text in (("2", "canary-2"), ("3", "canary-1"), ("4", "canary-1"), ("4", "canary-1")):
                cache.put("NAME", Secret(text, name="NAME", version=version, source="default"))
        assert heard == [("2", "canary-2"), ("3", "canary-1"), ("4", "canary-1")]

    async def test_what_is_read_by_two_names_has_changed_under_both(self) -> None:
        """Whoever hears of one reference and looks at another one of the same secret finds that new as well."""
        seen: list[tuple[str | None, str | None]] = []
        manager = Manager({"LOGIN": '{"user": "canary-1", "password": "canary-1"}'})
        user, password = "secret:///LOGIN?field=user", "secret:///LOGIN?field=password"
        async with client_of(manager) as client:
            client.on_change(lambda *_: seen.append((value(client.peek(user)), value(client.peek(password)))))
            await client.get_many([user, password])
            await client.put("LOGIN", '{"user": "canary-2", "password": "canary-2"}')
        assert seen == [("canary-2", "canary-2")] * 2

    @pytest.mark.parametrize("kind", ["function", "object", "partial"])
    async def test_a_coroutine_function_is_refused(self, kind: str) -> None:
        """It would never be awaited. The error shows the way."""

        async def call(self: object, reference: str, secret: Secret | None = None) -> None: ...

        functions = {"function": call, "partial": partial(call, None), "object": type("C", (), {"__call__": call})()}
        async with client_of(Manager()) as client:
            with pytest.raises(UnsupportedOperationError, match="watch"):
                client.on_change(functions[kind])
            with pytest.raises(ConfigError, match="NoneType"):
                client.on_change(None)  # type: ignore[arg-type]

    async def test_a_coroutine_that_nobody_could_foresee_is_reported(self, caplog: pytest.LogCaptureFixture) -> None:
        """And closed: Python has nothing to warn of. A task that somebody starts is his own affair."""
        ran: list[str] = []

        async def work(name: str) -> None:
            ran.append(name)

        async with client_of(Manager({"NAME": "canary-1"})) as client:
            client.on_change(lambda name, _: work(name))
            client.on_change(lambda name, _: asyncio.ensure_future(work(name)))
            await client.get("NAME")
            await client.put("NAME", "canary-2")
            await settled()
            gc.collect()
        assert ran == ["NAME"]
        assert caplog.text.count("it returned a coroutine") == 1

    @pytest.mark.parametrize("kind", [asyncio.CancelledError, GeneratorExit, KeyboardInterrupt, SystemExit, Last])
    def test_what_is_no_exception_breaks_nothing(self, kind: type[BaseException], caplog: Any) -> None:
        """The step of the cache is done first, and the others are called; then the program hears of what is for it."""
        told: list[type[BaseException]] = []
        heard: list[str | None] = []

        def ends(reference: str, secret: Secret) -> None:
            raise kind

        async def main() -> str:
            asyncio.get_running_loop().set_exception_handler(lambda _, what: told.append(type(what["exception"])))
            async with client_of(Manager({"NAME": "canary-1"})) as client:
                await client.get("NAME")
                client.on_change(ends)
                client.on_change(lambda *_: heard.append(value(client.peek("NAME"))))
                await client.put("NAME", "canary-2")
                await settled()
                return "done"

        if kind in {KeyboardInterrupt, SystemExit}:
            with pytest.raises(kind):
                asyncio.run(main())
        else:
            assert asyncio.run(main()) == "done"
        assert heard == ["canary-2"]
        assert told == ([kind] if kind in {GeneratorExit, Last} else [])
        assert f"failed for 'NAME': {kind.__name__}" in caplog.text

    async def test_the_log_says_which_callback_and_where(self, caplog: pytest.LogCaptureFixture) -> None:
        """The name of the function, also in a partial; the file and the line; no value."""

        def reload_pool(size: int, reference: str, secret: Secret) -> None:
            raise ValueError(secret.reveal())

        async with client_of(Manager({"NAME": "canary-1"})) as client:
            await client.get("NAME")
            client.on_change(partial(reload_pool, 5))
            await client.put("NAME", "canary-2")
        (record,) = [record for record in caplog.records if record.name == "asyncsecrets.client.callbacks"]
        assert "reload_pool" in record.getMessage()
        assert "ValueError in test_watching.py, line" in record.getMessage()
        assert record.exc_info is None
        assert "canary" not in caplog.text

    async def test_one_callback_may_take_out_another(self) -> None:
        """Which is not called any more then, in the same round."""
        heard: list[int] = []
        async with client_of(Manager({"NAME": "canary-1"})) as client:
            await client.get("NAME")
            client.on_change(lambda *_: remove())
            remove = client.on_change(lambda *_: heard.append(2))
            client.on_change(lambda *_: heard.append(3))
            await client.put("NAME", "canary-2")
        assert heard == [3]

    async def test_closing_lets_go_of_them(self) -> None:
        """And of what they hold."""

        class Holder:
            def hear(self, *_: object) -> None: ...

        holder = Holder()
        client = client_of(Manager({"NAME": "canary"}))
        async with client:
            await client.get("NAME")
            client.on_change(holder.hear)
            remove = client.on_change(lambda *_: None)
            with pytest.raises(InvalidNameError):
                client.on_change(holder.hear, "")
        remove()
        ref = weakref.ref(holder)
        del holder
        gc.collect()
        assert ref() is None
        with pytest.raises(ClosedError):
            client.on_change(lambda *_: None)

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="forks are a matter of POSIX")
    def test_a_fork_has_the_callbacks_and_not_those_who_wait(self) -> None:
        """A callback is registered before a server forks; who waits does so on the parent's loop, which sleeps on."""
        manager = Manager({"NAME": "canary-1"})
        client = client_of(manager)
        heard: list[str] = []
        client.on_change(lambda name, _: heard.append(name))

        async def change() -> int:
            await client.get("NAME")
            await client.put("NAME", "canary-2")
            return len(heard)

        async def parent() -> int:
            waiting = asyncio.ensure_future(anext(client.watch("NAME")))
            follower = client.watch("NAME")
            await anext(follower)
            waiting = asyncio.ensure_future(anext(follower))
            await settled()
            assert client._watchers._waiting
            client._watchers._lock.acquire()
            pid = os.fork()
            if not pid:  # no code of pytest's may run here
                os._exit(child())
            client._watchers._lock.release()
            _, status = await asyncio.to_thread(os.waitpid, pid, 0)
            assert not waiting.done()
            waiting.cancel()
            await asyncio.wait({waiting})
            return os.waitstatus_to_exitcode(status)

        def child() -> int:
            try:
                asyncio._set_running_loop(None)
                assert client._watchers._waiting == {}
                return 40 + asyncio.run(change())
            except BaseException:  # noqa: BLE001
                return 1

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forks beside threads
            assert asyncio.run(parent()) == 41
        asyncio.run(client.aclose())


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
