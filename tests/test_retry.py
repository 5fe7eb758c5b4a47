"""The retry policy: what is tried again, when, how often, and when it is too late."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from asyncsecrets.errors import (
    AccessDeniedError,
    AsyncSecretsError,
    ConflictError,
    DeadlineExceededError,
    IntegrityError,
    MalformedResponseError,
    ProviderError,
    RateLimitedError,
    SecretNotFoundError,
    UnavailableError,
)
from asyncsecrets.retry import Retry, RetryPolicy
from asyncsecrets.sending import Sending
from asyncsecrets.testing.virtual_time import VirtualClock
from tests.client.support import in_virtual_time

Outcome = Exception | str


def unavailable(**more: bool) -> UnavailableError:
    """A failure that may pass."""
    return UnavailableError("memory: down; is it running?", provider="memory", name="NAME", **more)


def throttled(after: float | None) -> RateLimitedError:
    """A failure that says when to come back."""
    return RateLimitedError("memory: slow down", provider="memory", name="NAME", retry_after=after)


class Scripted:
    """An attempt that does one outcome after another, and remembers when."""

    def __init__(self, clock: VirtualClock, *outcomes: Outcome | Callable[[], Outcome], takes: float = 0.0) -> None:
        self.clock = clock
        self.outcomes = list(outcomes)
        self.takes = takes
        self.times: list[float] = []

    async def __call__(self) -> str:
        self.times.append(self.clock.monotonic() - 1000.0)
        await asyncio.sleep(self.takes)
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return str(outcome)


async def run(retry: Retry, attempt: Scripted) -> str:
    """One operation."""
    return await retry.run(attempt, provider="memory", name="NAME")


def test_a_transient_failure_is_tried_again() -> None:
    """With full jitter under a ceiling that doubles and is capped."""

    async def main(clock: VirtualClock) -> None:
        attempt = Scripted(clock, *[unavailable()] * 5, "canary")
        retry = Retry(RetryPolicy(attempts=6, deadline=100, backoff=(1.0, 5.0)), jitter=lambda: 1.0)
        assert await run(retry, attempt) == "canary"
        assert attempt.times == pytest.approx([0, 1, 3, 7, 12, 17])
        attempt = Scripted(clock, *[unavailable()] * 2, "canary")
        started = clock.monotonic()
        assert await run(Retry(jitter=lambda: 0.0), attempt) == "canary"
        assert clock.monotonic() == pytest.approx(started)

    in_virtual_time(main)


@pytest.mark.parametrize("attempts", [1, 2, 3, 7])
def test_so_many_attempts_and_no_more(attempts: int) -> None:
    """The error is the last one, and says how many were made; attempts= overrides the policy."""

    async def main(clock: VirtualClock) -> None:
        for policy, given in ((attempts, None), (3, attempts)):
            errors = [unavailable() for _ in range(10)]
            attempt = Scripted(clock, *errors)
            with pytest.raises(UnavailableError) as caught:
                await Retry(RetryPolicy(attempts=policy)).run(attempt, provider="memory", attempts=given)
            assert len(attempt.times) == attempts
            assert caught.value is errors[attempts - 1]
            assert caught.value.attempts == attempts
            assert caught.value.__context__ is caught.value.__cause__ is None

    in_virtual_time(main)


@pytest.mark.parametrize(
    "error",
    [
        SecretNotFoundError("x", provider="memory"),
        AccessDeniedError("x", provider="memory"),
        ConflictError("x", provider="memory"),
        MalformedResponseError("x", provider="memory"),
        IntegrityError("x", provider="memory"),
        unavailable(outcome_unknown=True),
        AsyncSecretsError("x"),
        ValueError("x"),
        TimeoutError("x"),
        ConnectionResetError("x"),
    ],
)
@pytest.mark.parametrize("after", [0, 1])
def test_nothing_else_is(error: Exception, after: int) -> None:
    """Not what waiting cannot help, not a write that may have been applied, not what is not ours: first or later."""

    async def main(clock: VirtualClock) -> None:
        attempt = Scripted(clock, *[unavailable()] * after, error, "canary")
        with pytest.raises(type(error)) as caught:
            await run(Retry(), attempt)
        assert caught.value is error
        assert len(attempt.times) == after + 1

    in_virtual_time(main)


@pytest.mark.parametrize(("jitter", "expected"), [(0.0, [0, 4, 4, 4.5]), (1.0, [0, 6, 8, 10])])
def test_retry_after_is_honoured(jitter: float, expected: list[float]) -> None:
    """It is the least wait, with jitter on top; without one, or where it is longer, the backoff rules."""

    async def main(clock: VirtualClock) -> None:
        attempt = Scripted(clock, throttled(4.0), throttled(None), throttled(0.5), "canary")
        retry = Retry(RetryPolicy(attempts=4, backoff=(1.0, 2.0), deadline=60.0), jitter=lambda: jitter)
        assert await run(retry, attempt) == "canary"
        assert attempt.times == pytest.approx(expected)

    in_virtual_time(main)


@pytest.mark.parametrize("asked", [0.5, 1.0, 5.0, 9.0, 9.9])
def test_a_fleet_that_was_told_the_same_does_not_come_back_in_one_moment(asked: float) -> None:
    """Nobody before the time, nobody too late to be answered, and no tenth of the spread has more than its share."""

    async def main(clock: VirtualClock) -> None:
        attempts = [Scripted(clock, throttled(asked), "canary") for _ in range(400)]
        started = clock.monotonic() - 1000.0
        assert set(await asyncio.gather(*(run(Retry(), attempt) for attempt in attempts))) == {"canary"}
        waits = sorted(attempt.times[1] - started for attempt in attempts)
        spread = min(0.5 * asked, 0.5 * (10.0 - asked))
        assert asked <= waits[0]
        assert waits[-1] <= asked + spread + 0.1
        tenths = Counter(int((wait - asked) / spread * 10) for wait in waits)
        assert max(tenths.values()) < 80

    in_virtual_time(main)


def test_a_wait_past_the_deadline_is_an_error_now() -> None:
    """Retry-After beyond what is left: the throttling itself is raised, at once, with what it asked for."""

    async def main(clock: VirtualClock) -> None:
        for outcomes, when in (([throttled(10.0)], 0.0), ([throttled(6.0), throttled(5.0)], 6.0)):
            attempt = Scripted(clock, *outcomes)
            started = clock.monotonic()
            with pytest.raises(RateLimitedError) as caught:
                await run(Retry(RetryPolicy(deadline=10.0), jitter=lambda: 0.0), attempt)
            assert clock.monotonic() - started == pytest.approx(when)
            assert caught.value.attempts == len(outcomes)

    in_virtual_time(main)


@pytest.mark.parametrize("failures", [0, 1, 2])
def test_the_deadline_covers_everything(failures: int) -> None:
    """An attempt that hangs, the first or a later one, is cut off at the deadline, which counts all of them."""

    async def main(clock: VirtualClock) -> None:
        attempt = Scripted(clock, *[unavailable()] * failures, "canary", takes=3.0)

        async def hanging() -> str:
            if len(attempt.times) < failures:
                return await attempt()
            await asyncio.sleep(3600)
            raise AssertionError

        with pytest.raises(DeadlineExceededError, match=r"'NAME' at memory took longer than 10 s") as caught:
            await Retry().run(hanging, provider="memory", name="NAME")
        assert clock.monotonic() - 1000.0 == pytest.approx(10.0)
        assert (caught.value.name, caught.value.provider, caught.value.attempts) == ("NAME", "memory", failures + 1)
        assert caught.value.__context__ is None
        assert not caught.value.outcome_unknown

    in_virtual_time(main)


def test_a_list_may_take_longer() -> None:
    """It may have many pages; the remedy says how to have fewer."""

    async def main(clock: VirtualClock) -> None:
        async def hanging() -> str:
            await asyncio.sleep(3600)
            raise AssertionError

        with pytest.raises(DeadlineExceededError, match=r"took longer than 60 s.*narrow it with a prefix"):
            await Retry().run(hanging, provider="memory", paged=True)
        assert clock.monotonic() - 1000.0 == pytest.approx(60.0)

    in_virtual_time(main)


@pytest.mark.parametrize("decide", [False, True])
def test_a_timeout_of_somebody_elses_is_not_our_deadline(decide: bool) -> None:
    """Inside an attempt, or around the whole; also of a write that leaves time to find out what became of it."""
    options: dict[str, Any] = {"provider": "memory", "decide": decide, "sending": Sending()}

    async def main(clock: VirtualClock) -> None:
        async def inner() -> str:
            async with asyncio.timeout(1):
                await asyncio.sleep(60)
            raise AssertionError

        with pytest.raises(TimeoutError) as caught:
            await Retry().run(inner, **options)
        assert not isinstance(caught.value, ProviderError)

        async def slow() -> str:
            await asyncio.sleep(60)
            raise AssertionError

        with pytest.raises(TimeoutError) as caught:
            async with asyncio.timeout(1):
                await Retry().run(slow, **options)
        assert not isinstance(caught.value, ProviderError)

    in_virtual_time(main)


@pytest.mark.parametrize("failures", [0, 1])
@pytest.mark.parametrize("while_waiting", [True, False])
def test_cancellation_goes_through(failures: int, while_waiting: bool) -> None:
    """In an attempt or between two: the caller is cancelled, and nothing is tried again."""

    async def main(clock: VirtualClock) -> None:
        attempt = Scripted(
            clock, *[unavailable()] * (failures + while_waiting), "canary", takes=0.0 if while_waiting else 1.0
        )
        retry = Retry(RetryPolicy(backoff=(5.0, 5.0), deadline=60.0), jitter=lambda: 1.0)
        task = asyncio.ensure_future(run(retry, attempt))
        await asyncio.sleep(failures * 6 + 0.5)
        made = len(attempt.times)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(30)
        assert len(attempt.times) == made

    in_virtual_time(main)


@pytest.mark.parametrize(
    "wrong",
    [{"attempts": 0}, {"deadline": 0.0}, {"deadline": float("nan")}, {"backoff": (2.0, 1.0)}, {"backoff": (-1.0, 1.0)}],
)
def test_policies_that_make_no_sense(wrong: dict[str, object]) -> None:
    """Are refused when they are made."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RetryPolicy(**wrong)  # type: ignore[arg-type]


class _Body:
    """What an attempt has in its hands."""


async def test_a_failure_keeps_nothing_alive() -> None:
    """What an attempt had in its hands is gone with the error, without waiting for the garbage collector."""
    bodies: list[weakref.ref[_Body]] = []

    async def attempt() -> str:
        body = _Body()
        bodies.append(weakref.ref(body))
        raise AccessDeniedError("memory: no", provider="memory")

    gc.disable()
    try:
        with contextlib.suppress(AccessDeniedError):
            await Retry().run(attempt, provider="memory")
        assert bodies[0]() is None
    finally:
        gc.enable()
