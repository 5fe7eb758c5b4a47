"""What a failing backend looks like to the caller."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from asyncsecrets.errors import (
    ProviderError,
    RateLimitedError,
    WriteOutcomeUnknownError,
)
from asyncsecrets.testing.conformance.cases import BODIES, FAULT_ERRORS, REFUSED, UNANSWERED
from asyncsecrets.testing.conformance.harness import CANARY, FAULTS, ProviderHarness
from asyncsecrets.testing.conformance.steps import (
    expect_error,
    expect_value,
    needs,
    put,
    scenario,
    writer_of,
)
from asyncsecrets.testing.conformance.watch import expect


class Faults:
    """What a failing backend looks like to the caller."""

    @pytest.mark.parametrize("kind", FAULTS)
    @scenario
    async def test_fault(self, harness: ProviderHarness, kind: str) -> None:
        """A fault is one attempt and one class of error, which holds no answer; afterwards the provider works."""
        needs(harness, kind)
        name = harness.name("Fault")
        await harness.seed(name, CANARY)
        await expect_value(harness, name, CANARY)
        async with harness.fault(kind):
            before = harness.attempts()
            error = await expect_error(harness, name, harness.provider.get(name), FAULT_ERRORS[kind])
            after = harness.attempts()
        _check_retry_after(error, kind)
        # An HTTP client may send a read again, once, when the connection it reused turns out to be closed.
        most = 2 if kind == "reset" else 1
        expect(before is None or after is None or after - before <= most, "one get made several attempts")
        await expect_value(harness, name, CANARY)

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


async def _expect_write_fault(harness: ProviderHarness, kind: str, name: str, write: Write) -> None:
    async with harness.fault(kind):
        error = await expect_error(harness, name, write(), FAULT_ERRORS[kind], WriteOutcomeUnknownError)
    unknown = error.outcome_unknown or isinstance(error, WriteOutcomeUnknownError)
    expect(unknown or kind not in UNANSWERED, "a write that was sent and not answered is reported as failed")
    expect(not unknown or kind not in REFUSED, "a write that was refused is reported as perhaps applied")


def _check_retry_after(error: ProviderError, kind: str) -> None:
    if isinstance(error, RateLimitedError):
        wait = error.retry_after
        hinted = kind == "rate_limited_retry_after"
        expect((wait is not None) == hinted, f"retry_after is {wait!r} for {kind}")
        expect(wait is None or wait > 0, "retry_after is not a positive number of seconds")
