"""Operations of one source's provider: each in its turn, within its deadline, under the retry policy."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Generic, TypeVar

from asyncsecrets.boundary import fresh
from asyncsecrets.client.connection import Connection
from asyncsecrets.client.gate import DEFAULT_ROOM, Gate
from asyncsecrets.client.home import Home
from asyncsecrets.client.outage import SourceOutage
from asyncsecrets.client.reporting import Reporter
from asyncsecrets.client.tasks import Tasks, cut_short
from asyncsecrets.client.verdicts import foreign
from asyncsecrets.config import SourceConfig
from asyncsecrets.errands import Errand, whose
from asyncsecrets.errors import AsyncSecretsError, ClosedError, ProviderError, UnavailableError
from asyncsecrets.loops import is_asked_to_end
from asyncsecrets.providers.base import Provider
from asyncsecrets.retry import PAGED, Retry
from asyncsecrets.secret import Secret
from asyncsecrets.sending import Sending, followed

__all__ = ["Calls", "Reading"]

T = TypeVar("T")

_FULL = 0.99  # of its time: whoever has so much left has all of it, and needs no timer of its own


class Calls:
    """Carries out the operations of ``connection``'s provider, as many at once as it has room for.

    They are carried out at ``home``; ``reporter`` hears how each of them went.
    """

    def __init__(
        self,
        config: SourceConfig,
        retry: Retry,
        connection: Connection,
        reporter: Reporter,
        home: Home,
    ) -> None:
        self._source = config.name
        self._system = config.system
        self._retry = retry
        self._connection = connection
        self._home = home
        self._reporter = reporter
        self.outage = SourceOutage(config.name, config.system, reporter, retry.jitter)
        self._failed_opening: set[asyncio.Task[None]] = set()
        self.tasks = Tasks(config.system, self.new_gate(), self.opened, self._given_up)

    def new_gate(self) -> Gate:
        """A gate for the operations of the provider once it is open, on the loop that it is opened on."""
        room = 1 if self._connection.built is None else self._room
        return Gate(self._system, self._retry.policy.deadline, room)

    @property
    def _room(self) -> int:
        return getattr(self._connection.built, "concurrency", DEFAULT_ROOM)

    async def call(
        self,
        name: str | None,
        attempt: Callable[[Provider], Awaitable[T | UnavailableError]],
        *,
        paged: bool = False,
        decide: bool = False,
        spent: float = 0.0,
    ) -> T:
        """Run one operation of the opened provider in its turn, under the retry policy; report how it went. An error
        that it returns is raised, and not tried again.

        Within a write (``tasks.write``) it is one of its calls, and has the time that the write has left, but for
        what is to be left to find out what became of it, if it is to ``decide`` something.
        """
        due = self.tasks.due
        if due is None:
            since = await self.opened(name)
            return await self.told(name, self.in_turn(name, attempt, since=since, spent=spent, paged=paged))
        with followed() as sending:
            return await self.told(name, self._in_write(name, attempt, due, decide, sending))

    async def pause(self, seconds: float) -> bool:
        """Wait; or say False at once, where the write that asks would have no time left after it."""
        due = self.tasks.due
        if due is not None and asyncio.get_running_loop().time() + seconds >= due:
            return False
        await self._retry.sleep(seconds)
        return True

    async def time_for(self, count: int) -> float:
        """Seconds within which ``count`` operations that come now must have ended, after those that wait."""
        with contextlib.suppress(Exception):  # whoever reads is told
            await self._connection.prepared()
        gate = self.tasks.gate
        return gate.patience * (1.0 + (count + gate.waiting) / self._room)

    async def told(self, name: str | None, work: Awaitable[T]) -> T:
        """What ``work`` returns. What it raises is of ours, and is reported."""
        failure: AsyncSecretsError
        try:
            result = await work
        except asyncio.CancelledError:
            if is_asked_to_end():
                raise
            failure = cut_short(self._system, name)
        except AsyncSecretsError as error:
            # Without its traceback: the local variables of a provider's frames are headers, bodies and values.
            failure = fresh(error)
        except Exception as error:  # noqa: BLE001  # a provider that breaks its contract; what it raised may hold a value
            failure = foreign(error, self._system, name)
        else:
            if not self._reporter.condition.at_ease:
                self._reporter.answered()
            return result
        self._reporter.call_failed(failure)
        try:
            raise failure
        finally:
            del failure  # it would hold itself, by its traceback and this frame

    def _given_up(self, waited: float) -> None:
        """A caller, with a time limit of his own, has not waited for an answer."""
        if self._reporter.condition.is_silent(waited):
            text = "nobody was answered yet, and whoever asked has given up; is it reachable, and is it slow?"
            self._reporter.call_failed(UnavailableError(f"{self._system}: {text}", provider=self._system))

    async def in_turn(
        self,
        name: str | None,
        attempt: Callable[[Provider], Awaitable[T | UnavailableError]],
        *,
        since: float | None = None,
        spent: float = 0.0,
        paged: bool = False,
    ) -> T:
        """One operation that came at ``since`` (None: now), and has used up ``spent`` seconds of its time before."""
        gate, errand, due, answered = self.tasks.gate, whose(), None, False
        if since is not None or spent or not gate.enter():
            due = await self._turn(name, since, spent, paged, errand)
        if errand is not None:
            errand.begin(gate)
        try:
            once = _Once(self, attempt)
            result = await self._retry.run(
                once, provider=self._system, name=name, paged=paged, due=due, outage=self.outage
            )
            answered = True
        except ProviderError as error:
            answered = self._is_answer(name, error)
            raise
        finally:
            gate.leave(answered=answered)
            if answered and self.outage.failures:
                self.outage.answered()
            if errand is not None:
                errand.begin(None)
        return _given(result)

    async def _turn(
        self, name: str | None, since: float | None, spent: float, paged: bool, errand: Errand | None
    ) -> float | None:
        """Wait for one's turn; when it must have ended then, unless it has all of its time."""
        gate, loop = self.tasks.gate, asyncio.get_running_loop()
        time = gate.patience * (PAGED if paged else 1)
        turn = await gate.turn(name, loop.time() if since is None else since, errand)
        due = turn + time - gate.patience - spent
        return due if due - loop.time() < _FULL * time else None

    async def _in_write(
        self,
        name: str | None,
        attempt: Callable[[Provider], Awaitable[T | UnavailableError]],
        due: float,
        decide: bool,
        sending: Sending,
    ) -> T:
        """One of several calls of one operation, which has its turn."""
        once = _Once(self, partial(_presumed, sending, attempt))
        gate = self.tasks.gate
        try:
            result = await self._retry.run(
                once, provider=self._system, name=name, due=due, decide=decide, sending=sending
            )
        except ProviderError as error:
            if self._is_answer(name, error):
                self._answered(gate)
            raise
        self._answered(gate)
        return _given(result)

    def _is_answer(self, name: str | None, error: ProviderError) -> bool:
        """Whether ``error`` says something of what was asked for ``name``."""
        if not (error.transient or error.outcome_unknown):
            return True
        self.outage.failed(name, error)
        return False

    def _answered(self, gate: Gate) -> None:
        gate.answered()
        self.outage.answered()

    def attempt(
        self, attempt: Callable[[Provider], Awaitable[T | UnavailableError]]
    ) -> Awaitable[T | UnavailableError]:
        """Begin one attempt of an operation."""
        if not self._home.here:
            raise ClosedError(f"source {self._source!r} has moved to another event loop")
        provider = self._connection.here
        return attempt(provider) if provider is not None else self._open_and(attempt)

    async def _open_and(self, attempt: Callable[[Provider], Awaitable[T]]) -> T:
        return await attempt(await self._connection.open())

    async def opened(self, name: str | None) -> float | None:
        """See that the provider is open. When that was begun, in the loop's time, if it had to be waited for."""
        if self._connection.here is not None:
            return None
        since = asyncio.get_running_loop().time()
        await self.told(name, self.open(name))
        return since

    async def open(self, name: str | None = None) -> None:
        """Open the provider, within the deadline."""
        try:
            await self._retry.run(self._connection.open, provider=self._system, name=name, attempts=1)
        except ProviderError as error:
            opening = self._connection.tasks
            if opening != self._failed_opening:  # for all who wait for it, it is one question
                self._failed_opening = opening
                self._is_answer(name, error)
            raise


class _Once(Generic[T]):
    """One attempt of an operation, to be made by the retry policy: a ``partial`` in a third of the objects."""

    __slots__ = ("_attempt", "_calls")

    def __init__(self, calls: Calls, attempt: Callable[[Provider], Awaitable[T | UnavailableError]]) -> None:
        self._calls = calls
        self._attempt = attempt

    def __call__(self) -> Awaitable[T | UnavailableError]:
        return self._calls.attempt(self._attempt)


class Reading:
    """The operation of reading one secret."""

    __slots__ = ("_name", "_version")

    def __init__(self, name: str, version: str | None) -> None:
        self._name = name
        self._version = version

    def __call__(self, provider: Provider) -> Awaitable[Secret]:
        return provider.get(self._name, self._version)


def _presumed(sending: Sending, attempt: Callable[[Provider], Awaitable[T]], provider: Provider) -> Awaitable[T]:
    """One attempt of a write. A provider that does not tell when it sends is taken to send at once."""
    sending.requests = 0 if getattr(provider, "tells_sending", False) else 1
    return attempt(provider)


def _given(result: T | UnavailableError) -> T:
    if isinstance(result, UnavailableError):
        raise result
    return result
