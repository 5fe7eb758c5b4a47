"""Renewal through a source, in virtual time: what each answer of the manager does to a value that is there."""

from __future__ import annotations

import asyncio

import pytest

from asyncsecrets.config import AccessMode, Freshness, SourceConfig
from asyncsecrets.errors import (
    AccessDeniedError,
    AsyncSecretsError,
    AuthenticationError,
    DecodeError,
    IntegrityError,
    MalformedResponseError,
    RateLimitedError,
    SecretNotFoundError,
    UnavailableError,
)
from asyncsecrets.testing.virtual_time import VirtualClock
from tests.client.support import (
    ONCE,
    Failure,
    FieldManager,
    Manager,
    client_with,
    denied,
    down,
    in_virtual_time,
    value,
    virtual_client,
)

INTERVAL, STALE = 100.0, 50.0
# The first renewal falls anywhere within the interval: with every jitter in its middle, after half of it.
FIRST = INTERVAL / 2 + 5


def options(**more: object) -> dict[str, object]:
    """The freshness that these tests go by."""
    return {"refresh_interval": INTERVAL, "max_stale": STALE, "retry": ONCE, **more}


def fails_with(kind: type[AsyncSecretsError]) -> Failure:
    """A manager that fails with ``kind``."""

    def failure(name: str) -> AsyncSecretsError:
        return kind("memory: no; try later", provider="memory", name=name)  # type: ignore[call-arg]

    return failure


def test_a_rotation_is_seen_without_a_reader_waiting() -> None:
    """Renewed in the background, under every reference; no reader makes a call."""

    async def main(clock: VirtualClock) -> None:
        manager = Manager({"NAME": "canary-1"})
        async with virtual_client(clock, manager, **options()) as client:
            await client.get_many(["NAME", "secret://default/NAME"])
            manager.set("NAME", "canary-2")
            await asyncio.sleep(FIRST)
            assert value(client.peek("NAME")) == value(client.peek("secret://default/NAME")) == "canary-2"
            assert client.texts["NAME"] == "canary-2"
            assert len(manager.calls) == 2

    in_virtual_time(main)


def throttles(name: str) -> RateLimitedError:
    """A manager that throttles."""
    return RateLimitedError("memory: slow down", provider="memory", name=name, retry_after=3.0)


KEEPING = [
    throttles,
    KeyError,
    down,
    denied,
    *(fails_with(kind) for kind in (AuthenticationError, MalformedResponseError, IntegrityError)),
]


@pytest.mark.parametrize("failure", KEEPING)
def test_a_failed_renewal_keeps_the_old_value_until_max_stale(failure: Failure) -> None:
    """Transient, denied, nonsense, a bug in the provider: the old value stands, and not a moment longer."""

    async def main(clock: VirtualClock) -> None:
        manager = Manager({"NAME": "canary-1"})
        async with virtual_client(clock, manager, **options()) as client:
            await client.get("NAME")
            manager.failure = failure
            await asyncio.sleep(INTERVAL + STALE - 2)
            assert value(client.peek("NAME")) == "canary-1"
            assert client.health().state == "degraded"
            assert client.health().stale == ("NAME",)
            (row,) = [row for source in client.status() for row in source.secrets]
            assert (row.state, row.age) == ("stale", pytest.approx(row.age))
            assert row.failures >= 1
            await asyncio.sleep(4)
            assert client.peek("NAME") is None
            with pytest.raises(AsyncSecretsError):
                await client.get("NAME")
            manager.failure = None
            assert value(await client.get("NAME")) == "canary-1"
            assert client.health().state == "fresh"

    in_virtual_time(main)


def test_an_outage_ends_by_itself() -> None:
    """A source that is back within max_stale is renewed without a reader noticing anything."""

    async def main(clock: VirtualClock) -> None:
        manager = Manager({"NAME": "canary-1"})
        async with virtual_client(clock, manager, **options(max_stale=1000.0)) as client:
            await client.get("NAME")
            manager.failure = down
            await asyncio.sleep(500)
            assert value(client.peek("NAME")) == "canary-1"
            manager.failure = None
            manager.set("NAME", "canary-2")
            await asyncio.sleep(70)
            assert value(client.peek("NAME")) == "canary-2"
            assert client.health().state == "fresh"

    in_virtual_time(main)


