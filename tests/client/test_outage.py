"""An outage in which nothing is cached: who asks, how often, and what the others are told."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections import Counter
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest

from asyncsecrets import SecretsClient
from asyncsecrets.config import AccessMode, Freshness, SourceConfig
from asyncsecrets.errors import (
    AccessDeniedError,
    AsyncSecretsError,
    ConflictError,
    ResolveError,
    SecretNotFoundError,
    TransientError,
    UnavailableError,
)
from asyncsecrets.retry import RetryPolicy
from asyncsecrets.testing.virtual_time import VirtualClock
from tests.client.support import (
    NOON,
    ONCE,
    Manager,
    client_with,
    denied,
    down,
    in_virtual_time,
    settled,
    virtual_options,
    watched_client,
)
from tests.operators import listening

UNCACHED = {"cached": False}
EXPIRED = {"refresh_interval": 1.0, "max_stale": 2.0}


def client_of(clock: VirtualClock, manager: Manager, *, cached: bool = True, **options: Any) -> SecretsClient:
    if cached:
        return watched_client(clock, manager, **options)
    mode, freshness = AccessMode("read_and_write"), Freshness(cached=False)
    declared = SourceConfig(name="default", system="memory", access_mode=mode, freshness=freshness)
    timed = {"wall_clock": lambda: NOON + clock.boot_time(), **virtual_options(clock)}
    return client_with({"default": (declared, manager)}, **timed, **options)


Story = Callable[[SecretsClient, Manager, VirtualClock], Coroutine[Any, Any, None]]


def told(story: Story, manager: Manager | None = None, **options: Any) -> None:
    """Play ``story`` in virtual time, with a manager that cannot be reached."""
    told_to = Manager({f"K{i}": "canary" for i in range(40)}) if manager is None else manager
    told_to.failure = told_to.failure or down

    async def main(clock: VirtualClock) -> None:
        with listening():
            async with client_of(clock, told_to, **options) as client:
                await story(client, told_to, clock)

    in_virtual_time(main)


async def outcome(client: SecretsClient, name: str = "K0") -> AsyncSecretsError | None:
    try:
        await client.get(name)
    except AsyncSecretsError as error:
        return error
    return None


async def read_for(seconds: float, client: SecretsClient, clock: VirtualClock, *names: str) -> Counter[str]:
    """Read ``names`` four times a second each; return what the readers got, and of errors whether it was asked for."""
    until, got = clock.monotonic() + seconds, Counter[str]()

    async def reader(name: str) -> None:
        while clock.monotonic() < until:
            error = await outcome(client, name)
            spared = isinstance(error, UnavailableError) and not error.attempts
            got["value" if error is None else "spared" if spared else "asked"] += 1
            await asyncio.sleep(0.25)

    await asyncio.gather(*map(reader, names))
    return got


async def begin(client: SecretsClient, *names: str) -> None:
    """Read until it is known that nobody is answered."""
    for name in names or ("K0",) * 3:
        assert isinstance(await outcome(client, name), TransientError)
    assert client._sources["default"].calls.outage.lasts


class TestHowOften:
    """One or two ask now and then, whatever the number of readers and names."""

    @pytest.mark.parametrize("options", [{}, UNCACHED, {"retry": ONCE}], ids=["cached", "uncached", "once"])
    @pytest.mark.parametrize("count", [1, 12])
    def test_what_was_never_read(self, options: dict[str, Any], count: int) -> None:
        async def story(client: SecretsClient, manager: Manager, clock: VirtualClock) -> None:
            names = [f"K{i}" for i in range(count)]
            await read_for(1, client, clock, *names)
            assert len(manager.calls) <= 2.5 * count + 9  # until it is known
            manager.calls.clear()
            got = await read_for(30, client, clock, *names, *names)
            assert 30 / 4 <= len(manager.calls) <= 30 / 2.6 + 3
            assert set(got) == {"asked", "spared"}
            assert got["asked"] <= 2 * len(manager.calls)  # who reads a name while it is asked for waits for that

        told(story, **options)

    def test_what_is_older_than_it_may_be(self) -> None:
        async def story(client: SecretsClient, manager: Manager, clock: VirtualClock) -> None:
            manager.failure = None
            await client.get_many([f"K{i}" for i in range(12)])
            manager.failure = down
            assert (await read_for(2.5, client, clock, "K0"))["value"]
            await asyncio.sleep(2)
            manager.calls.clear()
            got = await read_for(30, client, clock, *(f"K{i}" for i in range(12)))
            assert len(manager.calls) < 30
            assert not got["value"]

        told(story, **EXPIRED)

    def test_versions_and_fields_too(self) -> None:
        async def story(client: SecretsClient, manager: Manager, _: VirtualClock) -> None:
            await begin(client)
            await outcome(client, "K1")
            manager.calls.clear()
            for version in range(10):
                with pytest.raises(UnavailableError):
                    await client.get("K0", version=str(version))
                with pytest.raises(UnavailableError):
                    await client.get("K1", field=f"f{version}")
            assert manager.calls == []

        told(story)

    def test_waits_grow_from_one_second_to_four(self) -> None:
        async def story(client: SecretsClient, manager: Manager, clock: VirtualClock) -> None:
            await begin(client)
            times = [clock.monotonic()]
            while len(times) < 5:
                before = len(manager.calls)
                await outcome(client)
                if len(manager.calls) > before:
                    times.append(clock.monotonic())
                await asyncio.sleep(0.01)
            waits = [round(b - a, 1) for a, b in pairwise(times)]
            assert waits == [1.3, 2.5, 3.3, 3.3]

        told(story, retry=ONCE)

    def test_a_failing_login(self) -> None:
        """What is wrong with who asks is no different, as long as it may pass."""

        class Login(Manager):
            logins = 0

            async def _before(self, operation: str, name: str) -> None:
                if self.failure is not None:
                    self.logins += 1
                    raise UnavailableError("memory: login: cannot be reached; is it running?", provider="memory")
                await super()._before(operation, name)

        async def story(client: SecretsClient, manager: Manager, clock: VirtualClock) -> None:
            assert isinstance(manager, Login)
            await read_for(30, client, clock, *(f"K{i}" for i in range(40)))
            assert manager.logins <= 100 + 30

        told(story, Login())

    @pytest.mark.parametrize("options", [{}, UNCACHED])
    def test_what_cannot_be_opened(self, options: dict[str, Any]) -> None:
        """It is one question for all who wait for it, and it is not put for each reader."""

        class Shut(Manager):
            async def open(self) -> None:
                self.opened += 1
                await asyncio.sleep(0.01)
                if self.failure is not None:
                    raise self.failure("")
                await super().open()

        async def story(clock: VirtualClock) -> None:
            manager = Shut({"K0": "canary", "K1": "canary"})
            manager.failure = down
            client = client_of(clock, manager, **options)
            with listening():
                await asyncio.gather(*(outcome(client, f"K{i}") for i in range(5)))
                assert not client._sources["default"].calls.outage.lasts
                await read_for(30, client, clock, "K0", "K1")
                assert manager.opened < 30
                manager.failure = None
                await asyncio.sleep(4)
                assert await outcome(client) is None
                await client.aclose()

        in_virtual_time(story)


class TestWhatIsTold:
    """Who is not to ask is told so at once, and what there is to be known."""

    @pytest.mark.parametrize("options", [{}, UNCACHED])
    def test_the_error(self, options: dict[str, Any]) -> None:
        async def story(client: SecretsClient, manager: Manager, clock: VirtualClock) -> None:
            await begin(client)
            await outcome(client, "K1")
            await asyncio.sleep(0.7)
            before, calls = clock.monotonic(), len(manager.calls)
            error = await outcome(client, "K2")
            assert (clock.monotonic(), len(manager.calls)) == (before, calls)
            assert isinstance(error, UnavailableError)
            assert str(error) == (
                "memory: 'K2' was not asked for: source 'default' has answered nobody since 2027-01-15 08:00:00Z "
                "(0.7 s). The first read in 0.5 s asks it again; until then, what is not cached fails at once. "
                "Its last error was UnavailableError: memory: cannot be reached for 'K1'; is it running?"
            )
            assert (error.provider, error.name, error.attempts) == ("memory", "K2", 0)
            assert error.retry_after == pytest.approx(1.25 - 0.7)

        told(story, **options, retry=ONCE)

    def test_everybody_has_an_error_of_his_own(self) -> None:
        async def story(client: SecretsClient, _: Manager, __: VirtualClock) -> None:
            await begin(client)
            errors = await asyncio.gather(*(outcome(client) for _ in range(5)))
            assert len(set(map(id, errors))) == 5

        told(story)

    def test_nothing_holds_an_error_that_was_dealt_with(self) -> None:
        """Until the collector comes, while hundreds are raised a second: where nothing is cached, each is a read."""

        async def story(client: SecretsClient, _: Manager, __: VirtualClock) -> None:
            await begin(client)
            await outcome(client)
            await outcome(client, "K1")
            gc.collect()
            gc.disable()
            before = [error for error in gc.get_objects() if isinstance(error, UnavailableError)]  # of other tests
            try:
                assert isinstance(await outcome(client), UnavailableError)
                held = [error for error in gc.get_objects() if isinstance(error, UnavailableError)]
                assert [error for error in held if not any(error is other for other in before)] == []
            finally:
                gc.enable()

        told(story, **UNCACHED)

    def test_what_was_served_is_missing_though_nobody_asked(self) -> None:
        """health() says so, and one answer to anybody lifts it."""

        async def story(client: SecretsClient, manager: Manager, _: VirtualClock) -> None:
            manager.failure = None
            await client.get("K7")
            manager.failure = down
            client.invalidate("K7")
            await begin(client)
            await outcome(client, "K1")
            await settled()
            calls = len(manager.calls)
            with listening() as log:
                await outcome(client, "K7")
                await settled()
                assert log.levels() == ["ERROR"]
            assert len(manager.calls) == calls
            assert (client.health().state, client.health().missing) == ("down", ("K7",))
            manager.failure = None
            await client.put("K1", "canary")
            assert client.health().state == "fresh"

        told(story)


async def test_what_a_call_has_told_holds_not_itself() -> None:
    """By its traceback and the frame that raised it."""

    async def fails() -> None:
        raise down("NAME")

    manager = Manager()
    async with SecretsClient.from_provider(manager, environ={}) as client:
        gc.disable()
        try:
            try:
                await client._sources["default"].calls.told("NAME", fails())
            except UnavailableError as error:
                gone = weakref.ref(error)
            assert gone() is None
        finally:
            gc.enable()


class TestWhoPasses:
    """Nobody is kept from what does not come again by itself."""

    def test_writes(self) -> None:
        async def story(client: SecretsClient, manager: Manager, _: VirtualClock) -> None:
            await begin(client)
            manager.calls.clear()
            for number in range(3):
                with pytest.raises(TransientError):
                    await client.put("NEW", f"canary-{number}")
            assert manager.calls.count(("put", "NEW")) == 9  # with all of its attempts

        told(story)

    @pytest.mark.parametrize("options", [{}, UNCACHED])
    def test_refresh_and_lists(self, options: dict[str, Any]) -> None:
        async def story(client: SecretsClient, manager: Manager, _: VirtualClock) -> None:
            await begin(client)
            await outcome(client, "K1")
            manager.calls.clear()
            for _number in range(3):
                with pytest.raises(TransientError):
                    await client.refresh("K0")
                with pytest.raises(TransientError):
                    await client.list()
            assert manager.calls == [("get", "K0"), ("list", "")] * 3  # once each: it is known to be in vain

        told(story, **options)

    def test_renewals(self) -> None:
        async def story(client: SecretsClient, manager: Manager, _: VirtualClock) -> None:
            manager.failure = None
            await client.get("K5")
            manager.failure = down
            await begin(client)
            await outcome(client, "K1")
            manager.calls.clear()
            await asyncio.sleep(20)
            assert ("get", "K5") in manager.calls
            assert (await client.get("K5")).reveal() == "canary"
            manager.failure = None
            await asyncio.sleep(60)  # a renewal is an answer like any other
            assert await outcome(client, "K0") is None

        told(story, refresh_interval=10.0, max_stale=600.0)

    def test_what_is_cached_is_served_as_ever(self) -> None:
        async def story(client: SecretsClient, manager: Manager, _: VirtualClock) -> None:
            manager.failure = None
            await client.get("K5")
            with pytest.raises(SecretNotFoundError):
                await client.get("NONE")
            manager.failure = down
            await begin(client)
            assert (await client.get("K5")).reveal() == "canary"
            assert isinstance(await outcome(client, "NONE"), SecretNotFoundError)

        told(story)

    def test_who_tries_again_by_hand(self) -> None:
        """After the wait the first read asks, at whatever name, and everybody is answered from then on."""

        async def story(client: SecretsClient, manager: Manager, _: VirtualClock) -> None:
            await begin(client)
            await outcome(client, "K1")
            manager.failure = None
            assert isinstance(await outcome(client, "K2"), UnavailableError)
            await asyncio.sleep(1.3)
            assert await outcome(client, "K0") is None
            assert await asyncio.gather(*(outcome(client, f"K{i}") for i in range(40))) == [None] * 40

        told(story)

    def test_many_at_once(self) -> None:
        """What many names are asked for together is asked of all of them once one of them was answered."""

        async def story(client: SecretsClient, manager: Manager, _: VirtualClock) -> None:
            names = [f"K{i}" for i in range(40)]
            with pytest.raises(ResolveError):
                await client.warm_up(names)
            with pytest.raises(ResolveError):
                await client.warm_up(names)
            await asyncio.sleep(2)
            manager.calls.clear()
            with pytest.raises(ResolveError) as caught:
                await client.warm_up(names)
            assert len(manager.calls) <= 2
            assert set(caught.value.failures) == set(names)
            await asyncio.sleep(4)
            manager.failure = None
            await client.warm_up(names)
            assert len(await client.get_many(names)) == 40

        told(story)

    def test_long_after_nobody_is_held_back(self) -> None:
        """What was known then is old."""

        async def story(client: SecretsClient, manager: Manager, _: VirtualClock) -> None:
            await begin(client)
            manager.failure = None
            await asyncio.sleep(15)
            assert await asyncio.gather(*(outcome(client, f"K{i}") for i in range(40))) == [None] * 40

        told(story)

    @pytest.mark.parametrize("change", ["put", "delete", "conflict"])
    def test_a_write_that_is_answered_ends_it(self, change: str) -> None:
        """Also with a conflict: whoever answers that is there."""

        async def story(client: SecretsClient, manager: Manager, _: VirtualClock) -> None:
            await begin(client)
            await outcome(client, "K1")
            manager.failure = None
            assert isinstance(await outcome(client, "K2"), UnavailableError)
            if change == "conflict":
                with pytest.raises(ConflictError):
                    await client.put("NEW", "canary", cas="77")
            else:
                await (client.put("NEW", "canary") if change == "put" else client.delete("NEW"))
            assert await asyncio.gather(*(outcome(client, f"K{i}") for i in range(40))) == [None] * 40

        told(story)


class TestWhatIsNone:
    """Where somebody is answered there is no outage."""

    def test_two_failures_are_none(self) -> None:
        """The third in a row makes it one."""

        async def story(client: SecretsClient, manager: Manager, _: VirtualClock) -> None:
            for count in (3, 6, 9):
                await outcome(client)
                assert len(manager.calls) == count
            await outcome(client)
            assert len(manager.calls) == 9

        told(story)

    @pytest.mark.parametrize("answer", ["value", "absent", "denied", "conflict"])
    def test_between_failures_somebody_is_answered(self, answer: str) -> None:
        """With a value, or with something about what was asked for."""

        async def story(client: SecretsClient, manager: Manager, _: VirtualClock) -> None:
            for turn in range(5):
                manager.failure = down
                for _number in range(2):
                    assert isinstance(await outcome(client), TransientError)
                manager.failure = denied if answer == "denied" else None
                error = await outcome(client, f"NONE{turn}" if answer == "absent" else "K1")
                if answer == "conflict":
                    with pytest.raises(ConflictError):
                        await client.put("K2", "canary", cas="77")
                kinds: dict[str, Any] = {"absent": SecretNotFoundError, "denied": AccessDeniedError}
                assert isinstance(error, kinds.get(answer, object))
                client.invalidate("K1")
            manager.failure, manager.calls = down, []
            await outcome(client)
            assert len(manager.calls) == 3

        told(story)

    def test_a_reader_who_gives_up_is_no_answer(self) -> None:
        """He was told nothing."""

        async def story(client: SecretsClient, manager: Manager, _: VirtualClock) -> None:
            for _ in range(2):
                await outcome(client)
            manager.gate = asyncio.Event()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await client.get("K0")
            manager.gate = None
            await outcome(client)
            assert client._sources["default"].calls.outage.lasts

        told(story, **UNCACHED, retry=ONCE)

    def test_a_moment_in_which_everything_fails(self) -> None:
        """A hundred that fail together are tried again: it is known only when some have failed with all attempts."""

        class Blip(Manager):
            async def _before(self, operation: str, name: str) -> None:
                first = (operation, name) not in self.calls
                self.calls.append((operation, name))
                if first:
                    raise down(name)

        async def story(client: SecretsClient, _: Manager, __: VirtualClock) -> None:
            assert await asyncio.gather(*(outcome(client, f"K{i}") for i in range(40))) == [None] * 40

        told(story, Blip({f"K{i}": "canary" for i in range(40)}))

    def test_a_name_that_fails_by_itself(self) -> None:
        """However often it is read, others are answered, and theirs are not held back for more than a moment."""

        class Sick(Manager):
            async def _before(self, operation: str, name: str) -> None:
                self.calls.append((operation, name))
                if name in {"K0", "K1", "K2"}:
                    raise down(name)

        async def story(client: SecretsClient, _: Manager, clock: VirtualClock) -> None:
            storm = asyncio.create_task(read_for(30, client, clock, *("K0", "K1", "K2") * 10))
            await asyncio.sleep(10)
            for number in range(3, 10):
                assert await outcome(client, f"K{number}") is None
                await asyncio.sleep(2.0)
            await storm

        told(story, Sick({f"K{i}": "canary" for i in range(40)}))

    def test_a_node_that_lags(self) -> None:
        """It answers, and what it answers is of no use for this one name."""

        async def story(client: SecretsClient, manager: Manager, _: VirtualClock) -> None:
            manager.failure = None
            source = client._sources["default"]
            for _number in range(4):
                source.known.written("K0", "9")
                assert isinstance(await outcome(client), UnavailableError)
            assert not source.calls.outage.lasts

        told(story)


def test_attempts_stop_when_it_becomes_known() -> None:
    """Of forty that failed together, those that wait to try again do not: what they would hear is known."""

    async def story(client: SecretsClient, manager: Manager, _: VirtualClock) -> None:
        others = [begin_late(client) for _ in range(3)]
        errors = await asyncio.gather(*(outcome(client, f"K{i}") for i in range(37)), *others)
        assert all(isinstance(error, UnavailableError) for error in errors)
        assert len(manager.calls) < 3 * 40
        await settled()

    async def begin_late(client: SecretsClient) -> AsyncSecretsError | None:
        await asyncio.sleep(0.001)
        return await outcome(client, "K39")

    told(story, retry=RetryPolicy(attempts=3))
