"""Following secrets through rotations: an async iterator of one or several, and who is told when one changes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import Context
from typing import Final, TypeVar

from asyncsecrets.boundary import afresh
from asyncsecrets.client.callbacks import Callbacks
from asyncsecrets.errors import (
    AsyncSecretsError,
    ResolveError,
    SecretNotFoundError,
    TransientError,
    UnsupportedOperationError,
)
from asyncsecrets.forks import Inherited
from asyncsecrets.loops import running_loop, tell
from asyncsecrets.secret import Secret

__all__ = ["Watch", "Watchers", "differs"]

S = TypeVar("S")

Snapshot = Mapping[str, Secret]

_PAUSE: Final = 1.0, 60.0  # seconds between looks at what cannot be had: the first and the longest


class Watchers:
    """Who is told of changes. ``heard`` costs one dict lookup and one truth test for what nobody follows."""

    def __init__(self, warm: Callable[[], Snapshot]) -> None:
        self.callbacks = Callbacks(warm)
        self._waiting: dict[str, tuple[_Waiter, ...]] = {}
        self._lock = threading.Lock()  # others may come and go on the loops of other threads
        _watchers.add(self)

    def heard(self, reference: str, secret: Secret | None) -> None:
        """``reference`` is warm with ``secret``, or (None) is warm no longer."""
        for waiter in self._waiting.get(reference, ()):
            waiter.wake()
        if secret is not None:
            self.callbacks.heard(reference, secret)

    @contextmanager
    def waiting(self, references: Sequence[str]) -> Iterator[_Waiter]:
        """Who waits in here is woken when one of ``references`` changes. Afterwards nothing is left of it."""
        waiter = _Waiter()
        with self._lock:
            for reference in references:
                self._waiting[reference] = (*self._waiting.get(reference, ()), waiter)
        try:
            yield waiter
        finally:
            with self._lock:
                for reference in references:
                    self._leave(reference, waiter)

    def _leave(self, reference: str, waiter: _Waiter) -> None:
        others = tuple(other for other in self._waiting.get(reference, ()) if other is not waiter)
        if others:
            self._waiting[reference] = others
        else:
            self._waiting.pop(reference, None)

    def close(self) -> None:
        """Let go of the callbacks; have whoever waits look again, and see that the client is closed."""
        self.callbacks.close()
        for waiters in list(self._waiting.values()):
            for waiter in waiters:
                waiter.wake()

    def forked(self) -> None:
        """Whoever waited stayed in the parent process, and so did whoever held the lock. Callbacks are here as well."""
        self._waiting = {}
        self._lock = threading.Lock()
        self.callbacks.forked()


class _Waiter:
    """One who waits. Changes may come from the thread of another event loop."""

    def __init__(self) -> None:
        self.loop = running_loop()
        self._event = asyncio.Event()

    def wake(self) -> None:
        tell(self.loop, self._event.set)  # if that loop is closed, nobody waits any more

    async def woken(self, within: float) -> None:
        """Wait until it is woken, ``within`` so many seconds; what comes after that wakes the next time."""
        if within > 0:
            # A timer that is cancelled stays with the loop until its time, a day as a rule, and its context with it.
            timer = self.loop.call_later(within, self._event.set, context=Context())
            try:
                await self._event.wait()
            finally:
                timer.cancel()
        self._event.clear()


class Watch(AsyncIterator[S]):
    """Follows secrets: what ``SecretsClient.watch`` and ``watch_many`` return.

    Each turn waits for what is news, and gives it: the first what there is now. It may be cancelled, for instance by a
    time limit, and be taken again: nothing is lost. Between turns nothing of it is registered anywhere, so it may be
    dropped at any time. One task takes a turn at a time. After an error it is over.

    ``read`` and ``peek`` are how ``references`` are read; ``every`` so many seconds they are looked at though nobody
    has told of them. That is how they are followed if they are not ``kept``.
    """

    def __init__(
        self,
        watchers: Watchers,
        references: Sequence[str],
        read: Callable[[], Awaitable[Snapshot]],
        peek: Callable[[str], Secret | None],
        shape: Callable[[Snapshot], S],
        *,
        every: float,
        kept: bool,
        wait: bool,
    ) -> None:
        self._watchers = watchers
        self._references = references
        self._read = read
        self._peek = peek
        self._shape = shape
        self._every = every
        self._kept = kept
        self._wait = wait
        self._last: Snapshot | None = None
        self._due = 0.0  # in the loop's time: when to look, though nothing is known to be news
        self._pause = _PAUSE[0]
        self._waiter: _Waiter | None = None
        self._over = False

    @afresh
    async def __anext__(self) -> S:
        """Wait for what is news, and return it."""
        if self._waiter is not None:
            raise UnsupportedOperationError("one task at a time can wait for the next value; give each its own watch()")
        try:
            with self._watchers.waiting(self._references) as self._waiter:
                return self._shape(await self._news(self._waiter))
        except Exception:
            self._over = True
            raise
        finally:
            self._waiter = None

    async def aclose(self) -> None:
        """End it, also for who waits. There is nothing to be closed: it may be dropped as well."""
        self._over = True
        if self._waiter is not None:
            self._waiter.wake()

    async def _news(self, waiter: _Waiter) -> Snapshot:
        within = 0.0 if self._is_at_hand() else self._due - waiter.loop.time()
        while not self._over:
            await waiter.woken(within)
            if not self._over and (found := await self._look()) is not None:
                return found
            within = self._due - waiter.loop.time()
        raise StopAsyncIteration

    def _is_at_hand(self) -> bool:
        """Whether there may be news without asking: something may have changed between two turns."""
        if self._kept and self._pause == _PAUSE[0]:  # the last look did not fail, so this one is a hit
            return True
        last = self._last
        warm = {reference: self._peek(reference) for reference in self._references}
        return any(secret and (last is None or differs(last[reference], secret)) for reference, secret in warm.items())

    async def _look(self) -> Snapshot | None:
        """Return what is news. Says in ``_due`` when to look again, if nobody has told of anything."""
        loop = asyncio.get_running_loop()
        try:
            found = await self._read()
        except AsyncSecretsError as error:
            if not self._may_pass(error):
                raise
            pause, self._pause = self._pause, min(_PAUSE[1], 2 * self._pause)
            self._due = loop.time() + pause
            return None
        self._pause, self._due = _PAUSE[0], loop.time() + self._every
        if self._last is not None and not any(differs(self._last[name], found[name]) for name in self._references):
            return None
        self._last = found
        return found

    def _may_pass(self, error: AsyncSecretsError) -> bool:
        """Whether to go on after ``error``: a source does not answer, and what was last stands; or it is waited for."""
        if isinstance(error, ResolveError):
            return all(self._may_pass(failure) for failure in error.failures.values())
        if isinstance(error, TransientError):
            return self._wait or self._last is not None
        return self._wait and isinstance(error, SecretNotFoundError)


def differs(old: Secret, new: Secret) -> bool:
    """Whether a reader would notice: another version, or another value."""
    return old.version != new.version or not old.equals(new)


_watchers: Inherited[Watchers] = Inherited(Watchers.forked)
