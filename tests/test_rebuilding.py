"""Objects that are made with secrets: made anew when these change, and each retired once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextvars import ContextVar
from typing import Any

import pytest

from asyncsecrets.client import SecretsClient
from asyncsecrets.errors import ClosedError, ConfigError, ResolveError, UnavailableError
from asyncsecrets.rebuilding import Rebuilt
from asyncsecrets.secret import Secret
from asyncsecrets.testing.virtual_time import VirtualClock
from tests.client.support import ONCE, Failure, Manager, denied, down, in_virtual_time, settled, value, virtual_client

GRACE = 30.0


class Pool:
    """What is built: it knows its password, and what became of it."""

    def __init__(self, password: str) -> None:
        self.password = password
        self.retired = 0


class Factory:
    """Builds pools, and retires them; each takes its time, and fails as told."""

    def __init__(self, *, takes: float = 0.0, retiring_takes: float = 0.0) -> None:
        self.takes, self.retiring_takes = takes, retiring_takes
        self.failure: BaseException | None = None
        self.pools: list[Pool] = []
        self.begun = 0

    async def build(self, secret: Secret) -> Pool:
        self.begun += 1
        await asyncio.sleep(self.takes)
        if self.failure is not None:
            raise self.failure
        self.pools.append(Pool(secret.reveal()))
        return self.pools[-1]

    async def build_many(self, found: Mapping[str, Secret]) -> Pool:
        return await self.build(Secret("/".join(secret.reveal() for secret in found.values()), name="all"))

    async def retire(self, pool: Pool) -> None:
        pool.retired += 1
        await asyncio.sleep(self.retiring_takes)

    @property
    def retired(self) -> list[int]:
        """How often each was."""
        return [pool.retired for pool in self.pools]


class World:
    """A manager with one secret, a client of it, and what is built with that."""

    def __init__(self, clock: VirtualClock, factory: Factory, names: Any, **options: Any) -> None:
        self.clock = clock
        self.factory = factory
        self.manager = Manager({"NAME": "canary-0", "OTHER": "canary-0"})
        self.client = virtual_client(clock, self.manager, retry=ONCE, **options)
        build: Any = factory.build if isinstance(names, str) else factory.build_many
        self.rebuilt: Rebuilt[Pool] = Rebuilt(
            self.client, names, build=build, retire=factory.retire, grace=GRACE, jitter=lambda: 1.0
        )

    async def rotate(self, number: int, name: str = "NAME") -> None:
        """By somebody else, and this client has seen it."""
        self.manager.set(name, f"canary-{number}")
        await self.client.refresh(name)
        await settled()

    @property
    def current(self) -> str:
        """The password of the pool in use."""
        return self.rebuilt.current.password


@contextlib.asynccontextmanager
async def opened(clock: VirtualClock, factory: Factory, names: Any = "NAME", **options: Any) -> AsyncIterator[World]:
    """A world in which it is open."""
    world = World(clock, factory, names, **options)
    async with world.client, world.rebuilt as rebuilt:
        assert rebuilt is world.rebuilt
        yield world
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_it_is_built_anew_and_the_old_one_retired_after_its_grace() -> None:
    """Once each; what is current is there from the first moment on, and never between two."""

    async def main(clock: VirtualClock) -> None:
        factory = Factory()
        async with opened(clock, factory) as world:
            assert (world.current, factory.begun) == ("canary-0", 1)
            await world.rotate(1)
            assert world.current == "canary-1"
            await asyncio.sleep(GRACE - 1)
            assert factory.retired == [0, 0]
            await asyncio.sleep(2)
            assert factory.retired == [1, 0]
            await world.client.refresh("NAME")
            await asyncio.sleep(1000)
            assert factory.begun == 2
        assert factory.retired == [1, 1]

    in_virtual_time(main)


def test_a_rotation_in_the_background_is_enough() -> None:
    """Nobody reads and nobody asks: the renewal of the client finds it."""

    async def main(clock: VirtualClock) -> None:
        async with opened(clock, Factory(), refresh_interval=100.0) as world:
            world.manager.set("NAME", "canary-1")
            await asyncio.sleep(110)
            assert world.current == "canary-1"

    in_virtual_time(main)


def test_several_rotations_in_a_short_time() -> None:
    """While a build takes its time: the newest is built in the end, and each that was built is retired once."""

    async def main(clock: VirtualClock) -> None:
        factory = Factory(takes=5.0, retiring_takes=100.0)
        async with opened(clock, factory) as world:
            for number in range(1, 8):
                await world.rotate(number)
                await asyncio.sleep(1.0)
            await asyncio.sleep(20.0)
            assert world.current == "canary-7"
            assert [pool.password for pool in factory.pools][-1] == "canary-7"
            assert len(factory.pools) < 5
            await asyncio.sleep(500.0)
            assert factory.retired == [1] * (len(factory.pools) - 1) + [0]
        assert factory.retired == [1] * len(factory.pools)

    in_virtual_time(main)


def test_one_that_is_in_use_is_not_retired() -> None:
    """However long that takes, and by however many; its users go on with it, new ones get the new one."""

    async def main(clock: VirtualClock) -> None:
        factory = Factory()
        async with opened(clock, factory) as world:
            async with world.rebuilt.use() as mine:
                with contextlib.suppress(LookupError):
                    async with world.rebuilt.use() as too:
                        assert too is mine
                        await world.rotate(1)
                        async with world.rebuilt.use() as new:
                            assert new.password == "canary-1"
                        await asyncio.sleep(GRACE * 2)
                        raise LookupError
                await asyncio.sleep(GRACE)
                assert (mine.password, factory.retired) == ("canary-0", [0, 0])
            await settled()
            assert factory.retired == [1, 0]

    in_virtual_time(main)


@pytest.mark.parametrize("kind", [OSError, asyncio.CancelledError])
def test_a_build_that_fails_keeps_what_is_there(kind: type[BaseException], caplog: pytest.LogCaptureFixture) -> None:
    """It is tried again with pauses that grow to a minute; one line says so, and one that it came right."""

    async def main(clock: VirtualClock) -> None:
        factory = Factory()
        async with opened(clock, factory) as world:
            factory.failure = kind("postgres://app:canary-1@db")
            await world.rotate(1)
            assert (world.current, factory.begun) == ("canary-0", 2)
            await asyncio.sleep(3600)
            assert world.current == "canary-0"
            assert 60 < factory.begun < 75
            assert factory.retired == [0]
            factory.failure = None
            await asyncio.sleep(60)
            assert world.current == "canary-1"

    with caplog.at_level(logging.INFO):
        in_virtual_time(main)
    lines = [record.getMessage() for record in caplog.records if record.name == "asyncsecrets.rebuilding"]
    assert len(lines) == 2
    assert lines[0].startswith("what is built with NAME could not be built anew: ")
    assert kind is asyncio.CancelledError or "OSError in test_rebuilding.py, line " in lines[0]
    assert "built anew after all" in lines[1]
    assert "canary" not in caplog.text
    assert not any(record.exc_info for record in caplog.records)


def test_the_next_rotation_is_tried_at_once() -> None:
    """A build that failed does not keep it waiting; and one that is taken back ends the trouble."""

    async def main(clock: VirtualClock) -> None:
        factory = Factory()
        async with opened(clock, factory) as world:
            factory.failure = OSError()
            await world.rotate(1)
            await asyncio.sleep(300)
            factory.failure = None
            await world.rotate(2)
            assert world.current == "canary-2"

    in_virtual_time(main)


@pytest.mark.parametrize("failure", [None, down])
def test_a_secret_that_cannot_be_had_any_more(failure: Failure | None) -> None:
    """Deleted, or the manager is down past the value's life: what is there stays, until it is back."""

    async def main(clock: VirtualClock) -> None:
        factory = Factory()
        options = {"refresh_interval": 100.0, "max_stale": 50.0, "negative_ttl": 1.0}
        async with opened(clock, factory, **options) as world:
            world.manager.failure = failure
            if failure is None:
                await world.client.delete("NAME")
            await asyncio.sleep(1000)
            assert (world.current, factory.begun) == ("canary-0", 1)
            world.manager.failure = None
            world.manager.set("NAME", "canary-1")
            await asyncio.sleep(130)
            assert world.current == "canary-1"

    in_virtual_time(main)


