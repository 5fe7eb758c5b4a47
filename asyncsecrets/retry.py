"""The one retry policy: what may be tried again, how soon, and when it is too late.

SDKs' own retries are switched off, so this is the only place where one call becomes several. An error is tried again
if it says that it is ``transient``; nothing else decides that. Waits are exponential with full jitter. What the manager
asked for (Retry-After) is the least, with jitter on top, so that a fleet that was told the same does not come back in
one moment. An answer that cannot come within the deadline is an error now.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from asyncsecrets.deadlines import Deadline, Limit, Once
from asyncsecrets.errors import DeadlineExceededError, ProviderError, UnavailableError
from asyncsecrets.sending import Sending

if TYPE_CHECKING:
    from tenacity import RetryCallState

__all__ = ["PAGED", "Retry", "RetryPolicy", "may_retry"]

T = TypeVar("T")

PAGED = 6
"""How many deadlines an operation of many pages has."""

_ON_TOP = 0.5  # of what the manager asked for, but no more than
_SPREAD = 0.5  # of the time that is left then
_RESERVE = 0.4  # of the time left when a write is tried; an attempt's own timeout (5 of 10 s) usually ends before


class Outage(Protocol):
    """What is known of whether anybody is answered at all."""

    lasts: bool


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often an operation is tried, and for how long. Durations are in seconds.

    * ``attempts``: how many in all, the first one included.
    * ``deadline``: for the whole operation, with logins and with the reading back of a write that was not answered. A
      list of names, which may have many pages, has six times that.
    * ``backoff``: the longest that the first wait between attempts may be, and the longest that any may be.

    A compare-and-set that was not answered may still arrive for as long as the manager's ``attempt_timeout``. What
    became of it is found out where that fits into the rest of ``deadline``. With a short one its outcome is unknown at
    once. Raises ValueError for what is no policy.
    """

    attempts: int = 3
    deadline: float = 10.0
    backoff: tuple[float, float] = (0.1, 2.0)

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError("attempts must be at least 1")
        if not self.deadline > 0:
            raise ValueError("deadline must be more than zero seconds")
        if not 0 <= self.backoff[0] <= self.backoff[1]:
            raise ValueError("backoff must be two numbers of seconds, the smaller one first")


