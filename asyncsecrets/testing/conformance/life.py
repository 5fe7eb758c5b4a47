"""Cancelling, closing, and moving to another event loop."""

from __future__ import annotations

import asyncio

from asyncsecrets.errors import (
    ClosedError,
)
from asyncsecrets.providers.base import BatchReader, Encrypter, Lister, MetadataKeeper, VersionLister, Writer
from asyncsecrets.testing.conformance.changing import changes_of
from asyncsecrets.testing.conformance.harness import CANARY, ProviderHarness
from asyncsecrets.testing.conformance.steps import (
    cancel_after,
    expect_value,
    put,
    scenario,
)
from asyncsecrets.testing.conformance.watch import raised


class Life:
    """Cancelling, closing, and moving to another event loop."""

    @scenario
    async def test_cancelled_get(self, harness: ProviderHarness) -> None:
        """A get that is cancelled, wherever it is, is cancelled, and the provider works afterwards."""
        name = harness.name("Cancel")
        await harness.seed(name, CANARY)
        for turns in range(12):
            await cancel_after(turns, harness.provider.get(name))
            await expect_value(harness, name, CANARY)

    @scenario
    async def test_closed(self, harness: ProviderHarness) -> None:
        """Closing twice is harmless; whatever is asked afterwards is ClosedError."""
        name, provider = harness.name("Closed"), harness.provider
        await harness.seed(name, CANARY)
        await provider.aclose()
        await provider.aclose()
        await raised(provider.get(name), ClosedError)
        if isinstance(provider, Writer):
            await raised(put(harness, name, CANARY), ClosedError)
            await raised(provider.delete(name), ClosedError)
        if isinstance(provider, Lister):
            await raised(provider.list(), ClosedError)
        if isinstance(provider, VersionLister):
            await raised(provider.versions(name), ClosedError)
        if isinstance(provider, BatchReader):
            await raised(provider.get_many([name]), ClosedError)
        if isinstance(provider, MetadataKeeper):
            await raised(provider.metadata(name), ClosedError)
        if isinstance(provider, Encrypter):
            await raised(provider.encrypt(CANARY), ClosedError)
        for change in changes_of(harness, name).values():
            await raised(change(), ClosedError)

    @scenario
    async def test_reopened(self, harness: ProviderHarness) -> None:
        """A closed provider opens again, on the same loop and on another one."""
        name, provider = harness.name("Reopen"), harness.provider
        await harness.seed(name, CANARY)

        async def once() -> None:
            await provider.open()
            await expect_value(harness, name, CANARY)
            await provider.aclose()

        await provider.aclose()
        await once()
        await asyncio.to_thread(asyncio.run, once(), debug=True)
        await once()

    @scenario
    async def test_abandoned(self, harness: ProviderHarness) -> None:
        """A provider whose loop went away without closing it is abandoned without a word, and opens again."""
        name, provider = harness.name("Abandon"), harness.provider
        await harness.seed(name, CANARY)

        async def left_open() -> None:
            await provider.open()
            await expect_value(harness, name, CANARY)

        await provider.aclose()
        await asyncio.to_thread(asyncio.run, left_open(), debug=True)
        provider.abandon()
        await provider.open()
        await expect_value(harness, name, CANARY)
