"""What a provider keeps of its SDK: a client made in a thread, quiet while it is open, shown credentials that are good.

The client may outlive an event loop; what speaks over the network belongs to one. So a provider that is closed and
opened again, on this loop or another, keeps its client.
"""

from __future__ import annotations

import contextlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

from asyncsecrets.errors import AsyncSecretsError, ClosedError, ConfigError
from asyncsecrets.loops import in_thread, running_loop
from asyncsecrets.providers.call import Call, named
from asyncsecrets.providers.guarded import guarded
from asyncsecrets.providers.pages import Pages
from asyncsecrets.providers.quiet import without_collections
from asyncsecrets.redaction import contain, contain_new

__all__ = ["Credentials", "Outcome", "SdkConnection", "SdkProvider"]

T = TypeVar("T")


class Outcome(NamedTuple):
    """What came of an attempt. The error is a value, so that no failure of an SDK's is its context when raised."""

    answer: Any = None
    error: AsyncSecretsError | None = None
    stale: Any = None
    """The credentials that were shown, where others might be accepted."""


class Credentials(Protocol):
    """What is shown to a manager: a ``Renewal``, or a share in some. See there."""

    async def renew(self, rejected: Any) -> bool: ...
    def accepted(self) -> None: ...
    def forget(self) -> None: ...
    async def aclose(self) -> None: ...


class SdkConnection(ABC):
    """Speaks to one service by its SDK for the provider ``system``; a subclass knows which, and how."""

    chatty: ClassVar[tuple[str, ...]]
    """The SDK's loggers: at DEBUG they write down what is sent and answered."""

    terse: ClassVar[Mapping[str, Callable[[logging.LogRecord], bool]]] = {}
    """Filters of loggers that say at any level what somebody's server has said of credentials."""

    def __init__(self, system: str) -> None:
        self._system = system
        self._leash: contextlib.ExitStack | None = None
        self._is_made = False
        self.changed: Callable[[], object] = lambda: None
        """Called after whatever may have changed a secret."""

    # -- what an SDK is

    @property
    @abstractmethod
    def _credentials(self) -> Credentials:
        """What is shown to the manager."""

    @abstractmethod
    def _make(self) -> None:
        """Import the SDK and make the client: for a thread. Nothing is sent."""

    def _misconfigured(self, failure: Exception) -> AsyncSecretsError:
        """What a failure to make the client means."""
        if isinstance(failure, AsyncSecretsError):
            return failure
        return ConfigError(f"{self._system}: the settings cannot be used ({type(failure).__name__})")

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """Whether there is what belongs to an event loop."""

    @abstractmethod
    def _bind(self) -> None:
        """Make what belongs to the running loop, without waiting."""

    @abstractmethod
    async def _unbind(self) -> None:
        """Close that."""

    @abstractmethod
    def _drop(self) -> None:
        """Forget it without touching its loop."""

    @classmethod
    @contextlib.contextmanager
    def discreet(cls) -> Iterator[None]:
        """Keep the SDK from logging secrets and credentials."""
        filters = [(logging.getLogger(name), partial(terse)) for name, terse in cls.terse.items()]  # this one's own
        for logger, terse in filters:
            logger.addFilter(terse)
        try:
            with contain(*cls.chatty):
                yield
        finally:
            for logger, terse in filters:
                logger.removeFilter(terse)

    # -- life

    async def open(self) -> None:
        """Make the client, in a thread, and what belongs to the loop. Nothing is sent. Raises ConfigError."""
        if self.is_open:
            return
        running_loop()
        leash = contextlib.ExitStack()
        leash.enter_context(self.discreet())
        problem: AsyncSecretsError | None = None
        try:
            if not self._is_made:
                await in_thread(self._make_quietly)
                self._is_made = True
            self._bind()
        except Exception as error:  # noqa: BLE001  # an SDK raises ValueError and others for bad settings
            self._is_made = False
            problem = self._misconfigured(error)
        finally:
            if not self.is_open:
                leash.close()
        if problem is not None:
            raise problem
        self._leash = leash

    async def aclose(self) -> None:
        """Close what ``open`` made for the loop; the client stays for another ``open``."""
        leash, self._leash = self._leash, None
        await self._unbind()
        await self._credentials.aclose()
        if leash is not None:
            leash.close()

    def abandon(self) -> None:
        """Forget what belongs to a loop that is gone, or to the parent of a fork."""
        leash, self._leash = self._leash, None
        self._drop()
        self._credentials.forget()
        if leash is not None:
            leash.close()

    def _make_quietly(self) -> None:
        with without_collections():
            self._make()

    # -- calls

    async def _ask(self, call: Call, attempt: Callable[[], Awaitable[Outcome]]) -> Any:
        """The answer that an ``attempt`` brings.

        Credentials that the manager does not know any more are loaded anew, and if they have changed they are shown
        once more. Raises our errors, ClosedError.
        """
        if not self.is_open:
            raise ClosedError(f"the {self._system} provider is not open")
        contain_new()
        try:
            outcome = await attempt()
            if outcome.stale is not None and await self._naming(call, self._credentials.renew(outcome.stale)):
                outcome = await attempt()
        finally:
            if call.writes:
                self.changed()
        if outcome.error is not None:
            raise outcome.error
        self._credentials.accepted()
        return outcome.answer

    def _failed(self, call: Call, error: AsyncSecretsError, stale: Any = None) -> Outcome:
        """The outcome of an attempt that failed; ``stale`` is what was shown, where something else may be accepted."""
        if not self.is_open:
            return Outcome(error=ClosedError(f"{self._system} was closed meanwhile"))
        return Outcome(error=named(error, call), stale=stale)

    async def _naming(self, call: Call, work: Awaitable[T]) -> T:
        """What ``work`` on credentials brings, or its error, which says for what they were wanted."""
        try:
            return await work
        except AsyncSecretsError as error:
            problem = named(error, call)
        raise problem


class Limits(Protocol):
    """What settings say of calls: for how many seconds one may be under way, and how many at once."""

    @property
    def attempt_timeout(self) -> float: ...
    @property
    def max_connections(self) -> int: ...


@guarded
class SdkProvider:
    """A provider that reads and writes over ``connection``, and lists by pages. ``clock`` is in monotonic seconds."""

    tells_sending: ClassVar[bool] = True

    _connection: SdkConnection

    def __init__(self, settings: Limits, connection: SdkConnection, clock: Callable[[], float]) -> None:
        self.attempt_timeout = settings.attempt_timeout
        self.concurrency = settings.max_connections
        self.default_field: str | None = None
        self._connection = connection
        self._pages = Pages(clock)
        connection.changed = self._pages.forget

    async def open(self) -> None:
        """Make the client, in a thread. Nothing is sent. Raises ConfigError."""
        await self._connection.open()

    async def aclose(self) -> None:
        """Close what ``open`` made for the loop, and end what is under way."""
        self._pages.forget()
        await self._connection.aclose()

    def abandon(self) -> None:
        """Forget what belongs to a loop that is gone or to the parent of a fork."""
        self._pages.forget()
        self._connection.abandon()