class Retry:
    """Runs attempts under a policy. ``jitter`` (0 to 1) and ``sleep`` are arguments so that tests need not wait."""

    def __init__(
        self,
        policy: RetryPolicy | None = None,
        *,
        jitter: Callable[[], float] = random.random,
        sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep,
    ) -> None:
        self.policy = policy or RetryPolicy()
        self._deadline = Deadline(self.policy.deadline)
        self._paged = Deadline(PAGED * self.policy.deadline)
        self.jitter = jitter
        self.sleep = sleep

    async def pause(self, number: int) -> None:
        """Wait as before the ``number``-th retry of what failed."""
        first, longest = self.policy.backoff
        await self.sleep(self.jitter() * min(longest, first * 2.0 ** (number - 1)))

    async def run(
        self,
        attempt: Callable[[], Awaitable[T]],
        *,
        provider: str,
        name: str | None = None,
        attempts: int | None = None,
        paged: bool = False,
        due: float | None = None,
        decide: bool = False,
        sending: Sending | None = None,
        outage: Outage | None = None,
    ) -> T:
        """Await ``attempt()``, again after transient failures, and return what it returns.

        ``attempts`` overrides the policy's; ``paged`` says that it may take many calls; ``due`` is when, in the loop's
        time, it must have ended, where that is not the policy's deadline from now; ``decide``: that an attempt must
        leave time to find out what became of it; ``sending``: how far it has come, of a write; ``outage``: while
        that ``lasts``, what has failed is not tried again. Raises what the last attempt raised, with its ``attempts``
        set, or DeadlineExceededError, of unknown outcome where a write was sent.
        """
        most = self.policy.attempts if attempts is None else attempts
        made: list[int] | None = None
        deadline: Deadline | Once = self._paged if paged else self._deadline
        if due is not None:
            deadline = self._until(due, provider, name, paged)
        try:
            with deadline.limit() as limit:
                if decide and sending is not None:
                    attempt = partial(_leaving_time, attempt, limit.due, provider, name, sending)
                # The first attempt runs outside tenacity, which costs about as much as a tenth of a whole cold read.
                try:
                    return await attempt()
                except ProviderError as error:
                    if most < 2 or not may_retry(error) or (outage is not None and outage.lasts):
                        raise
                    failed, made = [error], [1]  # in a list: a local variable would hold its own traceback
                return await self._again(attempt, failed, made, most, limit, outage)
        except TimeoutError:
            if not limit.expired:
                raise
        raise self._exceeded(provider, name, paged, sending).after(1 if made is None else made[0])

    def _until(self, due: float, provider: str, name: str | None, paged: bool) -> Once:
        """A deadline of one operation's own, instead of the policy's. Raises DeadlineExceededError if it has passed."""
        left = due - asyncio.get_running_loop().time()
        if left <= 0:
            raise self._exceeded(provider, name, paged).after(0)
        return Once(left)

    def _exceeded(
        self, provider: str, name: str | None, paged: bool, sending: Sending | None = None
    ) -> DeadlineExceededError:
        what = f"reading or writing {name!r}" if name is not None else "the operation"
        advice = "; narrow it with a prefix" if paged else ""
        seconds = (
            self._paged if paged else self._deadline
        ).seconds  # of the whole, of which a part may have gone before
        return DeadlineExceededError(
            f"{what} at {provider} took longer than {seconds:.3g} s, logins and retries included; "
            f"is it reachable, and is it slow?{advice}",
            provider=provider,
            name=name,
            outcome_unknown=sending is not None and sending.out,
        )

    async def _again(
        self,
        attempt: Callable[[], Awaitable[T]],
        failed: list[ProviderError],
        made: list[int],
        most: int,
        limit: Limit,
        outage: Outage | None,
    ) -> T:
        """Everything after a first attempt that failed transiently: tenacity counts it as its first one."""
        from tenacity import AsyncRetrying, retry_if_exception  # noqa: PLC0415  # most programs and commands need none

        slept: list[BaseException] = []  # what it waits after, one at most

        async def next_attempt() -> T:
            if failed:
                raise failed.pop()
            if outage is not None and outage.lasts:  # which was found out while this waited
                raise slept.pop()
            slept.clear()
            made[0] += 1
            return await attempt()

        def too_late(state: RetryCallState) -> bool:
            wakes_at = asyncio.get_running_loop().time() + state.upcoming_sleep
            if state.attempt_number >= most or wakes_at >= limit.due or (outage is not None and outage.lasts):
                return True
            if state.outcome is not None and (error := state.outcome.exception()) is not None:
                slept.append(error)
            return False

        retrying = AsyncRetrying(
            retry=retry_if_exception(may_retry),
            wait=partial(self._wait, limit),
            stop=too_late,
            sleep=self.sleep,
            reraise=True,
        )
        try:
            return await retrying(next_attempt)
        except ProviderError as error:
            raise error.after(made[0]) from None

    def _wait(self, limit: Limit, state: RetryCallState) -> float:
        first, longest = self.policy.backoff
        jitter = self.jitter()
        jittered = jitter * min(longest, first * 2.0 ** (state.attempt_number - 1))
        error = state.outcome.exception() if state.outcome is not None else None
        asked = getattr(error, "retry_after", None) or 0.0
        left = limit.due - asyncio.get_running_loop().time() - asked
        return max(jittered, asked + jitter * max(0.0, min(_ON_TOP * asked, _SPREAD * left)))


async def _leaving_time(
    attempt: Callable[[], Awaitable[T]], due: float, provider: str, name: str | None, sending: Sending
) -> T:
    """One attempt of a write, which is given up while there is time left to find out what became of it.

    If it was not sent there is nothing to find out, and the time is for another attempt.
    """
    seconds = (1.0 - _RESERVE) * (due - asyncio.get_running_loop().time())
    try:
        async with asyncio.timeout(seconds) as limit:
            return await attempt()
    except TimeoutError:
        if not limit.expired():
            raise
    if not sending.out:
        text = (
            f"a write of {name!r} to {provider} was not sent within {seconds:.2g} s; is it reachable, logins included?"
        )
        raise DeadlineExceededError(text, provider=provider, name=name)
    raise UnavailableError(
        f"{provider} did not answer a write of {name!r} within {seconds:.2g} s",
        provider=provider,
        name=name,
        outcome_unknown=True,
    )


def may_retry(error: BaseException) -> bool:
    """Whether the same call may be made again: transient, and not a write that may have been applied."""
    return getattr(error, "transient", False) and not getattr(error, "outcome_unknown", False)
