"""What a failing backend looks like to the caller."""

from __future__ import annotations

import pytest

from asyncsecrets.errors import (
    ProviderError,
    RateLimitedError,
)
from asyncsecrets.testing.conformance.cases import FAULT_ERRORS
from asyncsecrets.testing.conformance.harness import CANARY, FAULTS, ProviderHarness
from asyncsecrets.testing.conformance.steps import (
    expect_error,
    expect_value,
    needs,
    scenario,
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


def _check_retry_after(error: ProviderError, kind: str) -> None:
    if isinstance(error, RateLimitedError):
        wait = error.retry_after
        hinted = kind == "rate_limited_retry_after"
        expect((wait is not None) == hinted, f"retry_after is {wait!r} for {kind}")
        expect(wait is None or wait > 0, "retry_after is not a positive number of seconds")
