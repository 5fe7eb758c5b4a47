"""What a write does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from asyncsecrets.errors import (
    ConflictError,
    InvalidNameError,
    ProviderError,
    UnsupportedOperationError,
    WriteOutcomeUnknownError,
)
from asyncsecrets.secret import Secret
from asyncsecrets.testing.conformance.cases import BODIES, FAULT_ERRORS, HOSTILE_NAMES, PAYLOADS, REFUSED, UNANSWERED
from asyncsecrets.testing.conformance.changing import changes_of
from asyncsecrets.testing.conformance.harness import CANARY, FAULTS, ProviderHarness
from asyncsecrets.testing.conformance.steps import (
    cancel_after,
    expect_absent,
    expect_error,
    expect_value,
    needs,
    payload_of,
    put,
    scenario,
    writer_of,
)
from asyncsecrets.testing.conformance.watch import expect, raised


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
            for change in changes_of(harness, hostile).values():
                await raised(change(), InvalidNameError, UnsupportedOperationError)
        else:
            await expect_value(harness, hostile, f"{CANARY} hostile")
            await expect_value(harness, victim, CANARY)
            await writer.delete(hostile)
            for change in changes_of(harness, hostile).values():
                await _attempted(change())
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
        unknown = put(harness, name, f"{CANARY} lost", cas=harness.unknown_version)
        await expect_error(harness, name, unknown, ConflictError)
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

    @scenario
    async def test_cancelled_put(self, harness: ProviderHarness) -> None:
        """A put that is cancelled leaves the old value or the new one, and a provider that works."""
        name = harness.name("CancelPut")
        await put(harness, name, f"{CANARY} old")
        for turns in range(12):
            await cancel_after(turns, put(harness, name, f"{CANARY} new"))
            secret = harness.value(await harness.provider.get(name))
            whole = secret.equals(f"{CANARY} old") or secret.equals(f"{CANARY} new")
            expect(whole, "a cancelled put left neither the old value nor the new one")
        await put(harness, name, f"{CANARY} last")

    @pytest.mark.parametrize("kind", FAULTS)
    @scenario
    async def test_fault_in_a_write(self, harness: ProviderHarness, kind: str) -> None:
        """A write that was sent and not answered says that its outcome is unknown; one that was refused does not."""
        needs(harness, kind)
        name, writer = harness.name("WriteFault"), writer_of(harness)
        await put(harness, name, CANARY)
        await _expect_write_fault(harness, kind, name, lambda: put(harness, name, f"{CANARY} lost"))
        if kind not in BODIES:  # a delete need not read the body of a success
            await _expect_write_fault(harness, kind, name, lambda: writer.delete(name))


Write = Callable[[], Awaitable[object]]


async def _attempted(change: Awaitable[object]) -> None:
    with contextlib.suppress(ProviderError, UnsupportedOperationError):
        await change


async def _expect_write_fault(harness: ProviderHarness, kind: str, name: str, write: Write) -> None:
    async with harness.fault(kind):
        error = await expect_error(harness, name, write(), FAULT_ERRORS[kind], WriteOutcomeUnknownError)
    unknown = error.outcome_unknown or isinstance(error, WriteOutcomeUnknownError)
    expect(unknown or kind not in UNANSWERED, "a write that was sent and not answered is reported as failed")
    expect(not unknown or kind not in REFUSED, "a write that was refused is reported as perhaps applied")
