"""What is true is not kept out by what is known: others may change what this client has just changed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from asyncsecrets.client import SecretsClient
from asyncsecrets.client.floors import Doubt
from asyncsecrets.client.known import Known
from asyncsecrets.errors import SecretNotFoundError
from asyncsecrets.providers.memory import MemoryProvider
from asyncsecrets.secret import Secret
from asyncsecrets.testing.virtual_time import VirtualClock
from tests.client.lagging import Lagging, LaggingCluster
from tests.client.support import in_virtual_time, virtual_client
from tests.client.test_known import NOON, Heard, known_of


def run(manager: Lagging, main: Callable[[SecretsClient], Awaitable[None]], **options: Any) -> None:
    async def with_client(clock: VirtualClock) -> None:
        async with virtual_client(clock, manager, **{"negative_ttl": 0.0, **options}) as client:
            await main(client)

    in_virtual_time(with_client)


async def says(client: SecretsClient) -> str:
    try:
        return (await client.get("NAME")).reveal()
    except SecretNotFoundError as error:
        return error.reason


def of(version: str, created: datetime | None = None) -> Secret:
    return Secret("canary", name="NAME", version=version, created=created)


def test_what_others_make_anew_after_our_end_of_it() -> None:
    """Version 1 again, one of which we had taken away before."""
    manager = Lagging(NAME="canary-1")

    async def main(client: SecretsClient) -> None:
        await client.destroy("NAME", versions=["1"])
        await client.destroy("NAME")
        manager.set("NAME", "canary-anew")
        assert await says(client) == "canary-anew"
        assert ("get", "NAME") == manager.calls[-1] != manager.calls[-2]  # asked once

    run(manager, main)


def test_what_others_end_and_make_anew() -> None:
    """Of who says not to lag that is believed; when ours was made is not known to us."""
    manager = LaggingCluster(NAME="canary-1")
    manager.alone = True

    async def main(client: SecretsClient) -> None:
        await client.destroy("NAME", versions=["1"])
        manager.remove("NAME")
        manager.set("NAME", "canary-anew")
        assert await says(client) == "canary-anew"

    run(manager, main)


@pytest.mark.parametrize(("change", "expected"), [("delete", "deleted"), ("destroy", "destroyed")])
def test_our_restore_and_then_the_end_of_that_version(change: str, expected: str) -> None:
    manager = Lagging()

    async def main(client: SecretsClient) -> None:
        await client.put("NAME", "canary-1")
        await client.delete("NAME")
        await client.restore("NAME")
        await client.get("NAME")
        await getattr(client, change)("NAME", versions=["1"])
        manager.calls.clear()
        assert await says(client) == expected
        assert len(manager.calls) == 1

    run(manager, main)


def test_the_version_that_others_made_before_we_took_ours_away() -> None:
    manager = Lagging()

    async def main(client: SecretsClient) -> None:
        await client.put("NAME", "canary-1")
        manager.set("NAME", "canary-theirs")
        await client.delete("NAME", versions=["1"])
        manager.calls.clear()
        assert await says(client) == "canary-theirs"
        assert len(manager.calls) == 1

    run(manager, main)


def test_being_told_again_that_it_is_gone_puts_nothing_off() -> None:
    """What others restore is seen when the window ends that began when it was first missed."""
    manager = Lagging(NAME="canary-1")

    async def main(client: SecretsClient) -> None:
        await client.get("NAME")
        await MemoryProvider.delete(manager, "NAME")
        client.invalidate("NAME")
        for _ in range(5):
            assert await says(client) == "deleted"
            await asyncio.sleep(10)
        await MemoryProvider.restore(manager, "NAME")
        await asyncio.sleep(11)
        assert await says(client) == "canary-1"

    run(manager, main)


def test_a_version_that_was_taken_away() -> None:
    """A number may be of another one that was made anew; a time, or a name that is no number, tells."""
    floors = known_of()
    floors.versions_removed("NAME", ["1"])
    assert floors.doubt("NAME", of("1", NOON)) is Doubt.UNSURE
    assert floors.doubt(("NAME", "1"), of("1", NOON)) is Doubt.UNSURE
    floors.versions_removed("OTHER", ["aa"])
    assert floors.doubt("OTHER", of("aa", NOON)) is Doubt.BEHIND
    floors.written("NAME", "1", NOON)
    floors.versions_removed("NAME", ["1"])
    assert floors.doubt("NAME", of("1", NOON)) is Doubt.BEHIND
    assert floors.doubt("NAME", of("1", NOON + timedelta(seconds=1))) is None


def test_what_lost_is_behind_and_not_gone() -> None:
    floors = known_of()
    floors.written("NAME", "1", NOON)
    floors.replaced("NAME", "1")
    assert floors.doubt("NAME", of("1", NOON)) is Doubt.BEHIND
    assert floors.doubt("NAME", of("2", NOON)) is None
    assert floors.current("NAME") == "1"
    floors.versions_removed("NAME", ["1"])
    assert floors.current("NAME") is None


def test_it_is_said_what_is_known() -> None:
    floors: Known = known_of()
    floors.versions_removed("NAME", ["1"])
    assert floors.describe("NAME") == "this client has removed versions of it 0.0 s ago"
    floors.written("OTHER", None)
    assert floors.describe("OTHER") == "this client has written it 0.0 s ago"
    floors.written("OTHER", "7", datetime.now(UTC))
    assert floors.describe("OTHER") == "this client has written version 7 0.0 s ago"


class Aged:
    """A clock for floors and for what was served."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def floors_at(clock: Aged, served: Secret | None = None) -> Known:
    return Known(60.0, Heard(), entry=lambda _: served, spellings=lambda name: (name,), clock=clock, now=lambda: NOON)