def test_gone_is_believed_when_it_is_said_twice() -> None:
    """A secret that is deleted leaves after one confirmation; the next reader gets the truth."""

    async def main(clock: VirtualClock) -> None:
        manager = Manager({"NAME": "canary-1"})
        async with virtual_client(clock, manager, **options()) as client:
            await client.get("NAME")
            manager.remove("NAME")
            manager.calls.clear()
            await asyncio.sleep(FIRST)
            assert client.peek("NAME") is None
            assert manager.calls == [("get", "NAME")] * 2
            with pytest.raises(SecretNotFoundError):
                await client.get("NAME")

    in_virtual_time(main)


def test_gone_that_is_not_confirmed_is_no_reason_to_stop() -> None:
    """One *absent* out of the blue, and there again a second later: nobody notices."""

    async def main(clock: VirtualClock) -> None:
        manager = Manager({"NAME": "canary-1"})
        answers = iter([lambda name: SecretNotFoundError("memory: not here", provider="memory", name=name)])

        async def before(operation: str, name: str) -> None:
            manager.calls.append((operation, name))
            failure = next(answers, None) if len(manager.calls) > 1 else None
            if failure is not None:
                raise failure(name)

        manager.before = before
        async with virtual_client(clock, manager, **options()) as client:
            await client.get("NAME")
            for _ in range(int(FIRST)):
                await asyncio.sleep(1)
                assert value(client.peek("NAME")) == "canary-1"
            assert len(manager.calls) == 3

    in_virtual_time(main)


def test_denied_can_be_told_to_evict() -> None:
    """on_denied: evict drops a value that may not be read any more, after one confirmation."""

    async def main(clock: VirtualClock) -> None:
        manager = Manager({"NAME": "canary-1"})
        freshness = Freshness(refresh_interval=INTERVAL, max_stale=STALE, on_denied="evict")
        declared = SourceConfig(name="default", system="memory", access_mode=AccessMode.READ_ONLY, freshness=freshness)
        cache_options = {"clock": clock.boot_time, "guarded": False}
        sources = {"default": (declared, manager)}
        async with client_with(sources, retry=ONCE, cache_options=cache_options, jitter=lambda: 0.5) as client:
            await client.get("NAME")
            manager.failure = denied
            manager.calls.clear()
            await asyncio.sleep(FIRST)
            assert client.peek("NAME") is None
            assert len(manager.calls) == 2
            with pytest.raises(AccessDeniedError):
                await client.get("NAME")

    in_virtual_time(main)


def test_max_stale_zero_fails_closed() -> None:
    """Nothing is served past its refresh interval."""

    async def main(clock: VirtualClock) -> None:
        manager = Manager({"NAME": "canary-1"})
        async with virtual_client(clock, manager, **options(max_stale=0.0)) as client:
            await client.get("NAME")
            manager.failure = down
            await asyncio.sleep(INTERVAL + 1)
            assert client.peek("NAME") is None
            with pytest.raises(UnavailableError):
                await client.get("NAME")

    in_virtual_time(main)


def test_a_suspended_machine_does_not_stop_the_clock() -> None:
    """What is too old when the lid opens is not served once the client has looked at a clock."""

    async def main(clock: VirtualClock) -> None:
        manager = Manager({"NAME": "canary-1"})
        async with virtual_client(clock, manager, **options()) as client:
            await client.get("NAME")
            manager.failure = down
            clock.suspend(INTERVAL + STALE + 1)
            await asyncio.sleep(31)
            assert client.peek("NAME") is None

    in_virtual_time(main)


def test_what_stands_in_is_renewed_and_gives_way() -> None:
    """A variable that stands in follows the environment, and gives way to the secret once the manager has it."""

    async def main(clock: VirtualClock) -> None:
        manager, environ = Manager(), {"NAME": "canary-env-1"}
        async with virtual_client(clock, manager, **options(), environ=environ) as client:
            assert value(await client.get("NAME")) == "canary-env-1"
            environ["NAME"] = "canary-env-2"
            await asyncio.sleep(INTERVAL + 5)
            assert value(client.peek("NAME")) == "canary-env-2"
            manager.set("NAME", "canary-manager")
            await asyncio.sleep(INTERVAL + 5)
            assert value(client.peek("NAME")) == "canary-manager"
            assert client.explain("NAME").answered_by == "default"
            manager.remove("NAME")
            await asyncio.sleep(INTERVAL + 5)
            assert value(client.peek("NAME")) == "canary-env-2"
            del environ["NAME"]
            await asyncio.sleep(INTERVAL + 5)
            assert client.peek("NAME") is None

    # The first interval is half as long; two renewals may fall into one wait, which changes nothing here.
    in_virtual_time(main)


