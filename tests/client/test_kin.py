"""What a write makes of the other keys of its secret, and what looking for them costs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from asyncsecrets.cache import SingleFlightCache
from asyncsecrets.client import SecretsClient
from asyncsecrets.client.connection import Connection
from asyncsecrets.client.kin import Kin
from asyncsecrets.secret import Secret
from tests.client.support import Manager, client_of, settled, value

MANY = 1_000


class Spelled(Manager):
    """A manager whose secrets have a second name, ``arn:NAME``, and which counts how often it is asked for names."""

    compared = spelled = 0

    def same_secret(self, name: str, other: str) -> bool:
        self.compared += 1
        return name.removeprefix("arn:") == other.removeprefix("arn:")

    def spellings(self, name: str) -> tuple[str, ...]:
        self.spelled += 1
        return (name.removeprefix("arn:"),)

    async def get(self, name: str, version: str | None = None) -> Secret:
        return await super().get(name.removeprefix("arn:"), version)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every look at all that is cached, and every key that is forgotten."""
    seen: list[str] = []
    keys, invalidate = SingleFlightCache.keys, SingleFlightCache.invalidate

    def listed(self: Any) -> Any:
        seen.append("all")
        return keys(self)

    def forgotten(self: Any, key: Any) -> None:
        seen.append(key)
        invalidate(self, key)

    monkeypatch.setattr(SingleFlightCache, "keys", listed)
    monkeypatch.setattr(SingleFlightCache, "invalidate", forgotten)
    return seen


async def test_a_write_looks_at_nothing_where_there_is_nothing(looks: list[Any]) -> None:
    """However many secrets are cached: of one that has neither versions nor another name there is nothing to find."""
    manager = Manager({f"N{number}": "canary" for number in range(MANY)})
    async with client_of(manager) as client:
        await client.get_many([f"N{number}" for number in range(MANY)])
        await client.put("N1", "canary-2")
        assert looks == []
        await client.get("N2", version="1")
        await client.get("N3", version="1")
        await client.put("N2", "canary-2")
        assert looks == [("N2", "1")]
        await client.put("N2", "canary-3")  # it was forgotten, so there is nothing to find now
        assert looks == [("N2", "1")]


async def test_a_write_compares_as_many_names_as_there_are_of_the_secret() -> None:
    """Where secrets have several names, too."""
    manager = Spelled({f"N{number}": "canary" for number in range(MANY)})
    async with client_of(manager, read_your_writes=0) as client:
        await client.get_many([f"{prefix}N{number}" for prefix in ("", "arn:") for number in range(MANY)])
        await client.get("arn:N1", version="1")
        await client.put("N0", "canary-2")  # after which what was read is sorted
        manager.compared = manager.spelled = 0
        await client.put("N1", "canary-2")
        assert manager.compared <= 3
        assert manager.spelled <= 6
        manager.calls.clear()
        assert value(await client.get("arn:N1")) == "canary-2"
        await client.get("arn:N1", version="1")
        assert len(manager.calls) == 2
        await client.put("arn:N5", "canary-3")
        assert manager.compared <= 6
        manager.calls.clear()
        await client.get("N5")
        assert len(manager.calls) == 1


async def test_what_was_asked_before_there_was_a_provider() -> None:
    """A version that is under way when its secret is written is not kept, also if it was what opened the provider."""
    gate = asyncio.Event()

    class Late(Spelled):
        async def get(self, name: str, version: str | None = None) -> Secret:
            secret = await super().get(name, version)
            if version is not None:
                await gate.wait()
            return secret

    manager = Late({"NAME": "canary-1"})
    client = SecretsClient.from_provider(manager)
    readers = [asyncio.create_task(client.get(name, version="1")) for name in ("NAME", "arn:NAME")]
    try:
        await settled()
        await client.put("NAME", "canary-2")
        gate.set()
        await asyncio.gather(*readers)
        manager.calls.clear()
        await client.get("NAME", version="1")
        await client.get("arn:NAME", version="1")
        assert len(manager.calls) == 2  # neither label is answered from before the write
    finally:
        await client.aclose()


@pytest.mark.parametrize("provider", [Manager(), Spelled()])
def test_what_is_not_cached_any_more_is_not_remembered(provider: Manager) -> None:
    """Versions may be chosen by strangers: what is remembered of them is bounded by what is cached."""
    cached: list[Any] = [("NAME", "kept"), "arn:NAME"]
    connection = Connection("default", provider, lambda: provider, companion=None, opened=lambda: None)
    kin = Kin(connection, lambda: cached)
    for number in range(20_000):
        kin.note(cached[number % 2])
        kin.note(("NAME", str(number)))
        if number % 500 == 0:
            kin.others("OTHER")
    assert len(kin) < 3_000
    assert ("NAME", "kept") in kin.others("NAME")
    assert ("arn:NAME" in kin.others("NAME")) is isinstance(provider, Spelled)
