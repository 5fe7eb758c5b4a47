"""Callbacks that hear of every change of a secret that was read."""

from __future__ import annotations

import inspect
import logging
import secrets
import threading
from asyncio import CancelledError
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Any, Final, NoReturn

from asyncsecrets.boundary import bared, place_of
from asyncsecrets.errors import ConfigError, UnsupportedOperationError
from asyncsecrets.journal import one_line
from asyncsecrets.loops import current_loop
from asyncsecrets.secret import Secret

__all__ = ["Callbacks", "OnChange"]

logger = logging.getLogger(__name__)

OnChange = Callable[[str, Secret], object]
"""Called with a reference and its new secret. A plain function; what it raises is logged and goes no further."""

_REMEMBERED: Final = 20_000  # references of which it is known what they had, beyond those that are warm


@dataclass(frozen=True, eq=False, slots=True)  # two registrations of one function are two
class _Callback:
    function: OnChange
    name: str | None

    def wants(self, reference: str) -> bool:
        """Whether it is to be called for ``reference``."""
        return self.name is None or self.name == reference

    @property
    def title(self) -> str:
        """What the function is called, for a log line."""
        function: Any = self.function
        while isinstance(function, partial):
            function = function.func
        return one_line(str(getattr(function, "__qualname__", type(function).__qualname__)))


class Callbacks:
    """The callbacks of one client. ``warm()`` is what it has read, by reference."""

    def __init__(self, warm: Callable[[], Mapping[str, Secret]]) -> None:
        self._warm = warm
        self._registered: tuple[_Callback, ...] = ()
        # Which value each reference had last, not the value: that may be gone for good by now.
        self._last: dict[str, bytes] = {}
        self._key = secrets.token_bytes(32)
        self._lock = threading.RLock()  # any thread may register; a callback may, too

    def heard(self, reference: str, secret: Secret) -> None:
        """``reference`` is warm with ``secret``: call whoever wants to know, if that is another one than last time."""
        registered = self._registered
        if not any(callback.wants(reference) for callback in registered):
            return
        last, fingerprint = self._last.pop(reference, None), self._fingerprint(secret)
        self._last[reference] = fingerprint
        if len(self._last) > len(self._warm()) + _REMEMBERED:
            del self._last[next(iter(self._last))]
        if last is not None and last != fingerprint:
            for callback in registered:
                if callback.wants(reference) and callback in self._registered:  # another one may have taken it out
                    _call(callback, reference, secret)

    def add(self, function: OnChange, name: str | None) -> Callable[[], None]:
        """Register ``function``; return a function that takes it out again. What is warm now is no change."""
        callback = _Callback(_plain(function), name)
        with self._lock:
            self._registered = (*self._registered, callback)
        for reference, secret in list(self._warm().items()):
            if callback.wants(reference):
                self._last.setdefault(reference, self._fingerprint(secret))
        return partial(self._remove, callback)

    def _remove(self, callback: _Callback) -> None:
        with self._lock:
            self._registered = tuple(other for other in self._registered if other is not callback)
        for reference in list(self._last):
            if not any(other.wants(reference) for other in self._registered):
                self._last.pop(reference, None)

    def forked(self) -> None:
        """Whoever held the lock stayed in the parent process."""
        self._lock = threading.RLock()

    def close(self) -> None:
        """Let go of all of them."""
        self._registered = ()
        self._last.clear()

    def _fingerprint(self, secret: Secret) -> bytes:
        digest = blake2b(secret.reveal_bytes(), key=self._key, digest_size=16)
        digest.update((secret.version or "").encode("utf-8", "surrogatepass"))
        return digest.digest()


def _plain(function: OnChange) -> OnChange:
    if not callable(function):
        raise ConfigError(f"on_change calls a function, and was given an object of type {type(function).__name__}")
    if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None)):  # noqa: B004  # it is looked at, not asked for
        raise UnsupportedOperationError(
            "on_change calls plain functions, in the step in which the value changes; in a coroutine, follow the "
            "secret with `async for secret in client.watch(name)`"
        )
    return function


def _call(callback: _Callback, reference: str, secret: Secret) -> None:
    try:
        result = callback.function(reference, secret)
    except BaseException as error:  # noqa: BLE001  # somebody's callback must not break the cache
        _failed(callback, reference, error)
        return
    if inspect.iscoroutine(result):  # of a function that does not look like a coroutine function
        result.close()
        _report(callback, reference, "it returned a coroutine, which nobody awaits; follow the secret with watch()")


def _failed(callback: _Callback, reference: str, error: BaseException) -> None:
    # Its class only: a traceback would show the callback's locals, among them the secret it was given.
    _report(callback, reference, f"{type(error).__name__}{place_of(error)}")
    loop = current_loop()
    if loop is not None and _is_for_the_program(error):  # the loop hears of it, once the cache has done its step
        loop.call_soon(_raise, bared(error))


def _is_for_the_program(error: BaseException) -> bool:
    """Not a cancellation: nothing was awaited here, so it was of something that the callback looked at."""
    return not isinstance(error, Exception | CancelledError)


def _raise(error: BaseException) -> NoReturn:
    raise error


def _report(callback: _Callback, reference: str, what: str) -> None:
    logger.error("an on_change callback failed for %r: %s (callback %s)", reference, what, callback.title)
