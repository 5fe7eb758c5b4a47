"""What a write does."""

from __future__ import annotations

import asyncio

import pytest

from asyncsecrets.errors import (
    ConflictError,
    InvalidNameError,
    UnsupportedOperationError,
)
from asyncsecrets.secret import Secret
from asyncsecrets.testing.conformance.cases import HOSTILE_NAMES, PAYLOADS
from asyncsecrets.testing.conformance.harness import CANARY, ProviderHarness
from asyncsecrets.testing.conformance.steps import (
    expect_absent,
    expect_error,
    expect_value,
    needs,
    payload_of,
    put,
    scenario,
    writer_of,
)
from asyncsecrets.testing.conformance.watch import expect


class Writing:
    """What a write does."""

    @scenario
    async def test_put(self, harness: ProviderHarness) -> None:
        """A put creates or updates, returns what it wrote, and the next get sees it."""
        name = harness.name("Put")
        for value in (f"{CANARY} first", f"{CANARY} second"):
            written = await put(harness, name, value)
            read = await expect_value(harness, name, value)
            expect(harness.value(written).equals(value), "put returns another value than it wrote")
            expect((written.name, written.version) == (name, read.version), "put returns another name or version")

    @pytest.mark.parametrize("kind", PAYLOADS)
    @scenario
    async def test_put_payload(self, harness: ProviderHarness, kind: str) -> None:
        """A payload is written exactly as given."""
        needs(harness, kind)
        value = payload_of(harness, kind)
        await put(harness, harness.name("PutPayload"), value)
        await expect_value(harness, harness.name("PutPayload"), value)

    @pytest.mark.parametrize("kind", HOSTILE_NAMES)
    @scenario
    async def test_write_to_hostile_name(self, harness: ProviderHarness, kind: str) -> None:
        """Writing to and deleting a hostile name never touches another secret."""
        needs(harness, kind)
        victim = harness.name("Vict-im")
        hostile = HOSTILE_NAMES[kind](victim)
        writer = writer_of(harness)
        await harness.seed(victim, CANARY)
        try:
            await put(harness, hostile, f"{CANARY} hostile")
        except InvalidNameError:
            await expect_error(harness, hostile, writer.delete(hostile), InvalidNameError)
        else:
            await expect_value(harness, hostile, f"{CANARY} hostile")
            await expect_value(harness, victim, CANARY)
            await writer.delete(hostile)
        await expect_value(harness, victim, CANARY)

    @scenario
    async def test_delete(self, harness: ProviderHarness) -> None:
        """A deleted secret is SecretNotFoundError; deleting it again, or what never was, is not an error."""
        name, writer = harness.name("Delete"), writer_of(harness)
        await harness.seed(name, CANARY)
        await writer.delete(name)
        await expect_absent(harness, name)
        await writer.delete(name)
        await writer.delete(harness.name("DeleteMissing"))
        await expect_absent(harness, harness.name("DeleteMissing"))

    @scenario
    async def test_put_after_delete(self, harness: ProviderHarness) -> None:
        """A put after a delete either works and is read back, or says that the name is taken."""
        name, writer = harness.name("Reuse"), writer_of(harness)
        await put(harness, name, f"{CANARY} old")
        await writer.delete(name)
        try:
            await put(harness, name, f"{CANARY} new")
        except ConflictError:
            await expect_absent(harness, name)
        else:
            await expect_value(harness, name, f"{CANARY} new")

    @scenario
    async def test_compare_and_set(self, harness: ProviderHarness) -> None:
        """A put with ``cas`` writes only over that version; a store that cannot compare refuses and writes nothing."""
        name = harness.name("Cas")
        try:
            first = await put(harness, name, f"{CANARY} first", cas="0")
        except UnsupportedOperationError:
            await expect_absent(harness, name)
            pytest.skip(f"{harness.provider.system} has no compare-and-set")
        await expect_error(harness, name, put(harness, name, f"{CANARY} lost", cas="0"), ConflictError)
        await put(harness, name, f"{CANARY} second", cas=first.version)
        lost = put(harness, name, f"{CANARY} lost", cas=first.version)
        await expect_error(harness, name, lost, ConflictError)
        await expect_value(harness, name, f"{CANARY} second")

    @scenario
    async def test_compare_and_set_race(self, harness: ProviderHarness) -> None:
        """Of several puts with the same ``cas``, exactly one is applied."""
        name = harness.name("Race")
        try:
            first = await put(harness, name, f"{CANARY} first", cas="0")
        except UnsupportedOperationError:
            pytest.skip(f"{harness.provider.system} has no compare-and-set")
        puts = [put(harness, name, f"{CANARY} {number}", cas=first.version) for number in range(5)]
        answers = await asyncio.gather(*puts, return_exceptions=True)
        won = [number for number, answer in enumerate(answers) if isinstance(answer, Secret)]
        lost = [answer for answer in answers if type(answer) is ConflictError]
        expect((len(won), len(lost)) == (1, 4), f"{len(won)} of five puts won and {len(lost)} lost")
        await expect_value(harness, name, f"{CANARY} {won[0]}")
