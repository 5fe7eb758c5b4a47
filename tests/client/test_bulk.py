"""Many names at once: all of them, or every one that failed."""

from __future__ import annotations

import asyncio

import pytest

from asyncsecrets.client.bulk import read_all
from asyncsecrets.errors import DeadlineExceededError, ResolveError, UnavailableError
from asyncsecrets.secret import Secret
from asyncsecrets.testing.virtual_time import VirtualClock
from tests.client.support import in_virtual_time


async def read(name: str) -> Secret:
    """Each name says what becomes of it."""
    await asyncio.sleep(float(name.partition("-")[2] or 0))
    if name.startswith("down"):
        raise UnavailableError(f"{name} is down", provider="vault", name=name)
    if name.startswith("timeout"):
        raise TimeoutError("of something else")
    return Secret(f"canary-{name}", name=name)


def test_all_that_came_in_time() -> None:
    async def main(_: VirtualClock) -> None:
        found = await read_all(["a", "b-9", "c-1"], read, 10.0, str.upper)
        assert {name: secret.reveal() for name, secret in found.items()} == {
            "a": "canary-a",
            "b-9": "canary-b-9",
            "c-1": "canary-c-1",
        }
        assert await read_all([], read, 10.0, str.upper) == {}

    in_virtual_time(main)


def test_every_one_that_failed_or_was_late() -> None:
    """Each with an error of its own; what came is not given out, for it is all or nothing."""

    async def main(clock: VirtualClock) -> None:
        began = clock.monotonic()
        with pytest.raises(ResolveError) as caught:
            await read_all(["a", "down-1", "slow-60"], read, 12.5, lambda name: f"system of {name}")
        assert clock.monotonic() - began == pytest.approx(12.5)
        failures = caught.value.failures
        assert list(failures) == ["down-1", "slow-60"]
        assert isinstance(failures["down-1"], UnavailableError)
        late = failures["slow-60"]
        assert isinstance(late, DeadlineExceededError)
        assert (late.provider, late.name) == ("system of slow-60", "slow-60")
        assert late.message == (
            "'slow-60' at system of slow-60 was not read in the 12.5 s that 3 names may take; is it reachable, and is "
            "it slow?"
        )

    in_virtual_time(main)


def test_what_is_no_error_of_ours_is_not_listed() -> None:
    """Nor taken for our own time limit."""

    async def main(_: VirtualClock) -> None:
        with pytest.raises(TimeoutError, match="of something else"):
            await read_all(["a", "timeout"], read, 10.0, str.upper)

    in_virtual_time(main)