def test_several_names_are_one_snapshot() -> None:
    """It is built with all of them, by name, whichever has changed; a name that is given twice counts once."""

    async def main(clock: VirtualClock) -> None:
        factory = Factory()
        async with opened(clock, factory, ["NAME", "OTHER", "NAME"]) as world:
            assert world.current == "canary-0/canary-0"
            await world.rotate(1, "OTHER")
            assert world.current == "canary-0/canary-1"
            world.manager.set("NAME", "canary-2")
            world.manager.set("OTHER", "canary-2")
            await asyncio.gather(world.client.refresh("NAME"), world.client.refresh("OTHER"))
            await settled()
            assert world.current == "canary-2/canary-2"

    in_virtual_time(main)


class TestRefresh:
    """A login has failed: the manager is asked now."""

    def test_once_for_any_number_of_callers(self) -> None:
        """One question and one build; all get the new object. Who is late with the old one asks nothing."""

        async def main(clock: VirtualClock) -> None:
            factory = Factory(takes=2.0)
            async with opened(clock, factory) as world:
                old = world.rebuilt.current
                world.manager.set("NAME", "canary-1")
                calls = len(world.manager.calls)
                pools = await asyncio.gather(*(world.rebuilt.refresh(old) for _ in range(50)))
                assert {pool.password for pool in pools} == {"canary-1"}
                assert (len(world.manager.calls) - calls, factory.begun) == (1, 2)
                assert await world.rebuilt.refresh(old) is pools[0]
                assert len(world.manager.calls) - calls == 1

        in_virtual_time(main)

    def test_one_question_a_second(self) -> None:
        """Where logins go on to fail though nothing has changed, the manager is not asked for each of them."""

        async def main(clock: VirtualClock) -> None:
            async with opened(clock, Factory()) as world:
                first = world.rebuilt.current
                calls, began = len(world.manager.calls), clock.monotonic()
                for _ in range(10):
                    same = await asyncio.gather(*(world.rebuilt.refresh(first) for _ in range(10)))
                    assert {*same} == {first}
                assert len(world.manager.calls) - calls == 10
                assert clock.monotonic() - began == pytest.approx(9.0)
                world.manager.set("NAME", "canary-1")
                assert (await world.rebuilt.refresh()).password == "canary-1"

        in_virtual_time(main)

    def test_what_goes_wrong_is_told(self) -> None:
        """The manager's error and the build's, to each caller afresh; the object stays. One that is cancelled harms
        nobody else."""

        async def main(clock: VirtualClock) -> None:
            factory = Factory(takes=1.0)
            async with opened(clock, factory) as world:
                world.manager.failure = down
                with pytest.raises(UnavailableError):
                    await world.rebuilt.refresh()
                world.manager.failure, factory.failure = None, OSError("no")
                world.manager.set("NAME", "canary-1")
                callers = [asyncio.ensure_future(world.rebuilt.refresh()) for _ in range(3)]
                await settled()
                callers[0].cancel()
                errors: list[Any] = await asyncio.gather(*callers, return_exceptions=True)
                assert [type(error) for error in errors] == [asyncio.CancelledError, OSError, OSError]
                assert errors[1] is not errors[2]
                assert all("rebuilding" not in frame for error in errors[1:] for frame in frames(error))
                assert world.current == "canary-0"
                factory.failure = None
                assert (await world.rebuilt.refresh()).password == "canary-1"

        in_virtual_time(main)

    def test_closing_ends_it(self) -> None:
        """Whoever waits is told so."""

        async def main(clock: VirtualClock) -> None:
            async with opened(clock, Factory(takes=5.0)) as world:
                world.manager.set("NAME", "canary-1")
                waiting = asyncio.ensure_future(world.rebuilt.refresh())
                await asyncio.sleep(1.0)
            with pytest.raises(ClosedError):
                await waiting

        in_virtual_time(main)


