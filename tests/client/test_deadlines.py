"""Deadlines count what they are said to count: an operation as a whole, from its turn."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar

import pytest

from asyncsecrets.client import SecretsClient
from asyncsecrets.config import AccessMode, Freshness, SourceConfig
from asyncsecrets.errors import (
    AccessDeniedError,
    AsyncSecretsError,
    DeadlineExceededError,
    ProviderError,
    ResolveError,
    SecretNotFoundError,
    UnavailableError,
    WriteOutcomeUnknownError,
)
from asyncsecrets.providers.aws.kms import AwsKmsProvider
from asyncsecrets.providers.aws.secrets_manager import AwsSecretsManagerProvider
from asyncsecrets.providers.vault import VaultProvider
from asyncsecrets.retry import RetryPolicy
from asyncsecrets.secret import Payload, Secret
from asyncsecrets.sending import is_out, is_settled
from asyncsecrets.testing.virtual_time import VirtualClock
from tests.client.able import Able, operations
from tests.client.support import (
    Manager,
    client_of,
    client_with,
    in_virtual_time,
    value,
    virtual_client,
    virtual_options,
)

Operation = Callable[[SecretsClient], Awaitable[Any]]
OBJECT = '{"a": "canary-a"}'

EVERY: dict[str, Operation] = {
    "get": lambda client: client.get("COLD"),
    "get of a version": lambda client: client.get("NAME", version="1"),
    "get_many": lambda client: client.get_many(["COLD", "COLDER"]),
    "warm_up": lambda client: client.warm_up(["COLD"]),
    "resolve": lambda client: client.resolve({"a": "os.environ/COLD"}),
    "refresh": lambda client: client.refresh("NAME"),
    "put": lambda client: client.put("NAME", "canary-new"),
    "put with cas": lambda client: client.put("NAME", "canary-new", cas="1"),
    "delete": lambda client: client.delete("NAME"),
    "versions": lambda client: client.versions("NAME"),
    "metadata": lambda client: client.metadata("NAME"),
    "encrypt": lambda client: client.encrypt("canary"),
    **{name: lambda client, name=name: operations(client)[name]() for name in operations(None)},  # type: ignore[arg-type, misc]
}


class Mute(Able):
    """Takes requests, and from some moment on answers none.

    ``answers``: how many calls it does answer first; ``times_out``: seconds after which a call that is not answered is
    given up, as providers do, if ever; ``applies``: whether it does what it is asked before it falls silent.
    """

    def __init__(self, answers: int = 0, *, times_out: float | None = 5.0, applies: bool = False) -> None:
        super().__init__(NAME=OBJECT)
        self.answers = answers
        self.times_out = times_out
        self.applies = applies
        self.mute = False

    async def _silence(self, name: str, *, writes: bool) -> None:
        if not self.mute:
            return
        self.answers -= 1
        if self.answers >= 0:
            return
        await asyncio.sleep(3600.0 if self.times_out is None else self.times_out)
        raise UnavailableError("memory: no answer", provider="memory", name=name, outcome_unknown=writes)

    async def _before(self, operation: str, name: str) -> None:
        self.calls.append((operation, name))
        if not self.applies:
            await self._silence(name, writes=operation not in {"get", "versions", "metadata", "encrypt", "list"})

    async def put(self, name: str, payload: Payload, *, cas: str | None = None, token: str = "") -> Secret:
        written = await super().put(name, payload, cas=cas, token=token)
        if self.applies:
            await self._silence(name, writes=True)
        return written


async def timed(clock: VirtualClock, operation: Awaitable[Any]) -> tuple[float, BaseException | None]:
    """How long it took, and what it raised."""
    started, error = clock.monotonic(), None
    try:
        await operation
    except AsyncSecretsError as raised:
        error = raised
    return clock.monotonic() - started, error


@pytest.mark.parametrize("times_out", [5.0, None])
@pytest.mark.parametrize("answers", [0, 1, 2])
@pytest.mark.parametrize("operation", EVERY)
def test_no_operation_takes_longer_than_the_deadline(operation: str, answers: int, times_out: float | None) -> None:
    """Whatever calls it makes, whichever of them is the first that is not answered, and whether or not the provider
    gives up by itself. A change that was sent is of unknown outcome then."""

    async def main(clock: VirtualClock) -> None:
        manager = Mute(answers, times_out=times_out)
        async with virtual_client(clock, manager) as client:
            await client.get("NAME")
            manager.calls.clear()
            manager.mute = True
            took, error = await timed(clock, EVERY[operation](client))
            manager.mute = False
        assert took <= 10.0 + 1e-6
        sent = [called for called, _ in manager.calls if called not in {"get", "versions", "metadata", "encrypt"}]
        if sent and answers == 0:
            assert isinstance(error, WriteOutcomeUnknownError)
        assert sum(called == "get" for called, _ in manager.calls) < 5

    in_virtual_time(main)


@pytest.mark.parametrize("applies", [True, False])
def test_there_is_time_left_to_find_out(applies: bool) -> None:
    """A provider that would wait for ever for the answer to a put: it is given up while a read is still in time."""

    async def main(clock: VirtualClock) -> None:
        manager = Mute(0, times_out=None, applies=applies)
        async with virtual_client(clock, manager) as client:
            await client.get("NAME")
            manager.mute = True
            putting = asyncio.ensure_future(timed(clock, client.put("NAME", "canary-new")))
            await asyncio.sleep(5.5)
            manager.answers = 1000
            took, error = await putting
            assert error is None
            assert took < 10.0
            assert value(await client.get("NAME")) == "canary-new"
        assert [called for called, _ in manager.calls].count("put") == (1 if applies else 2)

    in_virtual_time(main)


class Telling(Mute):
    """Tells how far each write has come, and goes no further than ``moment``."""

    tells_sending = True

    def __init__(self, moment: str) -> None:
        super().__init__()
        self.moment = moment

    async def _before(self, operation: str, name: str) -> None:
        self.calls.append((operation, name))
        if self.mute and operation not in {"get", "versions", "metadata", "list"}:
            if self.moment != "logs in":
                is_out()
            if self.moment == "logs in again":
                is_settled()
            await asyncio.sleep(3600.0)


WRITES = ["put", "put with cas", "delete", "patch", "restore", "destroy", "delete_versions", "write_metadata"]


@pytest.mark.parametrize("attempts", [1, 3])
@pytest.mark.parametrize("moment", ["logs in", "logs in again", "is sent"])
@pytest.mark.parametrize("operation", WRITES)
def test_a_write_that_was_not_sent_was_not_applied(operation: str, moment: str, attempts: int) -> None:
    """What the provider waits for when time is over decides: a login, also one after a refusal, or the answer."""

    async def main(clock: VirtualClock) -> None:
        manager = Telling(moment)
        async with virtual_client(clock, manager, retry=RetryPolicy(attempts=attempts)) as client:
            await client.get("NAME")
            manager.mute = True
            took, error = await timed(clock, EVERY[operation](client))
            manager.mute = False
        assert took <= 10.0 + 1e-6
        assert isinstance(error, ProviderError)
        assert type(error) is (WriteOutcomeUnknownError if moment == "is sent" else DeadlineExceededError)
        assert error.outcome_unknown == (moment == "is sent")

    in_virtual_time(main)


@pytest.mark.parametrize("operation", ["put", "patch", "delete", "restore"])
def test_writes_that_wait_for_one_another_wait_no_longer_than_that(operation: str) -> None:
    """Of several of one name at a mute manager one is sent, and the others say that they were not."""

    async def main(clock: VirtualClock) -> None:
        manager = Mute()
        async with virtual_client(clock, manager) as client:
            await client.get("NAME")
            manager.calls.clear()
            manager.mute = True
            outcomes = await asyncio.gather(*(timed(clock, EVERY[operation](client)) for _ in range(5)))
            manager.mute = False
        assert max(took for took, _ in outcomes) <= 10.0 + 1e-6
        assert [type(error) for _, error in outcomes] == [WriteOutcomeUnknownError, *[DeadlineExceededError] * 4]
        assert all("was not begun" in str(error) for _, error in outcomes[1:])
        assert sum(called == operation for called, _ in manager.calls) <= 2

    in_virtual_time(main)


def test_writes_of_one_name_may_take_their_turns_for_long() -> None:
    """As long as each of them is answered."""

    async def main(clock: VirtualClock) -> None:
        manager = Slow(takes=3.0)
        async with virtual_client(clock, manager) as client:
            await asyncio.gather(*(client.put("NAME", f"canary-{number}") for number in range(20)))
            assert value(await client.get("NAME")) == "canary-19"
        assert clock.monotonic() - 1000.0 >= 60.0

    in_virtual_time(main)


class Slow(Manager):
    """Answers each call after ``takes`` seconds, for ``room`` at once; who comes too many has its time run."""

    def __init__(self, takes: float = 1.2, room: int | None = None) -> None:
        super().__init__({"NAME": OBJECT})
        self.takes = takes
        self.connections = asyncio.Semaphore(room or 10_000)
        self.under_way = self.most = 0
        if room is not None:
            self.concurrency = room

    async def _before(self, operation: str, name: str) -> None:
        self.calls.append((operation, name))
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            async with self.connections:
                await asyncio.sleep(self.takes)
        finally:
            self.under_way -= 1

    async def get(self, name: str, version: str | None = None) -> Secret:
        await self._begin("get", name)
        return Secret(f"canary-{name}", name=name, version="1")


class SlowBatches(Slow):
    """Has a call for twenty names."""

    batch_size: ClassVar[int] = 20
    refuses = False

    async def get_many(self, names: Sequence[str]) -> Mapping[str, Secret | ProviderError]:
        await self._begin("get_many", names[0])
        return {} if self.refuses else {name: Secret(f"canary-{name}", name=name, version="1") for name in names}


async def _gets(client: SecretsClient, names: list[str]) -> None:
    await asyncio.gather(*(client.get(name) for name in names))


STORMS: dict[str, Callable[[SecretsClient, list[str]], Awaitable[Any]]] = {
    "get": _gets,
    "get_many": lambda client, names: client.get_many(names),
    "warm_up": lambda client, names: client.warm_up(names),
    "resolve": lambda client, names: client.resolve([f"os.environ/{name}" for name in names]),
    "versions": lambda client, names: asyncio.gather(*(client.versions("NAME") for _ in names)),
    "put": lambda client, names: asyncio.gather(*(client.put(name, "canary") for name in names)),
}


@pytest.mark.parametrize(("room", "opened"), [(7, True), (7, False), (None, True)])
@pytest.mark.parametrize("storm", STORMS)
def test_waiting_for_a_connection_is_nobodys_failure(storm: str, room: int | None, opened: bool) -> None:
    """Many at once, of which each is answered in time: none fails, and no more begin than are served."""

    async def main(clock: VirtualClock) -> None:
        manager = Slow(room=room)
        client = virtual_client(clock, manager)
        if opened:
            await client.start()
        await STORMS[storm](client, [f"N{number}" for number in range(100 if room else 1000)])
        assert clock.monotonic() - 1000.0 > 10.0
        assert manager.most == (room or 100)
        await client.aclose()

    in_virtual_time(main)


@pytest.mark.parametrize("refuses", [True, False])
def test_batches_take_turns_too(refuses: bool) -> None:
    """It is calls that take a place, not names, also where each name has to be asked for on its own in the end."""

    async def main(clock: VirtualClock) -> None:
        manager = SlowBatches(room=5)
        manager.refuses = refuses
        async with virtual_client(clock, manager) as client:
            await client.warm_up(f"N{number}" for number in range(400))
        assert manager.most == 5
        assert len(manager.calls) == (420 if refuses else 20)

    in_virtual_time(main)


def test_a_name_that_its_batch_left_out_has_the_time_that_is_left() -> None:
    """Nine seconds for the batch and three for the name are more than ten."""

    async def main(clock: VirtualClock) -> None:
        manager = SlowBatches(takes=9.0)
        manager.refuses = True
        async with virtual_client(clock, manager) as client:
            outcomes = await asyncio.gather(*(timed(clock, client.get(name)) for name in ("A", "B")))
        assert [(took, type(error)) for took, error in outcomes] == [(pytest.approx(10.0), DeadlineExceededError)] * 2

    in_virtual_time(main)


@pytest.mark.parametrize("storm", STORMS)
def test_a_mute_manager_keeps_nobody_longer(storm: str) -> None:
    """Neither those who have begun nor those who have not."""

    async def main(clock: VirtualClock) -> None:
        async with virtual_client(clock, Slow(takes=3600.0)) as client:
            took, error = await timed(clock, STORMS[storm](client, [f"N{number}" for number in range(200)]))
        assert took <= 10.0 + 1e-6
        failures = error.failures.values() if isinstance(error, ResolveError) else [error]
        assert {type(failure) for failure in failures} <= {DeadlineExceededError, WriteOutcomeUnknownError}

    in_virtual_time(main)


class Deaf(Slow):
    """Cannot be cancelled."""

    async def get(self, name: str, version: str | None = None) -> Secret:
        until = asyncio.get_running_loop().time() + 3600.0
        while asyncio.get_running_loop().time() < until:
            try:
                await asyncio.sleep(until - asyncio.get_running_loop().time())
            except asyncio.CancelledError:
                self.calls.append(("cancelled", name))
        return await super().get(name, version)


def test_a_bulk_read_has_a_deadline_of_its_own() -> None:
    """It grows with the names, and holds whatever a provider does: what is there by then is kept."""

    async def main(clock: VirtualClock) -> None:
        manager = Deaf(room=10)
        client = virtual_client(clock, manager)
        await client.put("WARM", "canary")
        took, error = await timed(clock, client.get_many(["WARM", *(f"N{number}" for number in range(29))]))
        assert took == pytest.approx(10.0 * (1 + 30 / 10))
        assert isinstance(error, ResolveError)
        assert len(error.failures) == 29
        assert any("not read in the 40 s that 30 names may take" in str(one) for one in error.failures.values())
        assert value(client.peek("WARM")) == "canary"
        await client.aclose()

    in_virtual_time(main)


class Opens(Slow):
    """Takes long to open."""

    opens = 6.0

    async def open(self) -> None:
        await asyncio.sleep(self.opens)
        await super().open()


@pytest.mark.parametrize("operation", ["get", "put", "versions", "get_many"])
def test_opening_counts(operation: str) -> None:
    """Six seconds to open and six to be answered are more than ten."""

    async def main(clock: VirtualClock) -> None:
        client = virtual_client(clock, Opens(takes=6.0))
        took, error = await timed(clock, EVERY[operation](client))
        assert took == pytest.approx(10.0)
        assert isinstance(error, DeadlineExceededError | WriteOutcomeUnknownError | ResolveError)
        await client.aclose()

    in_virtual_time(main)


def test_start_has_a_deadline() -> None:
    """A provider that never opens is said to be one."""

    async def main(clock: VirtualClock) -> None:
        manager = Opens()
        manager.opens = 3600.0
        client = virtual_client(clock, manager)
        took, error = await timed(clock, client.start())
        assert took == pytest.approx(10.0, abs=2.1)
        assert isinstance(error, DeadlineExceededError)

    in_virtual_time(main)


async def test_the_providers_say_how_many_connections_they_have() -> None:
    """As many as are set; the embedded ones need none."""
    vault = VaultProvider.from_settings(
        {"max_connections": 7}, {"VAULT_ADDR": "http://127.0.0.1:1", "VAULT_TOKEN": "x"}
    )
    aws = {"max_connections": 9, "aws_region_name": "eu-central-1"}
    assert vault.concurrency == 7
    assert AwsSecretsManagerProvider.from_settings(aws, {}).concurrency == 9
    assert AwsKmsProvider.from_settings(aws, {}).concurrency == 9


def test_the_providers_say_how_long_a_request_may_still_arrive() -> None:
    """For as long as an attempt lasts, after which a compare-and-set is decided."""
    environ = {"VAULT_ADDR": "http://127.0.0.1:1", "VAULT_TOKEN": "x"}
    aws = {"attempt_timeout": "3", "aws_region_name": "eu-central-1"}
    for provider in (
        VaultProvider.from_settings({"attempt_timeout": "3"}, environ),
        AwsSecretsManagerProvider.from_settings(aws, {}),
    ):
        source = client_of(provider)._sources["default"]
        assert source.arrives_within(5.0) == 3.0
    assert client_of(Manager())._sources["default"].arrives_within(5.0) == 5.0


class OwnReader(Slow):
    """Reads its credentials through the client that it serves, and has room for few."""

    client: SecretsClient

    async def get(self, name: str, version: str | None = None) -> Secret:
        if name != "CREDENTIALS":
            await self.client.get("CREDENTIALS")
        return await super().get(name, version)

    async def put(self, name: str, payload: Payload, *, cas: str | None = None, token: str = "") -> Secret:
        await self.client.get("CREDENTIALS")
        return await super().put(name, payload, cas=cas, token=token)


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("room", [1, 3])
@pytest.mark.parametrize("storm", ["get", "get_many", "put"])
def test_who_waits_for_another_secret_takes_nobodys_turn(storm: str, room: int, cached: bool) -> None:
    """Not the one of the secret that it waits for, above all; and no more are under way than there is room for."""

    async def main(clock: VirtualClock) -> None:
        manager = OwnReader(room=room)
        declared = SourceConfig(
            name="default",
            system="memory",
            access_mode=AccessMode.READ_AND_WRITE,
            freshness=Freshness(cached=cached),
        )
        client = manager.client = client_with({"default": (declared, manager)}, **virtual_options(clock))
        await STORMS[storm](client, [f"N{number}" for number in range(2 * room)])
        assert manager.most <= room + 1
        assert client._sources["default"].calls.tasks.gate.enter()
        await client.aclose()

    in_virtual_time(main)


def test_a_list_has_six_deadlines_from_its_turn() -> None:
    """Also where the provider had to be opened first."""

    async def main(clock: VirtualClock) -> None:
        client = virtual_client(clock, Opens(takes=30.0))
        assert await timed(clock, client.list()) == (pytest.approx(36.0), None)
        await client.aclose()
        client = virtual_client(clock, Opens(takes=90.0))
        took, error = await timed(clock, client.list())
        assert took == pytest.approx(60.0)
        assert "took longer than 60 s" in str(error)
        await client.aclose()

    in_virtual_time(main)


def test_the_time_of_a_bulk_read_is_counted_with_the_room_that_there_is() -> None:
    """Also before anything is open, and not with the room of a source that is not asked."""

    async def main(clock: VirtualClock) -> None:
        provider = Deaf(room=10)
        declared = SourceConfig(name="default", system="memory")
        other = SourceConfig(name="other", system="memory")
        client = client_with(
            {"default": (declared, provider), "other": (other, Slow(room=1))}, **virtual_options(clock)
        )
        connection = client._sources["default"].calls._connection
        connection._provider, connection._build = None, lambda: provider
        took, error = await timed(clock, client.get_many([f"N{number}" for number in range(30)]))
        assert isinstance(error, ResolveError)
        assert took == pytest.approx(40.0)
        await client.aclose()

    in_virtual_time(main)


@pytest.mark.parametrize("first", [SecretNotFoundError, AccessDeniedError])
def test_what_is_asked_for_twice_has_one_deadline(first: type[ProviderError]) -> None:
    """A refresh that would end a living entry is asked again, and not answered any more."""

    class Falters(Manager):
        async def get(self, name: str, version: str | None = None) -> Secret:
            found = await super().get(name, version)
            if len(self.calls) == 2:
                raise first("memory: no", provider="memory", name=name)
            await asyncio.sleep(3600.0 if len(self.calls) > 2 else 0.0)
            return found

    async def main(clock: VirtualClock) -> None:
        manager = Falters({"NAME": "canary"})
        async with virtual_client(clock, manager) as client:
            await client.get("NAME")
            took, error = await timed(clock, client.refresh("NAME"))
            assert took == pytest.approx(10.0)
            assert isinstance(error, DeadlineExceededError)

    in_virtual_time(main)


@pytest.mark.parametrize(("operation", "limit"), [("get", 2.5), ("close", 2.0)])
def test_a_loop_that_is_blocked_takes_no_longer(operation: str, limit: float) -> None:
    """The one that the client lives on, asked from another one: neither a read nor closing waits longer for it."""
    client = client_of(Manager({"NAME": "canary"}), retry=RetryPolicy(deadline=2.5))
    ready, release = threading.Event(), threading.Event()

    async def host() -> None:
        await client.start()
        ready.set()
        release.wait(60)

    async def visit() -> None:
        started = time.monotonic()
        with pytest.raises(DeadlineExceededError, match=f"within {limit:g} s; is it blocked"):
            await (client.get("NAME") if operation == "get" else client.aclose())
        assert time.monotonic() - started < limit + 5.0

    thread = threading.Thread(target=lambda: asyncio.run(host()))
    thread.start()
    ready.wait(10)
    asyncio.run(visit())
    release.set()
    thread.join()
    asyncio.run(client.aclose())
