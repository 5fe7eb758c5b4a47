"""Nothing older than what a client knows: a node that lags must not undo a change, nor what was served."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from asyncsecrets.client import SecretsClient
from asyncsecrets.client.floors import Doubt, is_older
from asyncsecrets.client.known import Known
from asyncsecrets.errors import ConflictError, SecretNotFoundError, UnavailableError
from asyncsecrets.providers.memory import MemoryProvider
from asyncsecrets.secret import Secret
from asyncsecrets.testing.virtual_time import VirtualClock
from tests.client.lagging import Lagging, LaggingBatches, LaggingCluster, Simple
from tests.client.support import client_of, in_virtual_time, virtual_client

Change = Callable[[SecretsClient], Awaitable[Any]]

OBJECT = '{"a":"canary-old"}'
CHANGES: dict[str, tuple[Change, str]] = {
    "put": (lambda client: client.put("NAME", '{"a":"canary-new"}'), "canary-new"),
    "patch": (lambda client: client.patch("NAME", {"a": "canary-new"}), "canary-new"),
    "delete": (lambda client: client.delete("NAME"), "deleted"),
    "delete_versions": (lambda client: client.delete("NAME", versions=["1"]), "deleted"),
    "destroy": (lambda client: client.destroy("NAME"), "absent"),
    "destroy_versions": (lambda client: client.destroy("NAME", versions=["1"]), "destroyed"),
}
READS: dict[str, Change] = {
    "get": lambda client: client.get("NAME", field="a"),
    "get with a version": lambda client: client.get("NAME", field="a", version="1"),
    "get_many": lambda client: client.get_many(["secret:///NAME?field=a"]),
    "refresh": lambda client: client.refresh("secret:///NAME?field=a"),
    "resolve": lambda client: client.resolve({"a": "secret:///NAME?field=a"}),
}


def run(manager: Lagging, main: Callable[[SecretsClient], Awaitable[None]], **options: Any) -> None:
    async def with_client(clock: VirtualClock) -> None:
        async with virtual_client(clock, manager, **{"refresh_interval": 86_400.0, **options}) as client:
            await main(client)

    in_virtual_time(with_client)


async def says(client: SecretsClient, name: str = "NAME", field: str | None = "a") -> str:
    """The value, or why there is none."""
    try:
        return (await client.get(name, field=field)).reveal()
    except SecretNotFoundError as error:
        return error.reason


class TestAfterAChange:
    """Of our own, that was acknowledged."""

    @pytest.mark.parametrize("lag", [0.0, 0.3])
    @pytest.mark.parametrize("warm", [True, False])
    @pytest.mark.parametrize("change", CHANGES)
    def test_the_next_read_sees_it(self, change: str, warm: bool, lag: float) -> None:
        """However it is read, while the node lags and when it has caught up."""
        make, expected = CHANGES[change]
        manager = Lagging(NAME=OBJECT)

        async def main(client: SecretsClient) -> None:
            if warm or change in {"delete_versions", "destroy_versions"}:
                await client.get("NAME", field="a")
            manager.lag(lag)
            await make(client)
            assert await says(client) == expected
            client.invalidate("NAME")
            assert await says(client) == expected
            await asyncio.sleep(70)
            client.invalidate("NAME")
            assert await says(client) == expected

        run(manager, main)

    @pytest.mark.parametrize("change", CHANGES)
    def test_what_stays_behind_is_not_served(self, change: str) -> None:
        """It is a transient failure that says why; and it ends when the node has caught up."""
        make, expected = CHANGES[change]
        manager = Lagging(NAME=OBJECT)

        async def main(client: SecretsClient) -> None:
            await client.get("NAME", field="a")
            manager.lag(40)
            if change == "patch":  # which asks for what it has made
                with pytest.raises(UnavailableError, match=r"was patched \(version 2\) and then could not be read"):
                    await make(client)
            else:
                await make(client)
            with pytest.raises(UnavailableError, match=r"behind what is known: this client has .* ago") as caught:
                await client.refresh("NAME")
            assert caught.value.transient
            assert "canary" not in str(caught.value)
            if change == "put":
                assert await says(client) == expected
            else:
                with pytest.raises(UnavailableError, match="lags"):
                    await says(client)
            await asyncio.sleep(40)
            assert await says(client) == expected

        run(manager, main)

    @pytest.mark.parametrize("read", READS)
    def test_every_read_is_judged(self, read: str) -> None:
        manager = Lagging(NAME=OBJECT)

        async def main(client: SecretsClient) -> None:
            await client.get("NAME", field="a")
            manager.lag(40)
            await client.destroy("NAME")
            with pytest.raises(Exception, match="behind what is known"):
                await READS[read](client)

        run(manager, main)

    def test_a_renewal_keeps_the_new_value(self) -> None:
        """It fails like any other, and is tried again."""
        manager = Lagging(NAME=OBJECT)

        async def main(client: SecretsClient) -> None:
            await client.get("NAME", field="a")
            manager.lag(20)
            await client.put("NAME", '{"a":"canary-new"}')
            for _ in range(50):
                await asyncio.sleep(1)
                assert (await client.get("NAME", field="a")).equals("canary-new")
            assert ("get", "NAME") in manager.calls[3:]

        run(manager, main, refresh_interval=2.0)

    @pytest.mark.parametrize("lag", [0.3, 40.0])
    def test_a_restore_is_seen(self, lag: float) -> None:
        manager = Lagging(NAME=OBJECT)

        async def main(client: SecretsClient) -> None:
            await client.delete("NAME")
            assert await says(client) == "deleted"
            manager.lag(lag)
            await client.restore("NAME")
            if lag > 1:
                with pytest.raises(UnavailableError, match="restored it"):
                    await says(client)
                await asyncio.sleep(lag)
            assert await says(client) == "canary-old"

        run(manager, main)

    @pytest.mark.parametrize("lag", [0.3, 40.0])
    def test_what_was_created_is_not_absent(self, lag: float) -> None:
        """Nor does the environment take its place."""
        manager = Lagging()

        async def main(clock: VirtualClock) -> None:
            async with virtual_client(clock, manager, environ={"NAME": "canary-environment"}) as client:
                assert await says(client, field=None) == "canary-environment"
                manager.lag(lag)
                await client.put("NAME", "canary-1")
                assert await says(client, field=None) == "canary-1"
                client.invalidate("NAME")
                if lag > 1:
                    with pytest.raises(UnavailableError, match="the manager still says that it is absent"):
                        await says(client, field=None)
                    await asyncio.sleep(lag)
                assert await says(client, field=None) == "canary-1"

        in_virtual_time(main)

    def test_the_patched_object_is_returned(self) -> None:
        """Not what somebody else has written since, nor what a lagging node has."""
        manager = Lagging(NAME=OBJECT)

        async def main(client: SecretsClient) -> None:
            patched = manager.patch

            async def patch_and_more(*args: Any, **options: Any) -> str:
                version = await patched(*args, **options)
                manager.set("NAME", '{"a":"canary-other"}')
                return version

            manager.patch = patch_and_more  # type: ignore[method-assign]
            manager.lag(0.3)
            made = await client.patch("NAME", {"b": "canary-b"})
            assert (made.version, made.reveal()) == ("2", '{"a": "canary-old", "b": "canary-b"}')

        run(manager, main)

    def test_a_lost_compare_and_set_does_not_read_what_it_lost_with(self) -> None:
        manager = Lagging(NAME=OBJECT)

        async def main(client: SecretsClient) -> None:
            read = await client.get("NAME", field="a")
            manager.lag(0.3)
            manager.set("NAME", '{"a":"canary-other"}')
            with pytest.raises(ConflictError):
                await client.put("NAME", "canary", cas=read.version)
            assert await says(client) == "canary-other"

        run(manager, main)

    def test_without_the_cache_too(self) -> None:
        """Where every read asks the manager, as *always_read_secret_manager* has it."""
        manager = Lagging(NAME="canary-1")
        config = {"general_settings": {"key_management_settings": {"always_read_secret_manager": True}}}
        config["general_settings"] |= {"key_management_system": "memory"}
        config["general_settings"]["key_management_settings"]["access_mode"] = "read_and_write"

        async def main(_: VirtualClock) -> None:
            async with SecretsClient.from_config(config, providers={"default": manager}, environ={}) as client:
                manager.lag(0.3)
                await client.put("NAME", "canary-2")
                assert await says(client, field=None) == "canary-2"

        in_virtual_time(main)


class TestWhatWasServed:
    """A newer version, whoever made it."""

    @pytest.mark.parametrize("forget", [True, False])
    def test_it_is_not_taken_back(self, forget: bool) -> None:
        manager = Lagging(NAME="canary-1")

        async def main(client: SecretsClient) -> None:
            await client.get("NAME")
            manager.lag(-1)
            manager.set("NAME", "canary-2")
            assert (await client.refresh("NAME")).equals("canary-2")
            manager._until = float("inf")  # another node answers now, which knows of version 1 only
            if forget:
                client.invalidate("NAME")
                with pytest.raises(UnavailableError, match="read version 2"):
                    await client.get("NAME")
            else:
                with pytest.raises(UnavailableError, match="read version 2"):
                    await client.refresh("NAME")
                assert await says(client, field=None) == "canary-2"

        run(manager, main)

    def test_that_it_is_gone_is_not_taken_back(self) -> None:
        manager = Lagging(NAME="canary-1")

        async def main(client: SecretsClient) -> None:
            await client.get("NAME")
            await asyncio.sleep(61)  # what was read so long ago may well have been removed
            manager.lag(-1)
            manager.remove("NAME")
            with pytest.raises(SecretNotFoundError):
                await client.refresh("NAME")
            manager._until = float("inf")
            await asyncio.sleep(6)  # longer than *absent* is believed
            with pytest.raises(UnavailableError, match="been told that it is gone"):
                await client.get("NAME")

        run(manager, main)

    @pytest.mark.parametrize("age", [0, 61])
    def test_that_it_is_absent_is_believed_of_who_says_not_to_lag(self, age: float) -> None:
        """And of anybody, about what was not read within the window."""
        manager = Lagging(NAME="canary-1") if age else LaggingCluster(NAME="canary-1")

        async def main(client: SecretsClient) -> None:
            if isinstance(manager, LaggingCluster):
                manager.alone = True
            await client.get("NAME")
            await asyncio.sleep(age)
            manager.remove("NAME")
            manager.calls.clear()
            with pytest.raises(SecretNotFoundError):
                await client.refresh("NAME")
            assert manager.calls == [("get", "NAME")] * 2  # the second is the confirmation that ends an entry

        run(manager, main)

    @pytest.mark.parametrize("kind", [Lagging, LaggingCluster, Simple])
    @pytest.mark.parametrize("how", ["renewed", "refreshed", "forgotten"])
    def test_what_somebody_else_has_just_made_does_not_vanish(self, kind: type[Any], how: str) -> None:
        """Where one node has it and the next one not yet, neither *absent* nor the environment is the truth."""
        manager = kind(NAME="canary-1")

        async def main(clock: VirtualClock) -> None:
            environ = {"NAME": "canary-of-the-environment"}
            async with virtual_client(clock, manager, environ=environ, refresh_interval=1.0) as client:
                read = await client.get("NAME")
                if kind is Simple:
                    manager.stale["NAME"] = MemoryProvider()._not_found("NAME", None)
                else:
                    manager._until = float("inf")  # its other node has nothing
                if how == "renewed":
                    await asyncio.sleep(5)
                elif how == "forgotten" and kind is not Simple:  # of which nothing is known without its value
                    client.invalidate("NAME")
                    with pytest.raises(UnavailableError) if kind is Lagging else nullcontext():
                        assert (await client.get("NAME")).equals("canary-1")
                    return
                elif kind is LaggingCluster:
                    assert (await client.refresh("NAME")).equals("canary-1")  # who takes the writes knows
                else:
                    with pytest.raises(UnavailableError, match="still says that it is absent"):
                        await client.refresh("NAME")
                assert (await client.get("NAME")).equals("canary-1")
                assert read.equals("canary-1")

        in_virtual_time(main)

    def test_who_lags_is_believed_when_the_window_ends(self) -> None:
        """What somebody else has removed for good is served no longer than that."""
        manager = Lagging(NAME="canary-1")

        async def main(client: SecretsClient) -> None:
            await client.get("NAME")
            manager.remove("NAME")
            await asyncio.sleep(58)
            assert await says(client, field=None) == "canary-1"
            await asyncio.sleep(70)
            assert await says(client, field=None) == "absent"

        run(manager, main, refresh_interval=5.0)

    def test_batches_are_judged(self) -> None:
        names = [f"N{number}" for number in range(5)]
        manager = LaggingBatches(**dict.fromkeys(names, "canary-1"))

        async def main(client: SecretsClient) -> None:
            await client.get_many(names)
            manager.lag(0.3)
            for name in names:
                await client.put(name, "canary-2")
                client.invalidate(name)
            found = await client.get_many(names)
            assert {secret.reveal() for secret in found.values()} == {"canary-2"}

        run(manager, main)


class TestMadeAnew:
    """Removed for good, and created under the same name: versions begin at 1 again."""

    @pytest.mark.parametrize("own", [True, False])
    def test_it_is_not_behind(self, own: bool) -> None:
        manager = Lagging(NAME="canary-1")

        async def main(client: SecretsClient) -> None:
            await client.put("NAME", "canary-2")
            if own:
                await client.destroy("NAME")
            else:
                manager.remove("NAME")
            manager.set("NAME", "canary-anew")
            manager.calls.clear()
            assert (await client.refresh("NAME")).equals("canary-anew")

        run(manager, main)
        assert own or len(manager.calls) == 1

    @pytest.mark.parametrize("own", [True, False])
    def test_what_was_before_is(self, own: bool) -> None:
        """Although its versions are higher."""
        manager = Lagging(NAME="canary-1")

        async def main(client: SecretsClient) -> None:
            await client.put("NAME", "canary-2")
            manager.lag(0.3)
            if own:
                await client.destroy("NAME")
                await client.put("NAME", "canary-anew")
            else:
                manager.remove("NAME")
                manager.set("NAME", "canary-anew")
                manager._until, until = float("-inf"), manager._until
                await client.refresh("NAME")
                manager._until = until
            client.invalidate("NAME")
            assert await says(client, field=None) == "canary-anew"

        run(manager, main)


class TestTheSecondQuestion:
    """Of the place that takes the writes, where there is a way to ask it."""

    @pytest.mark.parametrize("change", CHANGES)
    def test_it_is_asked_at_once(self, change: str) -> None:
        make, expected = CHANGES[change]
        manager = LaggingCluster(NAME=OBJECT)

        async def main(client: SecretsClient) -> None:
            await client.get("NAME", field="a")
            manager.lag()
            await make(client)
            client.invalidate("NAME")
            manager.calls.clear()
            assert await says(client) == expected
            assert manager.calls == [("get", "NAME"), ("get_current", "NAME"), ("get", "NAME")]  # the last is its own

        run(manager, main)

    @pytest.mark.parametrize("alone", [True, False])
    def test_an_absence_of_which_nobody_knows_the_age(self, alone: bool) -> None:
        """Somebody else has removed for good what we wrote: believed if no other node could have answered."""
        manager = LaggingCluster(NAME="canary-1")
        manager.alone = alone

        async def main(client: SecretsClient) -> None:
            await client.put("NAME", "canary-2")
            manager.remove("NAME")
            with pytest.raises(SecretNotFoundError if alone else UnavailableError):
                await client.refresh("NAME")
            await asyncio.sleep(60)
            with pytest.raises(SecretNotFoundError):
                await client.refresh("NAME")

        run(manager, main)

    def test_who_says_not_to_lag_is_asked_again_all_the_same(self) -> None:
        """Something between us and the manager may answer with what it said before."""
        manager = LaggingCluster()
        manager.alone = True

        async def main(client: SecretsClient) -> None:
            manager.get_current = manager.get  # type: ignore[method-assign]
            manager.lag(0.3)
            await client.put("NAME", "canary-1")
            assert (await client.refresh("NAME")).equals("canary-1")

        run(manager, main)

    def test_the_pauses_grow(self) -> None:
        manager = Lagging(NAME="canary-1")

        async def main(client: SecretsClient) -> None:
            loop = asyncio.get_running_loop()
            manager.lag()
            await client.put("NAME", "canary-2")
            manager.calls.clear()
            began = loop.time()
            with pytest.raises(UnavailableError):
                await client.refresh("NAME")
            assert 1 < loop.time() - began < 10
            assert len(manager.calls) == 1 + 6  # that it stays behind is not tried again

        run(manager, main)


class TestTheWindow:
    """For how long it counts."""

    def test_a_minute_by_default(self) -> None:
        manager = Lagging(NAME="canary-1")

        async def main(client: SecretsClient) -> None:
            manager.lag()
            await client.delete("NAME")
            await asyncio.sleep(50)
            with pytest.raises(UnavailableError):
                await client.get("NAME")
            await asyncio.sleep(10)
            assert await says(client, field=None) == "canary-1"

        run(manager, main)

    def test_none(self) -> None:
        """Whatever the manager says is believed."""
        manager = Lagging(NAME="canary-1")

        async def main(client: SecretsClient) -> None:
            manager.lag()
            await client.delete("NAME")
            assert await says(client, field=None) == "canary-1"
            assert len(client._sources["default"].known) == 0

        run(manager, main, read_your_writes=0)

    def test_it_survives_the_event_loop(self) -> None:
        manager = Lagging(NAME="canary-1")
        client = client_of(manager)

        async def write() -> None:
            manager.lag()
            await client.put("NAME", "canary-2")
            client.invalidate("NAME")

        async def read() -> None:
            with pytest.raises(UnavailableError, match="written version 2"):
                await client.get("NAME")
            await client.aclose()

        asyncio.run(write())
        asyncio.run(read())


class TestWithoutVersions:
    """A manager that tells neither versions nor times: judged as far as it can be."""

    async def test_absent_after_a_put(self) -> None:
        manager = Simple()
        absent = SecretNotFoundError("simple: not here", provider="simple", name="NAME")
        async with SecretsClient.from_provider(manager, environ={}) as client:
            await client.put("NAME", "canary-1")
            manager.stale["NAME"] = absent
            with pytest.raises(UnavailableError, match="written"):
                await client.refresh("NAME")
            manager.stale.clear()
            assert (await client.refresh("NAME")).equals("canary-1")

    async def test_there_after_a_delete(self) -> None:
        manager = Simple(NAME="canary-1")
        async with SecretsClient.from_provider(manager, environ={}) as client:
            await client.delete("NAME")
            manager.stale["NAME"] = "canary-1"
            with pytest.raises(UnavailableError, match="deleted it"):
                await client.get("NAME")

    async def test_another_value_is_taken_as_it_is(self) -> None:
        manager = Simple(NAME="canary-1")
        async with SecretsClient.from_provider(manager, environ={}) as client:
            await client.put("NAME", "canary-2")
            manager.secrets["NAME"] = "canary-3"
            assert (await client.refresh("NAME")).equals("canary-3")


NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("version", "made", "known_version", "known_made", "older"),
    [
        ("1", 0, "1", 0, False),
        ("1", 0, "2", 1, True),
        ("2", 1, "1", 0, False),
        ("1", None, "2", 1, True),
        ("9", None, "10", None, True),
        ("1", 2, "7", 1, False),  # made anew
        ("7", 1, "1", 100, True),  # before it was made anew
        ("7", 1, "6", 3, False),  # by a node whose clock is two seconds behind
        ("1", 0, "1", 1, True),  # the same number, of before
        ("aa", 0, "bb", 1, True),
        ("bb", 1, "aa", 0, False),
        ("bb", 0, "aa", 0, False),
        ("bb", None, "aa", 1, False),
        (None, 0, None, 1, True),
        (None, None, None, None, False),
    ],
)
def test_which_of_two_is_older(
    version: str | None, made: int | None, known_version: str | None, known_made: int | None, older: bool
) -> None:
    """By the time of creation, in seconds, and by number."""
    first, second = (None if moment is None else NOON + timedelta(seconds=moment) for moment in (made, known_made))
    assert is_older(version, first, known_version, second, anew=False) is older


class Heard:
    """A listener that is told."""

    def stored(self, key: Any, value: Secret, previous: Secret | None) -> None:
        """Nothing."""

    def dropped(self, key: Any, previous: Secret, why: BaseException | None) -> None:
        """Nothing."""

    def withdrawn(self) -> None:
        """Nothing."""


def known_of(spellings: Callable[[str], Any] = lambda name: (name,), clock: Callable[[], float] = lambda: 0.0) -> Known:
    return Known(60.0, Heard(), entry=lambda _: None, spellings=spellings, clock=clock)


def test_another_spelling_of_the_name() -> None:
    """Such as an ARN: what is known under one counts under the others."""
    floors = known_of(lambda name: {name.removeprefix("arn:")})
    floors.written("arn:NAME", "2")
    assert floors.doubt("NAME", Secret("canary", name="NAME", version="1")) is Doubt.BEHIND
    assert floors.doubt("NAME", Secret("canary", name="NAME", version="2")) is None


def test_versions_that_are_no_numbers_and_untold_times() -> None:
    """As after a put to AWS: what was replaced is known to be behind, and anything else is believed."""
    floors = known_of()
    floors.written("NAME", "aa", NOON)
    floors.written("NAME", "bb")
    for version, doubt in [("aa", Doubt.BEHIND), ("bb", None), ("cc", None)]:
        assert floors.doubt("NAME", Secret("canary", name="NAME", version=version, created=NOON)) is doubt
    floors.written("NAME", "aa")
    assert floors.doubt("NAME", Secret("canary", name="NAME", version="aa", created=NOON)) is None
