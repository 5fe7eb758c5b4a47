"""Credentials that are found and renewed in a thread, ahead of their expiry.

Whoever asks by them never waits while those in hand are good for another minute: a renewal begins a quarter of an hour
before they expire. One renewal serves all who wait for it, and those that lead to nothing keep apart.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import copy
import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Final

from asyncsecrets.credential import usable
from asyncsecrets.errors import AsyncSecretsError, AuthenticationError, ConfigError, UnavailableError
from asyncsecrets.journal import AUTH, Seldom, duration, one_line, say
from asyncsecrets.loops import retrieve, spawn
from asyncsecrets.providers.call import Call

__all__ = ["Renewal"]

_AHEAD: Final = 15 * 60.0
_AT_LEAST: Final = 60.0
_APART: Final = 60.0
_QUICK: Final = 3
_LONGEST: Final = 60.0
PATIENCE: Final = 8.0
"""Less than the ten seconds that an operation has as a rule: who waits in vain is to be told what for."""

_THREADS: Final = 5
"""At work at once, of which all but one hang."""


class Renewal(ABC):
    """What one source shows to its manager: found once, in a thread, and renewed there ahead of its expiry.

    A subclass knows the SDK: what *finds* credentials anew, and what is *shown* of them. ``call`` says who asks, for
    errors; ``clock`` is in monotonic seconds; ``held`` makes a context for the thread, which may be at work longer than
    this is open; ``patience`` is for how many seconds of it callers wait. One instance serves one event loop at a time.
    """

    what: ClassVar[str]
    """What they are called: ``AWS credentials``."""

    may_hang: ClassVar[str]
    """What they may be waiting for, to follow ``does`` in an error."""

    def __init__(
        self,
        call: Call,
        *,
        clock: Callable[[], float] = time.monotonic,
        held: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext,
        patience: float = PATIENCE,
    ) -> None:
        self._held = held
        self._call = call
        self._clock = clock
        self._patience = patience
        self._tried = -_APART
        self._found: Any = None
        self._frozen: Any = None
        self._renewal: asyncio.Task[None] | None = None
        self._problem: AsyncSecretsError | None = None
        self._in_vain = 0
        self._resume = 0.0
        self._threads = 0
        self._news = Seldom(60.0, clock, most=5)
        self._warnings = Seldom(300.0, clock)

    # -- what an SDK's credentials are

    @abstractmethod
    def _find(self) -> Any:
        """Find credentials anew. Blocks: it is called in a thread, as the next two are."""

    @abstractmethod
    def _show(self, found: Any) -> Any:
        """What to show of what was found, renewed if need be. It never changes, and does not show itself."""

    @abstractmethod
    def _has_ended(self, failure: Exception) -> bool:
        """Whether a renewal failed as what it is made with has expired, so that credentials must be found anew."""

    def _translate(self, failure: Exception) -> AsyncSecretsError:
        """What a failure to find or renew credentials means."""
        if isinstance(failure, AsyncSecretsError):
            return failure
        why = f"what was given makes no sense ({type(failure).__name__})"
        return self._call.error(AuthenticationError, f"the {self.what} could not be obtained: {why}")

    def _token(self, text: str) -> str:
        """An access token, which a header is made of. Raises AuthenticationError for what can be none."""
        try:
            if token := usable(text, "the access token"):
                return token
            problem = "the access token is empty"
        except ConfigError as error:
            problem = error.message
        raise self._call.error(AuthenticationError, f"{problem}: whoever gives tokens is to give another")

    def _ends_within(self, found: Any, seconds: float) -> bool:
        """Whether what was found expires so soon."""
        left = self._left(found)
        return left is not None and left < seconds

    @abstractmethod
    def _left(self, found: Any) -> float | None:
        """For how many seconds it is good; None where it has no end, or none to speak of."""

    def _ahead(self, found: Any) -> float:
        """How many seconds before its end what was found is renewed: as many as it says, if it does."""
        return float(getattr(found, "ahead", _AHEAD))

    def _delay(self) -> str:
        """What is to be said to who has waited in vain."""
        return f"does {self.may_hang} hang?"

    # -- asking for them

    async def current(self) -> Any:
        """What to show now. Raises AuthenticationError, AccessDeniedError, ConfigError, …"""
        if self._found is None or self._frozen is None or self._ends_within(self._found, _AT_LEAST):
            await self._renewed()
        elif self._ends_within(self._found, self._ahead(self._found)) and self._clock() - self._tried >= _APART:
            self._begin()
        return self._frozen

    async def renew(self, rejected: Any) -> bool:
        """The manager refused ``rejected``: load anew, unless somebody has. Return whether there is another to show.

        Renewals that lead to nothing are made three at once, and then 1, 2, 4 … 60 seconds apart.
        """
        if self._frozen == rejected and (self._renewal is not None or self._clock() >= self._resume):
            if self._renewal is None:
                self._found = None
            await self._renewed(because_rejected=True)
        return bool(self._frozen != rejected)

    def accepted(self) -> None:
        """The manager took what was shown: the next renewal need not wait."""
        self._in_vain = 0
        self._resume = 0.0

    def forget(self) -> None:
        """Drop what belongs to a loop, or to the parent of a fork (credentials may hold a lock)."""
        self._renewal = self._found = self._frozen = self._problem = None
        self._tried = self._clock() - _APART
        self._threads = 0
        self.accepted()

    async def aclose(self) -> None:
        """End a renewal that is under way."""
        renewal = self._renewal
        if renewal is not None:
            renewal.cancel()
            await asyncio.wait({renewal})
        self.forget()

    async def _renewed(self, *, because_rejected: bool = False) -> None:
        if self._renewal is None and self._problem is not None and self._clock() < self._resume:
            raise copy.copy(self._problem)
        renewal = self._begin(because_rejected=because_rejected)
        # Not awaited directly: a cancelled caller would cancel it for all.
        await asyncio.wait({renewal}, timeout=max(0.0, self._tried + self._patience - self._clock()))
        if not renewal.done():
            raise self._call.error(
                UnavailableError,
                f"the {self.what} were waited for, {self._patience:g} s: {self._delay()}",
            )
        if renewal.cancelled():
            raise self._call.error(UnavailableError, f"loading the {self.what} was cut off; they are loaded anew")
        error = renewal.exception()
        if error is not None:
            raise copy.copy(error)

    def _begin(self, *, because_rejected: bool = False) -> asyncio.Task[None]:
        if self._renewal is not None and self._clock() - self._tried >= _APART and self._threads < _THREADS:
            self._renewal.cancel()  # it hangs, and may for ever; its thread goes on
            self._renewal = None
        if self._renewal is None:
            self._tried = self._clock()
            work = self._renew(because_rejected=because_rejected)
            self._renewal = spawn(work, name="asyncsecrets-credentials", done=self._ended)
        return self._renewal

    def _ended(self, renewal: asyncio.Task[None]) -> None:
        if self._renewal is renewal:
            self._renewal = None
        retrieve(renewal)  # one ahead of time has nobody who waits for it

    async def _renew(self, *, because_rejected: bool) -> None:
        problem: AsyncSecretsError | None = None
        before = self._frozen
        try:
            await self._in_thread()
        except Exception as error:  # noqa: BLE001  # a chain of credentials may raise anything
            problem = self._translate(error)
        self._problem = copy.copy(problem)
        self._tell(before, problem)
        if problem is not None or because_rejected:
            self._has_been_in_vain()
        if problem is not None:
            raise problem

    def _tell(self, before: Any, problem: AsyncSecretsError | None) -> None:
        """Say that there are other credentials than ``before``, or that there are none although the end is near."""
        found, left = self._frozen, self._seconds_left()
        system, good = self._call.system, "" if left is None else f"; they are good for {duration(left)}"
        if problem is None and found != before:
            if (before is not None or good) and self._news.passes():
                what = "found" if before is None else "renewed"
                say(AUTH, logging.INFO, "%s: %s were %s%s", system, self.what, what, good)
        elif left is not None and (problem or left < self._ahead(self._found)) and self._warnings.passes():
            why = "" if problem is None else f": {type(problem).__name__}: {one_line(str(problem)).rstrip('.')}"
            what = f"the {self.what} could not be renewed ahead of their end"
            then = f"They are good for another {duration(left)}; it is tried again every minute"
            say(AUTH, logging.WARNING, "%s: %s%s. %s", system, what, why, then)

    def _has_been_in_vain(self) -> None:
        """Until the manager takes what was loaded, count: one renewal more has led to nothing."""
        self._in_vain += 1
        pause = min(_LONGEST, 2.0 ** min(self._in_vain - _QUICK, 9)) if self._in_vain >= _QUICK else 0.0
        self._resume = self._clock() + pause

    async def _in_thread(self) -> None:
        """Work in a thread, which goes on when this is cancelled: no thread can be ended.

        A program that gives credentials may hang. The loop's own threads, and all that are no daemons, are waited for
        when the process ends; so this one is a daemon.
        """
        loop, failed, held = asyncio.get_running_loop(), list[BaseException](), contextlib.ExitStack()
        ended = loop.create_future()  # it carries nothing: its repr would show it
        others = self._threads  # which hang, and keep locked what they renew

        def end() -> None:
            held.close()
            self._threads = max(0, self._threads - 1)
            if not ended.done():
                ended.set_result(None)

        def work() -> None:
            try:
                self._work(anew=others > 0)
            except BaseException as error:  # noqa: BLE001  # raised where it is waited for
                failed.append(error)
            with contextlib.suppress(RuntimeError):  # the loop is closed: it is held for good
                loop.call_soon_threadsafe(end)

        held.enter_context(self._held())
        context = contextvars.copy_context()
        try:
            threading.Thread(target=context.run, args=(work,), name="asyncsecrets-credentials", daemon=True).start()
        except RuntimeError:  # no more threads
            held.close()
            raise
        self._threads += 1
        await ended
        if failed:
            raise failed.pop()

    def _work(self, *, anew: bool) -> None:
        if not anew and self._found is not None and self._has_renewed(self._found):
            return
        found = self._find()
        self._frozen = self._show(found)
        self._found = found

    def _has_renewed(self, found: Any) -> bool:
        """Renew what was found before; False if what it renews itself with has expired and must be found anew."""
        try:
            self._frozen = self._show(found)
        except Exception as failure:
            if not self._has_ended(failure):
                raise
            return False
        return True

    def _seconds_left(self) -> float | None:
        return None if self._found is None else self._left(self._found)
