"""The process's default client, and ``get_secret``, which reads through it.

This module imports nothing of ours but the errors and the boundary: it is what ``import asyncsecrets`` costs. ``async
with client`` puts the client on top of ``_open``; leaving takes it out, and the one below is the default again. A
ContextVar would not do: one that is set in a lifespan is not seen in the handlers.
"""

from __future__ import annotations

import os
import weakref
from _thread import allocate_lock
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, Protocol, TypeVar, overload

from asyncsecrets.boundary import afresh
from asyncsecrets.errors import ClosedError, DecodeError, SecretNotFoundError

if TYPE_CHECKING:
    import asyncio

    from asyncsecrets.secret import Secret

__all__ = ["get_secret", "get_secret_bool", "reset_default"]

T = TypeVar("T")

_MISSING: Final = object()


class DefaultClient(Protocol):
    """What this module needs of a client."""

    @property
    def texts(self) -> dict[str, str]:
        """What is warm, by reference: kept true by the client, replaced when it is withdrawn."""

    def aclose(self) -> Awaitable[None]:
        """Close it."""

    async def get(self, name: str) -> Secret:
        """Read one secret."""


_NOTHING: Final[dict[str, str]] = {}

_changing = allocate_lock()  # clients may be opened and closed in any number of threads
_texts: dict[str, str] = _NOTHING
_open: tuple[DefaultClient, ...] = ()
_implicit: tuple[DefaultClient, weakref.ref[asyncio.AbstractEventLoop] | None] | None = None  # opened by get_secret
_retired: weakref.WeakSet[DefaultClient] = weakref.WeakSet()  # that were, and are not the default any more
_closed_on: weakref.ref[asyncio.AbstractEventLoop] | None = None  # where the last one was closed by the program
_opener: Callable[[], Awaitable[DefaultClient]] | None = None


@overload
async def get_secret(name: str) -> str: ...


@overload
async def get_secret(name: str, default: T) -> str | T: ...


async def get_secret(name: str, default: object = _MISSING) -> object:
    """Return the value of a secret as text, exactly as stored.

    ``name`` is a name, or a reference: ``os.environ/NAME``, ``secret://SOURCE/NAME?version=V&field=F``.

    ``default`` is returned if, and only if, the secret does not exist. Everything else raises
    ``AsyncSecretsError``: a manager that is down or says no is not a secret that does not exist.

    It is read through the client that was opened last with ``async with``. When none is open, one is opened: from the
    file that ``ASYNCSECRETS_CONFIG`` names, else from the ``config.yaml`` that is found, else from the environment. It
    lives as long as the event loop. Under the next loop, configuration and environment are read anew.

    Once the program has closed its own client, calls on the same event loop raise ``ClosedError``. A reader that is
    late must not be answered from another place, such as the environment, without anybody knowing.

    A secret that is cached costs one dict lookup. Safe to call from any number of tasks.
    """
    try:
        return _texts[name]
    except (KeyError, TypeError):  # what is no text is told so by the client
        pass
    if default is _MISSING:
        return (await _read(name)).reveal()
    reading = _read_or(name, default)
    del default  # which may be a secret as well: what raises from here on has it in no local variable
    return await reading


@afresh
async def _read_or(name: str, default: object) -> object:
    try:
        return (await _read(name)).reveal()
    except SecretNotFoundError:
        return default


async def _read(name: str) -> Secret:
    while True:
        client = await default_client()
        try:
            return await client.get(name)
        except ClosedError:
            if client not in _retired:
                raise
        # Its loop had ended, and another thread has closed it for that since it was taken here.


_WORDS: Final = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


@overload
async def get_secret_bool(name: str) -> bool: ...


@overload
async def get_secret_bool(name: str, default: T) -> bool | T: ...


@afresh
async def get_secret_bool(name: str, default: object = _MISSING) -> object:
    """Return a secret that says true/yes/on/1 or false/no/off/0 as a bool; otherwise like ``get_secret``.

    Capitals and blanks around the word do not matter. Raises ``DecodeError`` for any other text, without showing it.
    """
    try:
        text = await get_secret(name)
    except SecretNotFoundError:
        if default is _MISSING:
            raise
        return default
    return bool_of(text, name)


def bool_of(text: str, name: str) -> bool:
    """What the secret ``name`` says. Raises DecodeError, as ``get_secret_bool``."""
    meaning = _WORDS.get(text.strip().lower())
    if meaning is None:
        raise DecodeError(f"{name!r} is neither true/yes/on/1 nor false/no/off/0")
    return meaning


