"""The boundary: what a public function raises begins there, and brings no frame of ours along.

Error reporters capture the local variables of every frame of a traceback, and of its causes and contexts: Sentry,
structlog, ``rich.traceback``, ``traceback.TracebackException(capture_locals=True)``. Frames of ours hold tokens,
values, headers and environments. So a public function raises what went wrong below it *afresh*: the same class,
message and attributes, without a traceback, cause or context; and where it is raised nothing is left in a local
variable.

This module imports nothing of ours but the errors, and nothing that costs: ``get_secret`` stands on it.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, Final, TypeVar, cast

from asyncsecrets.errors import AsyncSecretsError, ConfigError, ResolveError

__all__ = ["afresh", "bared", "configured", "configuring", "fresh", "place_of"]

C = TypeVar("C", bound=type)
E = TypeVar("E", bound=BaseException)
F = TypeVar("F", bound=Callable[..., Any])

_RAISED: Final = "raised in "  # what the note of a place begins with
_COROUTINE: Final = 0x80  # inspect.CO_COROUTINE; importing inspect costs more than all of this package


def afresh(function: F) -> F:
    """Have ``function``, also a coroutine function or method, raise afresh whatever it raises.

    Its signature, docstring and kind stay. Its frames, and its arguments, are in no traceback that a caller sees. What
    it raises but returns only to be awaited, as a plain function that returns a coroutine, is not seen here: decorate
    the coroutine function. It costs a call (and of a coroutine function a coroutine), so it is not for a hit.
    """
    return _guarded(function, bared)


def configuring(function: F) -> F:
    """As ``afresh``, for what takes settings: an exception that is not ours becomes a ConfigError.

    Its own text often quotes what it could not read, and that may be a token; so the ConfigError says which it was and
    where. A call that does not fit the signature is a TypeError, as anywhere, and a module that cannot be imported is
    an ImportError.
    """
    return _guarded(function, partial(_configuration, getattr(function, "__qualname__", "configuration")))


def configured(cls: C) -> C:
    """Have the constructor of a class be ``configuring``: of a dataclass, which has none to decorate."""
    cls.__init__ = configuring(cls.__init__)  # type: ignore[misc]
    return cls


def _guarded(function: F, told: Callable[[BaseException], BaseException]) -> F:
    code = getattr(function, "__code__", None)
    guard = _coroutine if code is not None and code.co_flags & _COROUTINE else _plain
    return cast("F", wraps(function)(guard(function, told)))


def _plain(function: Callable[..., Any], told: Callable[[BaseException], BaseException]) -> Callable[..., Any]:
    def guarded(*args: Any, **options: Any) -> Any:
        try:
            return function(*args, **options)
        except BaseException as error:  # noqa: BLE001  # also of a cancellation: what a time limit raises has it as cause
            failure = told(error)
            del args, options
        try:
            raise failure
        finally:
            del failure  # it would hold itself, by its traceback and this frame

    return guarded


def _coroutine(function: Callable[..., Any], told: Callable[[BaseException], BaseException]) -> Callable[..., Any]:
    async def guarded(*args: Any, **options: Any) -> Any:
        try:
            return await function(*args, **options)
        except BaseException as error:  # noqa: BLE001  # as above
            failure = told(error)
            del args, options
        try:
            raise failure
        finally:
            del failure

    return guarded


def _configuration(what: str, error: BaseException) -> BaseException:
    called = error.__traceback__ is not None and error.__traceback__.tb_next is None  # and nothing in it has run
    if called or isinstance(error, AsyncSecretsError | ImportError) or not isinstance(error, Exception):
        return bared(error)
    return ConfigError(
        f"{what}: {type(error).__name__}{place_of(error)}: something here has another type or shape than can be used; "
        f"its own text may show a credential, so it is left out"
    )


def place_of(error: BaseException) -> str:
    """Where it was raised, for a message: `` in settings.py, line 12``; nothing where nobody raised it."""
    for note in getattr(error, "__notes__", ()):
        if note.startswith(_RAISED):
            return f" in {note.removeprefix(_RAISED)}"
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    return f" in {os.path.basename(place.tb_frame.f_code.co_filename)}, line {place.tb_lineno}" if place else ""  # noqa: PTH119


def bared(error: BaseException) -> BaseException:
    """What is raised instead of ``error``: it, fresh, or where others know the instance (a cancellation, an interrupt),
    the instance, bared of frames. One that is not ours bears a note of the place that the frames would have shown."""
    if isinstance(error, AsyncSecretsError):
        return fresh(error)
    if isinstance(error, Exception):
        return _noted(error)
    link: BaseException | None = error
    while link is not None:  # anyio looks along the contexts of a cancellation for its own
        link.__traceback__ = link.__cause__ = None
        if type(link.__context__) is not type(error):
            link.__context__ = None
        link = link.__context__
    return error


def _noted(error: Exception) -> Exception:
    place, notes = place_of(error).removeprefix(" in "), getattr(error, "__notes__", [])
    duplicate = fresh(error)
    if place and f"{_RAISED}{place}" not in notes:
        duplicate.__notes__ = [*notes, f"{_RAISED}{place}"]  # not add_note(): the copy has the list of the other
    return duplicate


def fresh(error: E) -> E:
    """Return a copy of ``error`` without traceback, context or cause; so are those that it tells of.

    One instance shared by many waiters grows a traceback with each of them, and keeps their frames, with whatever
    secrets are in these, alive. An exception that cannot be copied at all is passed on as it is.
    """
    duplicate = _copy(error)
    duplicate.__traceback__ = duplicate.__context__ = duplicate.__cause__ = None
    if isinstance(duplicate, ResolveError):
        duplicate.failures = {name: fresh(failure) for name, failure in duplicate.failures.items()}
    return duplicate


def _copy(error: E) -> E:
    try:
        duplicate = copy.copy(error)
        if type(duplicate) is not type(error):
            return error
    except Exception:  # noqa: BLE001  # a foreign exception may fail to copy in any way it likes
        return _rebuilt(error)
    return duplicate


def _rebuilt(error: E) -> E:
    # Most exceptions that cannot be copied only have a constructor that asks for more than it hands on.
    try:
        duplicate = type(error).__new__(type(error), *error.args)
        duplicate.__dict__.update(error.__dict__)
    except Exception:  # noqa: BLE001  # as above
        return error
    return duplicate
