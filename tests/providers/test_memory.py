"""MemoryProvider: the conformance suite, and what is its own."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from asyncsecrets.errors import ConflictError, InvalidNameError, SecretNotFoundError, UnavailableError
from asyncsecrets.providers.base import Destroyer, Lister, Restorer, VersionDeleter, VersionLister, Writer
from asyncsecrets.providers.memory import MemoryProvider
from asyncsecrets.secret import Payload
from asyncsecrets.testing.conformance import FAULTS, UNUSUAL_NAMES, ProviderConformance, ProviderHarness

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class MemoryHarness(ProviderHarness):
    """The provider is its own backend; the test's own methods are the out-of-band way."""

    unsupported = dict.fromkeys(FAULTS, "memory has no wire that could fail")
    accepts = UNUSUAL_NAMES

    def __init__(self) -> None:
        self.provider: MemoryProvider = MemoryProvider()

    async def seed(self, name: str, value: Payload) -> str:
        return self.provider.set(name, value)

    async def remove(self, name: str) -> None:
        self.provider.remove(name)


class TestConformance(ProviderConformance):
    """The contract of every provider."""

    @pytest.fixture
    def harness(self):
        """A fresh provider."""
        return MemoryHarness()


@pytest.fixture
async def memory():
    """An open provider with one secret."""
    provider = MemoryProvider({"NAME": "canary-value"}, now=lambda: NOW)
    await provider.open()
    yield provider
    await provider.aclose()


async def test_initial_secrets(memory):
    """The mapping it is built from becomes version 1, made at the clock's now."""
    secret = await memory.get("NAME")
    assert secret.equals("canary-value")
    assert (secret.version, secret.created) == ("1", NOW)


async def test_initial_mapping_is_copied():
    """A change of the mapping afterwards, or by the provider, does not reach the other."""
    given = {"NAME": "canary-given"}
    memory = MemoryProvider(given)
    given["NAME"] = "canary-changed"
    memory.set("OTHER", "canary-other")
    assert (await memory.get("NAME")).equals("canary-given")
    assert list(given) == ["NAME"]


def test_capabilities():
    """It writes, lists names and versions, deletes versions, restores and destroys."""
    for protocol in (Writer, Lister, VersionLister, VersionDeleter, Restorer, Destroyer):
        assert isinstance(MemoryProvider(), protocol)


async def test_versions_deleted_restored_and_destroyed(memory):
    """One by one, whatever is current; what is destroyed never comes back, and what never was is said to be absent."""
    for number in (2, 3):
        await memory.put("NAME", f"canary-{number}")
    await memory.delete_versions("NAME", ["1", "2", "9"])
    await memory.destroy("NAME", ["3"])
    for gone in ("3", "9"):
        with pytest.raises(SecretNotFoundError, match=f"version '{gone}'"):
            await memory.restore("NAME", ["2", gone])
    await memory.restore("NAME", ["2"])
    assert [info.state for info in await memory.versions("NAME")] == ["deleted", "enabled", "destroyed"]
    assert (await memory.get("NAME", "2")).equals("canary-2")
    for version in (None, "3"):
        with pytest.raises(SecretNotFoundError) as caught:
            await memory.get("NAME", version)
        assert caught.value.reason == "destroyed"
    assert (await memory.put("NAME", "canary-4", cas="0")).version == "4"
    assert "canary-3" not in repr([stored.payload for stored in memory._secrets["NAME"]])
    await memory.destroy("NAME")
    await memory.destroy("NAME")
    with pytest.raises(SecretNotFoundError) as caught:
        await memory.restore("NAME")
    assert caught.value.reason == "absent"


async def test_deleted_and_restored(memory):
    """A deleted secret says so, keeps its older versions readable, is not listed, and comes back as it was."""
    await memory.put("NAME", "canary-second")
    await memory.delete("NAME")
    with pytest.raises(SecretNotFoundError) as caught:
        await memory.get("NAME")
    assert caught.value.reason == "deleted"
    assert (await memory.get("NAME", "1")).equals("canary-value")
    assert await memory.list() == []
    assert [(info.version, info.state) for info in await memory.versions("NAME")] == [
        ("1", "enabled"),
        ("2", "deleted"),
    ]
    await memory.restore("NAME")
    assert (await memory.get("NAME")).equals("canary-second")
    assert await memory.list() == ["NAME"]


async def test_version_numbers_continue_after_delete(memory):
    """A put after a delete is a new version, never the number of a deleted one."""
    await memory.delete("NAME")
    assert (await memory.put("NAME", "canary-again", cas="0")).version == "2"


@pytest.mark.parametrize("version", ["", "0", "-1", "01", "1.0", " 1", "1 ", "\uff12", "²", "x", "9" * 50])
async def test_version_text_is_exact(memory, version):
    """Text that is not exactly a version's number is an absent version, not a neighbour."""
    with pytest.raises(SecretNotFoundError):
        await memory.get("NAME", version)


async def test_removed_is_as_if_it_had_never_been(memory):
    """After remove, the secret is absent, not deleted, and starts again at version 1."""
    memory.remove("NAME")
    with pytest.raises(SecretNotFoundError) as caught:
        await memory.get("NAME")
    assert caught.value.reason == "absent"
    assert memory.set("NAME", "canary-new") == "1"


@pytest.mark.parametrize("cas", ["0", "2", "01", ""])
async def test_conflict_names_the_secret_only(memory, cas):
    """A lost compare-and-set writes nothing and says which version was expected."""
    with pytest.raises(ConflictError, match="'NAME' is not at version"):
        await memory.put("NAME", "canary-lost", cas=cas)
    assert (await memory.get("NAME")).equals("canary-value")


def test_set_refuses_an_empty_name():
    """The test's own way in refuses what the provider refuses."""
    with pytest.raises(InvalidNameError):
        MemoryProvider({"": "canary"})


async def test_before_can_be_slow_or_fail(memory):
    """The hook sees each operation and name before it happens, and what it raises is what the caller gets."""
    seen = []

    async def before(operation, name):
        seen.append((operation, name))
        await asyncio.sleep(0)
        if operation == "put":
            raise UnavailableError("down", provider="memory", name=name)

    memory.before = before
    await memory.get("NAME")
    await memory.list("N")
    await memory.versions("NAME")
    with pytest.raises(UnavailableError):
        await memory.put("NAME", "canary-lost")
    await memory.delete("NAME")
    assert seen == [("get", "NAME"), ("list", "N"), ("versions", "NAME"), ("put", "NAME"), ("delete", "NAME")]


async def test_put_decides_after_the_hook(memory):
    """Two puts that waited together still compare one after the other: exactly one of them wins."""
    memory.before = lambda *_: asyncio.sleep(0)
    puts = [memory.put("NAME", f"canary-{number}", cas="1") for number in range(2)]
    answers = await asyncio.gather(*puts, return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["ConflictError", "Secret"]


def test_repr_counts():
    """The repr tells how many secrets there are, not which."""
    assert repr(MemoryProvider({"NAME": "canary"})) == "MemoryProvider(1 secrets)"


async def test_from_settings():
    """From a config file it holds its setting `secrets`, and nothing without it."""
    memory = MemoryProvider.from_settings({"secrets": {"NAME": "canary-config"}}, {})
    assert (await memory.get("NAME")).equals("canary-config")
    assert await MemoryProvider.from_settings({}, {}).list() == []
