"""What names a secret can have, as its owner writes them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from asyncsecrets.errors import InvalidNameError, SecretNotFoundError
from asyncsecrets.providers.base import BatchReader, Lister
from asyncsecrets.secret import Secret
from asyncsecrets.testing.conformance.cases import UNUSUAL_NAMES
from asyncsecrets.testing.conformance.harness import CANARY, ProviderHarness
from asyncsecrets.testing.conformance.steps import (
    expect_absent,
    expect_error,
    expect_value,
    put,
    scenario,
    writer_of,
)
from asyncsecrets.testing.conformance.watch import expect

__all__ = ["Naming", "NamingWrites"]


class Naming:
    """What names can be read."""

    @scenario
    async def test_unusual_names(self, harness: ProviderHarness) -> None:
        """A name that the manager knows is read, also in a given version, a batch and a list; another is refused."""
        plain = harness.name("Unusual")
        await harness.seed(plain, f"{CANARY} plain")
        for kind, make in UNUSUAL_NAMES.items():
            with _about(kind):
                await (_expect_read if kind in harness.accepts else _expect_refusal)(harness, make(plain), plain)


class NamingWrites:
    """What names can be written to."""

    @scenario
    async def test_writes_to_unusual_names(self, harness: ProviderHarness) -> None:
        """What can be read under a name can be written and deleted under it, unless the manager reserves the name."""
        plain = harness.name("Unusual")
        await put(harness, plain, f"{CANARY} plain")
        for kind in harness.accepts:
            with _about(kind):
                work = _expect_reserved if kind in harness.reserved else _expect_written
                await work(harness, UNUSUAL_NAMES[kind](plain))
        await expect_value(harness, plain, f"{CANARY} plain")


@contextlib.contextmanager
def _about(kind: str) -> Iterator[None]:
    """Say of what kind the name was that something went wrong with."""
    try:
        yield
    except Exception as error:
        error.add_note(f"the kind of the name: {kind!r} of UNUSUAL_NAMES")
        raise


async def _expect_refusal(harness: ProviderHarness, name: str, _: str) -> None:
    before = harness.attempts()
    error = await expect_error(harness, name, harness.provider.get(name), SecretNotFoundError, InvalidNameError)
    if isinstance(error, InvalidNameError):
        expect(harness.attempts() == before, "a name that is refused must not be sent")
        expect(len(str(error).replace(name, "")) > len("cannot name a secret"), "a name is refused without a reason")


async def _expect_read(harness: ProviderHarness, name: str, plain: str) -> None:
    await expect_absent(harness, name)
    version = await harness.seed(name, CANARY)
    await expect_value(harness, name, CANARY)
    if version is not None:
        await expect_value(harness, name, CANARY, version)
    provider = harness.provider
    if isinstance(provider, Lister):
        expect({name, plain} <= set(await provider.list()), "the list lacks a name")
        expect(await provider.list(name) == [name], "a name is not a prefix of itself")
    if isinstance(provider, BatchReader):
        found = (await provider.get_many([name, plain])).get(name)
        expect(isinstance(found, Secret) and harness.value(found).equals(CANARY), "the batch does not hold the value")
    await expect_value(harness, plain, f"{CANARY} plain")


async def _expect_reserved(harness: ProviderHarness, name: str) -> None:
    for cas in (None, "0"):
        await expect_error(harness, name, put(harness, name, CANARY, cas=cas), InvalidNameError)
    await expect_absent(harness, name)


async def _expect_written(harness: ProviderHarness, name: str) -> None:
    await put(harness, name, f"{CANARY} first")
    await put(harness, name, CANARY)
    await expect_value(harness, name, CANARY)
    await writer_of(harness).delete(name)
    await expect_absent(harness, name)