def test_what_was_dropped_is_known_for_the_rest_of_its_time() -> None:
    """From when it was read, and not from when it was dropped."""
    clock = Aged()
    served = Secret("canary", name="NAME", version="2", clock=clock)
    clock.now = 50.0
    floors = floors_at(clock)
    floors.dropped("NAME", served, None)
    clock.now = 59.0
    assert floors.doubt("NAME", of("1")) is Doubt.BEHIND
    clock.now = 61.0
    assert floors.doubt("NAME", of("1")) is None


def test_what_is_served_counts_for_the_window() -> None:
    clock = Aged()
    floors = floors_at(clock, Secret("canary", name="NAME", version="2", clock=clock))
    clock.now = 59.0
    assert floors.doubt("NAME", of("1")) is Doubt.BEHIND
    clock.now = 60.0
    assert floors.doubt("NAME", of("1")) is None


def test_what_was_deleted_is_gone_as_a_version_too() -> None:
    floors = known_of()
    floors.written("NAME", "2", NOON)
    floors.removed("NAME", for_good=False)
    assert floors.doubt(("NAME", "2"), of("2", NOON)) is Doubt.BEHIND
    assert floors.doubt(("NAME", "1"), of("1", NOON)) is None
    floors.restored("NAME", ["1"])
    assert floors.doubt("NAME", of("2", NOON)) is Doubt.BEHIND
    floors.restored("NAME", ["2"])
    assert floors.doubt("NAME", of("2", NOON)) is None


def test_what_was_made_just_before_it_was_removed() -> None:
    """Our clock and the node's may be a second apart."""
    floors = floors_at(Aged())
    floors.written("NAME", "1", NOON - timedelta(seconds=30))
    floors.removed("NAME", for_good=False)
    for seconds, doubt in [(1.0, None), (-0.5, Doubt.UNSURE), (-2.0, Doubt.BEHIND)]:
        assert floors.doubt("NAME", of("2", NOON + timedelta(seconds=seconds))) is doubt


class TestHowMany:
    """What is known of names that anybody may choose takes little memory, and none from what this client has done."""

    @pytest.mark.parametrize(
        ("note", "most"),
        [
            (lambda floors, name: floors.written(name, "1"), 65_536),
            (lambda floors, name: floors.missed(name, gone("2")), 1_000),
            (lambda floors, name: floors.seen(name, of("2")), 1_000),
            (lambda floors, name: floors.dropped(name, of("2"), None), 1_000),
            (lambda floors, name: floors.dropped(name, of("2"), gone(None)), 1_000),
            (lambda floors, name: floors.removed(name, for_good=False), 1_000),
            (lambda floors, name: floors.removed(name, for_good=True), 1_000),
        ],
    )
    def test_few_and_they_pass(self, note: Callable[[Known, str], None], most: int) -> None:
        now = 0.0
        floors = known_of(clock=lambda: now)
        for number in range(most + 100):
            note(floors, f"N{number}")
        assert len(floors) == most
        now = 61.0
        floors.written("NAME", "1")
        floors.missed("GONE", gone("1"))
        assert len(floors) == 2

    @pytest.mark.parametrize(
        "note",
        [
            lambda floors, name: floors.restored(name, None),
            lambda floors, name: floors.versions_removed(name, ["1"]),
            lambda floors, name: floors.missed(name, gone("2")) or floors.restored(name, None),
            lambda floors, name: floors.seen(name, of("2")) or floors.removed(name, for_good=True),
        ],
    )
    def test_what_was_done_here_to_what_was_known_is_own(self, note: Callable[[Known, str], None]) -> None:
        floors = known_of()
        for number in range(2_100):
            note(floors, f"N{number}")
        assert len(floors) == 2_100

    def test_what_others_choose_takes_nothing_from_what_was_done_here(self) -> None:
        floors = known_of()
        floors.written("WRITTEN", "2")
        floors.written("DELETED", "2")
        floors.removed("DELETED", for_good=False)
        for number in range(2_100):
            floors.missed(f"N{number}", gone("1"))
        for name in ("WRITTEN", "DELETED"):
            assert floors.doubt(name, Secret("canary", name=name, version="1")) is Doubt.BEHIND

    def test_a_name_is_known_once(self) -> None:
        """Whatever is known of it now, there is one floor, which counts for the whole of its time."""
        now = 0.0
        floors = known_of(clock=lambda: now)
        floors.missed("NAME", gone("1"))
        floors.written("NAME", "2")
        assert len(floors) == 1
        now = 59.0
        floors.missed("NAME", gone("3"))
        assert len(floors) == 1
        now = 90.0
        assert floors.doubt("NAME", of("2")) is Doubt.BEHIND


def gone(version: str | None) -> SecretNotFoundError:
    return SecretNotFoundError("deleted", provider="memory", name="NAME", reason="deleted", version=version)