def frames(error: BaseException) -> list[str]:
    """The files of those that its traceback shows below this one."""
    place, found = error.__traceback__, []
    while place is not None:
        found.append(place.tb_frame.f_code.co_filename)
        place = place.tb_next
    return found[1:-1]  # what raises it afresh is the last


class TestLife:
    """Opening and closing."""

    @pytest.mark.parametrize("failure", [down, OSError("canary")])
    def test_a_start_that_fails(self, failure: Any) -> None:
        """The manager's error or the build's reaches whoever enters, nothing is left, and it may be entered again."""

        async def main(clock: VirtualClock) -> None:
            factory = Factory()
            world = World(clock, factory, "NAME")
            world.manager.failure = failure if callable(failure) else None
            factory.failure = None if callable(failure) else failure
            async with world.client:
                with pytest.raises((ResolveError, OSError)):
                    await world.rebuilt.__aenter__()
                with pytest.raises(ClosedError):
                    _ = world.rebuilt.current
                await world.rebuilt.aclose()
                world.manager.failure = factory.failure = None
                async with world.rebuilt:
                    assert world.current == "canary-0"
                async with world.rebuilt:
                    assert world.current == "canary-0"
            assert factory.retired == [1, 1]

        in_virtual_time(main)

    async def test_while_it_is_not_open(self) -> None:
        """Everything says so; nothing is called on what is no build."""
        async with SecretsClient.from_provider(Manager({"NAME": "canary"}), environ={}) as client:
            factory = Factory()
            rebuilt = Rebuilt(client, "NAME", build=factory.build)
            for _ in range(2):
                with pytest.raises(ClosedError, match="async with"):
                    _ = rebuilt.current
                with pytest.raises(ClosedError):
                    await rebuilt.refresh()
                with pytest.raises(ClosedError):
                    await rebuilt.use().__aenter__()
                async with rebuilt:
                    with pytest.raises(ConfigError, match="open"):
                        await rebuilt.__aenter__()
            with pytest.raises(ConfigError, match="coroutine"):
                await Rebuilt(client, "NAME", build=lambda secret: 7).__aenter__()  # type: ignore[arg-type,return-value]
            with pytest.raises(ConfigError, match="grace"):
                Rebuilt(client, "NAME", build=factory.build, grace=-1.0)
            with pytest.raises(ConfigError, match="no name"):
                Rebuilt(client, [], build=factory.build_many)
            with pytest.raises(ConfigError, match="names"):
                Rebuilt(client, 7, build=factory.build)  # type: ignore[call-overload]

    def test_entered_twice_at_once(self) -> None:
        """One of the two is refused, and what it built is retired."""

        async def main(clock: VirtualClock) -> None:
            factory = Factory(takes=1.0)
            world = World(clock, factory, "NAME")
            async with world.client:
                enter = world.rebuilt.__aenter__
                outcomes = await asyncio.gather(enter(), enter(), return_exceptions=True)
                assert [type(outcome) for outcome in outcomes] == [Rebuilt, ConfigError]
                await world.rebuilt.aclose()
            assert factory.retired == [1, 1]

        in_virtual_time(main)

    def test_closing_retires_all_at_once(self) -> None:
        """Those in their grace, one that is in use, and the current one; twice is harmless."""

        async def main(clock: VirtualClock) -> None:
            factory = Factory(retiring_takes=3.0)
            async with opened(clock, factory) as world:
                await world.rotate(1)
                await world.rebuilt.use().__aenter__()
                await world.rotate(2)
                began = clock.monotonic()
                await asyncio.gather(world.rebuilt.aclose(), world.rebuilt.aclose())
                assert factory.retired == [1, 1, 1]
                assert clock.monotonic() - began == pytest.approx(3.0)

        in_virtual_time(main)

    def test_a_retire_that_fails_or_is_a_plain_function(self, caplog: pytest.LogCaptureFixture) -> None:
        """The first is logged by class, and holds up nothing; the second is called."""

        async def main(clock: VirtualClock) -> None:
            retired: list[str] = []

            def plain(pool: Pool) -> None:
                retired.append(pool.password)
                raise OSError(pool.password)

            async with virtual_client(clock, Manager({"NAME": "canary-0"})) as client:
                async with Rebuilt(client, "NAME", build=Factory().build, retire=plain, grace=1.0):
                    await client.put("NAME", "canary-1")
                    await asyncio.sleep(2.0)
                    assert retired == ["canary-0"]
                assert retired == ["canary-0", "canary-1"]

        in_virtual_time(main)
        assert caplog.text.count("could not be retired: OSError in test_rebuilding.py, line ") == 2
        assert "canary" not in caplog.text

    def test_the_client_is_closed_first(self) -> None:
        """What is there stays in use; asking says why not; and it closes as ever."""

        async def main(clock: VirtualClock) -> None:
            factory = Factory()
            async with opened(clock, factory) as world:
                await world.client.aclose()
                await settled()
                assert world.current == "canary-0"
                with pytest.raises(ClosedError):
                    await world.rebuilt.refresh()
            assert factory.retired == [1]

        in_virtual_time(main)

    def test_a_name_that_is_denied_for_a_while(self) -> None:
        """Following it ends with that, and is begun anew."""

        async def main(clock: VirtualClock) -> None:
            async with opened(clock, Factory(), refresh_interval=100.0, max_stale=50.0) as world:
                world.manager.failure = denied
                await asyncio.sleep(1000)
                assert world.current == "canary-0"
                world.manager.failure = None
                world.manager.set("NAME", "canary-1")
                await asyncio.sleep(130)
                assert world.current == "canary-1"

        in_virtual_time(main)


