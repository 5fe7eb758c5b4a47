"""Following a value through rotations: async iterators by reference, and callbacks for everything."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from asyncsecrets.secret import Secret

__all__ = ["OnChange", "Watchers"]

logger = logging.getLogger(__name__)

OnChange = Callable[[str, Secret], object]
"""Called with a reference and its new secret. Synchronous; what it raises is logged and goes no further."""


class Watchers:
    """Who follows what. ``heard`` costs one dict lookup and one truth test for what nobody follows."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._callbacks: list[OnChange] = []
        self._last: dict[str, Secret] = {}

    def heard(self, reference: str, secret: Secret | None) -> None:
        """``reference`` is warm with ``secret``, or (None) is warm no longer."""
        for event in self._waiting.get(reference, ()):
            event.set()
        if self._callbacks and secret is not None:
            last = self._last.get(reference)
            self._last[reference] = secret
            if last is not None and differs(last, secret):
                self._call_back(reference, secret)

    def on_change(self, callback: OnChange) -> Callable[[], None]:
        """Register ``callback``; return a function that takes it out again."""
        self._callbacks.append(callback)

        def remove() -> None:
            if callback in self._callbacks:
                self._callbacks.remove(callback)
            if not self._callbacks:
                self._last.clear()

        return remove

    async def follow(self, reference: str, read: Callable[[], Awaitable[Secret]]) -> AsyncIterator[Secret]:
        """Yield the secret now and each time it is another one. A slow consumer sees the newest, not every one."""
        event = asyncio.Event()
        self._waiting.setdefault(reference, set()).add(event)
        last: Secret | None = None
        try:
            while True:
                event.clear()
                secret = await read()
                if last is None or differs(last, secret):
                    last = secret
                    yield secret
                await event.wait()
        finally:
            self._waiting[reference].discard(event)
            if not self._waiting[reference]:
                del self._waiting[reference]

    def _call_back(self, reference: str, secret: Secret) -> None:
        for callback in list(self._callbacks):
            try:
                callback(reference, secret)
            except Exception as error:  # noqa: BLE001  # somebody's callback must not break the cache
                # Its class only: a traceback would show the callback's locals, among them the secret it was given.
                logger.error("an on_change callback failed for %r: %s", reference, type(error).__name__)  # noqa: TRY400


def differs(old: Secret, new: Secret) -> bool:
    """Whether a reader would notice: another version, or another value."""
    return old.version != new.version or not old.equals(new)
