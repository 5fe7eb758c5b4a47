"""Following a value through rotations: async iterators by reference, and callbacks for everything."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextvars import Context
from hashlib import blake2b

from asyncsecrets.errors import TransientError
from asyncsecrets.loops import running_loop, tell
from asyncsecrets.secret import Secret

__all__ = ["OnChange", "Watchers"]

logger = logging.getLogger(__name__)

OnChange = Callable[[str, Secret], object]
"""Called with a reference and its new secret. Synchronous; what it raises is logged and goes no further."""

_REMEMBERED = 20_000  # references that on_change tells changes of
_PAUSE = 1.0, 60.0  # seconds between looks at a source that does not answer: the first and the longest


_lock = threading.Lock()


class Watchers:
    """Who follows what. ``heard`` costs one dict lookup and one truth test for what nobody follows."""

    def __init__(self) -> None:
        self._followers: dict[str, tuple[_Follower, ...]] = {}
        self._callbacks: list[OnChange] = []
        # Which value each reference had last, not the value: that may be gone for good by now.
        self._last: dict[str, bytes] = {}
        self._key = secrets.token_bytes(32)

    def heard(self, reference: str, secret: Secret | None) -> None:
        """``reference`` is warm with ``secret``, or (None) is warm no longer."""
        for follower in self._followers.get(reference, ()):
            follower.wake()
        if self._callbacks and secret is not None:
            last, fingerprint = self._last.pop(reference, None), self._fingerprint(secret)
            self._last[reference] = fingerprint
            if len(self._last) > _REMEMBERED:
                del self._last[next(iter(self._last))]
            if last is not None and last != fingerprint:
                self._call_back(reference, secret)

    def on_change(self, callback: OnChange, warm: Mapping[str, Secret]) -> Callable[[], None]:
        """Register ``callback``; return a function that takes it out again. ``warm`` is what was read before."""
        for reference, secret in list(warm.items())[-_REMEMBERED:]:
            self._last.setdefault(reference, self._fingerprint(secret))
        self._callbacks.append(callback)

        def remove() -> None:
            if callback in self._callbacks:
                self._callbacks.remove(callback)
            if not self._callbacks:
                self._last.clear()

        return remove

    async def follow(
        self, reference: str, read: Callable[[], Awaitable[Secret]], every: float
    ) -> AsyncIterator[Secret]:
        """Yield the secret now and each time it is another one. A slow consumer sees the newest, not every one.

        It is looked at when it is heard of, and ``every`` so many seconds for what is never heard of, because it is
        not kept. A source that does not answer ends nothing: the old value stands, and it is asked again.
        """
        follower = _Follower()
        self._join(reference, follower)
        last: Secret | None = None
        pause = _PAUSE[0]
        try:
            while True:
                follower.event.clear()
                try:
                    secret = await read()
                except TransientError:
                    if last is None:
                        raise
                    secret, wait, pause = last, pause, min(_PAUSE[1], 2 * pause)
                else:
                    wait, pause = every, _PAUSE[0]
                if last is None or differs(last, secret):
                    last = secret
                    yield secret
                await follower.woken(wait)
        finally:
            self._leave(reference, follower)

    def _join(self, reference: str, follower: _Follower) -> None:
        with _lock:  # others may join and leave on the loops of other threads
            self._followers[reference] = (*self._followers.get(reference, ()), follower)

    def _leave(self, reference: str, follower: _Follower) -> None:
        with _lock:
            others = tuple(other for other in self._followers[reference] if other is not follower)
            if others:
                self._followers[reference] = others
            else:
                del self._followers[reference]

    def close(self) -> None:
        """Have every follower look again, and see that the client is closed."""
        for followers in list(self._followers.values()):
            for follower in followers:
                follower.wake()

    def _fingerprint(self, secret: Secret) -> bytes:
        digest = blake2b(secret.reveal_bytes(), key=self._key, digest_size=16)
        digest.update((secret.version or "").encode("utf-8", "surrogatepass"))
        return digest.digest()

    def _call_back(self, reference: str, secret: Secret) -> None:
        for callback in list(self._callbacks):
            try:
                callback(reference, secret)
            except Exception as error:  # noqa: BLE001  # somebody's callback must not break the cache
                # Its class only: a traceback would show the callback's locals, among them the secret it was given.
                logger.error("an on_change callback failed for %r: %s", reference, type(error).__name__)  # noqa: TRY400


class _Follower:
    """One iterator that waits. Changes may come from the thread of another event loop."""

    def __init__(self) -> None:
        self._loop = running_loop()
        self.event = asyncio.Event()

    def wake(self) -> None:
        tell(self._loop, self.event.set)  # if that loop is closed, nobody waits any more

    async def woken(self, within: float) -> None:
        # A timer that is cancelled stays with the loop until its time, a day as a rule, and its context with it.
        timer = self._loop.call_later(within, self.event.set, context=Context())
        try:
            await self.event.wait()
        finally:
            timer.cancel()


def differs(old: Secret, new: Secret) -> bool:
    """Whether a reader would notice: another version, or another value."""
    return old.version != new.version or not old.equals(new)


def _after_fork() -> None:
    global _lock  # noqa: PLW0603  # whoever held it stayed in the parent process
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