# -- the matrix: something is cancelled after k turns of the loop


async def _enter(world: World) -> None:
    async with world.rebuilt:
        await asyncio.sleep(0)


async def _use(world: World) -> None:
    async with world.rebuilt, world.rebuilt.use():
        await world.rotate(1)


async def _refresh(world: World) -> None:
    async with world.rebuilt:
        world.manager.set("NAME", "canary-1")
        await world.rebuilt.refresh()


async def _rotate_and_close(world: World) -> None:
    async with world.rebuilt:
        world.manager.set("NAME", "canary-1")
        await world.client.refresh("NAME")


@pytest.mark.parametrize("operation", [_enter, _use, _refresh, _rotate_and_close])
def test_the_cancellation_matrix(operation: Callable[[World], Any]) -> None:
    """At every step: what was built is retired once, no task is left, no cancellation is swallowed, and it works."""
    for step in range(30):
        clock = VirtualClock()
        with asyncio.Runner(loop_factory=clock.new_loop) as runner:
            runner.run(_cancelled(clock, operation, step))


async def _cancelled(clock: VirtualClock, operation: Callable[[World], Any], step: int) -> None:
    factory = Factory(takes=0.0 if step % 2 else 0.1, retiring_takes=0.1)
    world = World(clock, factory, "NAME")
    async with world.client:
        task = asyncio.ensure_future(operation(world))
        for _ in range(step):
            await asyncio.sleep(0)
        late = not task.cancel()
        await asyncio.wait({task})
        assert late or task.cancelled()
        async with world.rebuilt:
            assert world.current in {"canary-0", "canary-1"}
            await world.rotate(2)
            await asyncio.sleep(1.0)
            assert world.current == "canary-2"
    await asyncio.sleep(GRACE)
    assert set(factory.retired) == {1}
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_its_tasks_keep_no_request() -> None:
    """What is built later is built in nobody's context."""
    request: ContextVar[str] = ContextVar("request", default="none")
    seen: list[str] = []

    async def build(secret: Secret) -> str | None:
        seen.append(request.get())
        return value(secret)

    request.set("first")
    async with (
        SecretsClient.from_provider(Manager({"NAME": "canary-0"}), environ={}) as client,
        Rebuilt(client, "NAME", build=build) as rebuilt,
    ):
        await client.put("NAME", "canary-1")
        await settled()
        assert rebuilt.current == "canary-1"
    assert seen == ["first", "none"]