def push(client: DefaultClient) -> None:
    """Make ``client`` the default."""
    global _open, _closed_on  # noqa: PLW0603  # the process's default is a global by nature
    _take_implicit(_has_ended)
    with _changing:
        _open = (*_open, client)
        _closed_on = None
    rebind()


def push_if_none(client: DefaultClient) -> DefaultClient:
    """Make ``client`` the default while the running loop lasts, unless there is one; return the default."""
    global _open, _closed_on, _implicit  # noqa: PLW0603
    _take_implicit(_has_ended)
    here = _running()
    with _changing:
        if not _open:
            _open = (client,)
            _closed_on = None
            _implicit = (client, here)
        chosen = _open[-1]
    rebind()
    return chosen


def remove(client: DefaultClient) -> None:
    """Take ``client`` out, wherever it is in the order of opening; the one that is last then is the default."""
    global _open, _closed_on, _implicit  # noqa: PLW0603
    here = _running()
    with _changing:
        rest = tuple(other for other in _open if other is not client)
        if _implicit is not None and _implicit[0] is client:
            _implicit = None
        if _open and not rest:
            _closed_on = here
        _open = rest
    rebind()


@afresh
async def reset_default() -> None:
    """Close the client that ``get_secret`` opened by itself, if it did.

    The next call of ``get_secret`` opens another one, from the configuration, the environment and the working directory
    as they are then. For tests that share an event loop; a new event loop begins anew by itself.

    A client that the program has opened itself stays open, and the default. That it has closed one is forgotten.
    """
    client = forget()
    if client is not None:
        await client.aclose()


def forget() -> DefaultClient | None:
    """Take out the client that was opened by ``get_secret``, and return it; forget that the program has closed one."""
    global _closed_on  # noqa: PLW0603
    client = _take_implicit(lambda _: True)
    _closed_on = None
    return client


def opened() -> DefaultClient | None:
    """The client that the program has opened last, if one is open; not one that ``get_secret`` has opened."""
    implicit = _implicit[0] if _implicit is not None else None
    return next((client for client in reversed(_open) if client is not implicit), None)


async def default_client() -> DefaultClient:
    """Return the client that ``get_secret`` reads through. One is opened if none is open."""
    return current_client() or await _open_default()


def current_client() -> DefaultClient | None:
    """The default client, unless it was opened by ``get_secret`` on a loop that has ended."""
    clients, implicit = _open, _implicit
    if not clients or (implicit is not None and clients[-1] is implicit[0] and _has_ended(implicit[1])):
        return None
    return clients[-1]


def _has_ended(loop: weakref.ref[asyncio.AbstractEventLoop] | None) -> bool:
    found = None if loop is None else loop()
    return found is None or found.is_closed()


def _take_implicit(
    which: Callable[[weakref.ref[asyncio.AbstractEventLoop] | None], bool],
) -> DefaultClient | None:
    """Take out the client that was opened by ``get_secret``, if there is one and its loop is one of ``which``."""
    global _open, _implicit  # noqa: PLW0603
    with _changing:
        if _implicit is None or not which(_implicit[1]):
            return None
        client, _implicit = _implicit[0], None
        _retired.add(client)
        _open = tuple(other for other in _open if other is not client)
    rebind()
    return client


def rebind() -> None:
    """Look again at what the default client has warm: it changed, or the client did. Safe from any thread."""
    global _texts  # noqa: PLW0603  # one global read is what makes a warm get_secret cost a dict lookup
    # Another thread may do the same at any moment: what was assigned may be out of date by then, so look again.
    while _texts is not (warm := _warm()):
        _texts = warm


def _warm() -> dict[str, str]:
    clients = _open
    return clients[-1].texts if clients else _NOTHING


def _running() -> weakref.ref[asyncio.AbstractEventLoop] | None:
    import asyncio  # noqa: PLC0415  # it would be most of what importing this package costs

    try:
        return weakref.ref(asyncio.get_running_loop())
    except RuntimeError:
        return None


async def _open_default() -> DefaultClient:
    ended = _take_implicit(_has_ended)
    if ended is not None:
        await ended.aclose()  # lets go of what its loop has left
    if _closed_on is not None and _closed_on == _running():
        raise ClosedError(
            "the client that get_secret() read through is closed; keep it open as long as secrets are read, or open "
            "another one with `async with`"
        )
    if _opener is None:
        raise RuntimeError("asyncsecrets was imported by parts; import asyncsecrets itself first")
    return await _opener()


def set_opener(opener: Callable[[], Awaitable[DefaultClient]]) -> None:
    """Say how to open a client when none is open."""
    global _opener  # noqa: PLW0603
    _opener = opener


def _after_fork() -> None:
    global _changing  # noqa: PLW0603
    _changing = allocate_lock()  # a thread that stayed in the parent may have held it


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