def test_what_stands_in_outlives_an_outage_no_longer_than_anything_else() -> None:
    """Rule 4 for renewals: a manager that is down does not make the environment's answer true for ever."""

    async def main(clock: VirtualClock) -> None:
        manager = Manager()
        async with virtual_client(clock, manager, **options(), environ={"NAME": "canary-env"}) as client:
            assert value(await client.get("NAME")) == "canary-env"
            manager.failure = down
            await asyncio.sleep(INTERVAL + STALE + 1)
            with pytest.raises(UnavailableError):
                await client.get("NAME")

    in_virtual_time(main)


def test_a_member_that_is_gone_after_a_renewal_is_not_served() -> None:
    """The views of an entry follow it: one that cannot be made any more is warm no longer."""

    async def main(clock: VirtualClock) -> None:
        manager = FieldManager({"NAME": '{"key":"canary-1","other":"canary-o"}'})
        async with virtual_client(clock, manager, **options()) as client:
            await client.get_many(["NAME", "secret:///NAME?field=other"])
            manager.set("NAME", '{"other":"canary-o2"}')
            await asyncio.sleep(FIRST)
            assert client.peek("NAME") is None
            assert value(client.peek("secret:///NAME?field=other")) == "canary-o2"
            with pytest.raises(DecodeError):
                await client.get("NAME")

    in_virtual_time(main)


def test_absent_is_believed_for_five_seconds() -> None:
    """A loop that asks for what is not there costs one call in that time; then the truth is looked up again."""

    async def main(clock: VirtualClock) -> None:
        manager = Manager()
        async with virtual_client(clock, manager) as client:
            for _ in range(100):
                with pytest.raises(SecretNotFoundError):
                    await client.get("NAME")
            assert len(manager.calls) == 1
            manager.set("NAME", "canary")
            await asyncio.sleep(5.1)
            assert value(await client.get("NAME")) == "canary"

    in_virtual_time(main)


def test_refresh_asks_now() -> None:
    """refresh() returns what the manager says; a failure leaves the old value, unless it is that it is gone."""

    async def main(clock: VirtualClock) -> None:
        manager = Manager({"NAME": "canary-1"})
        async with virtual_client(clock, manager, **options()) as client:
            await client.get("NAME")
            manager.set("NAME", "canary-2")
            assert value(await client.refresh("NAME")) == value(client.peek("NAME")) == "canary-2"
            manager.failure = down
            with pytest.raises(UnavailableError):
                await client.refresh("NAME")
            assert value(client.peek("NAME")) == "canary-2"
            manager.failure = None
            manager.remove("NAME")
            with pytest.raises(SecretNotFoundError, match="environment"):
                await client.refresh("NAME")
            assert client.peek("NAME") is None

    in_virtual_time(main)


def test_attempts_wait_as_the_manager_asks() -> None:
    """A cold read is tried three times, with Retry-After honoured, and the error counts the attempts."""

    async def main(clock: VirtualClock) -> None:
        manager = Manager()
        manager.failure = throttles
        async with virtual_client(clock, manager) as client:
            started = clock.monotonic()
            with pytest.raises(RateLimitedError) as caught:
                await client.get("NAME")
            assert clock.monotonic() - started == pytest.approx(6.0 * 1.25)  # with jitter on top
            assert caught.value.attempts == len(manager.calls) == 3

    in_virtual_time(main)


def test_entries_are_bounded() -> None:
    """Names that somebody chooses do not fill memory: neither entries, nor references, nor what is absent."""

    async def main(clock: VirtualClock) -> None:
        manager = Manager({f"N{i}": "canary" for i in range(500)})
        async with virtual_client(clock, manager, max_entries=50) as client:
            for i in range(500):
                await client.get_many([f"N{i}", f"os.environ/N{i}"])
            source = client._sources["default"]
            assert len(source.cache) == 50
            assert len(source.views._routes) == 50
            assert len(client.texts) == 100
            for i in range(3000):
                with pytest.raises(SecretNotFoundError):
                    await client.get(f"ABSENT{i}")
            assert len(source.cache) == 50
            assert len(client.texts) == 100

    in_virtual_time(main)
