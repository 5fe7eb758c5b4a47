"""A secret that is not there and not cached: which answers are believed after that, and how long they are asked for."""

from __future__ import annotations

import asyncio

import pytest

from asyncsecrets.errors import DeadlineExceededError, ProviderError, SecretNotFoundError, UnavailableError
from asyncsecrets.secret import Secret
from asyncsecrets.testing.virtual_time import VirtualClock
from tests.client.support import ONCE, Manager, in_virtual_time, virtual_client


class Told(Manager):
    """A manager whose next answers are ``answers``: a version, ``-2`` for one that was deleted, None for no answer."""

    answers: tuple[str | None, ...] = ()
    pause = 0.0

    async def get(self, name: str, version: str | None = None) -> Secret:
        await asyncio.sleep(self.pause)
        self.calls.append(("get", name))
        answer, *rest = self.answers
        self.answers = tuple(rest) or (answer,)
        if answer is None:
            await asyncio.sleep(3_600)
        if answer is not None and not answer.startswith("-"):
            return Secret(f"canary-{answer}", name=name, version=answer)
        number = None if answer is None else answer[1:]
        raise SecretNotFoundError("memory: deleted", provider="memory", name=name, reason="deleted", version=number)


@pytest.mark.parametrize("first", [("-2",), ("1", "-2")])
def test_what_is_gone_is_not_undone_by_a_node_that_lags(first: tuple[str, ...]) -> None:
    """Also where that is heard at the first question ever, or at the second one, of who takes the writes."""

    async def main(clock: VirtualClock) -> None:
        manager = Told()
        async with virtual_client(clock, manager, retry=ONCE) as client:
            source = client._sources["default"]
            if len(first) > 1:
                source.known.written("NAME", "2")
            manager.answers = first
            with pytest.raises(SecretNotFoundError):
                await client.get("NAME")
            source.cache.invalidate("NAME")
            manager.answers = ("1",)
            with pytest.raises(
                UnavailableError, match="behind what is known: this client has been told that it is gone"
            ):
                await client.get("NAME")
            manager.answers = ("3",)
            await asyncio.sleep(6)
            assert (await client.get("NAME")).version == "3"

    in_virtual_time(main)


def test_what_is_asked_for_again_has_what_is_left_of_the_time() -> None:
    """At least half of it: some of what went before may have been waiting."""

    async def main(clock: VirtualClock) -> None:
        for pause, limit in [(3.0, 10.0), (8.0, 13.0)]:
            manager = Told()
            async with virtual_client(clock, manager, retry=ONCE) as client:
                client._sources["default"].known.written("NAME", "2")
                manager.answers, manager.pause = ("1", None), pause
                began = clock.monotonic()
                with pytest.raises(ProviderError) as caught:
                    await client.get("NAME")
                assert isinstance(caught.value, DeadlineExceededError)
                assert clock.monotonic() - began == pytest.approx(limit)

    in_virtual_time(main)


def test_what_is_cached_is_not_gone_before_that_is_confirmed() -> None:
    """A node says that it was deleted; asked again, the manager has it: that is believed at once, as ever."""

    async def main(clock: VirtualClock) -> None:
        manager = Told()
        async with virtual_client(clock, manager, retry=ONCE) as client:
            manager.answers = ("1",)
            await client.get("NAME")
            manager.answers = ("-1", "1")
            assert (await client.refresh("NAME")).version == "1"
            assert len(manager.calls) == 3

    in_virtual_time(main)
