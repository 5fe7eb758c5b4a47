"""Writes: checked before anything is sent, decided when their outcome is unknown, visible to the next read.

A write runs in a task of its own: a caller who is cancelled leaves it to finish, because a write that is cut off
half-way is one whose outcome nobody knows. It is tried again only where it cannot have been applied. Where it may
have been (sent, and never answered), the current value is read back: if that is ours the write is done; if the
version that was current before is still current the write is made again, under the same token; otherwise
WriteOutcomeUnknownError says so.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Coroutine
from typing import Any, TypeVar

from asyncsecrets.client.source import Source
from asyncsecrets.errors import (
    ClosedError,
    DecodeError,
    ProviderError,
    SecretNotFoundError,
    UnsupportedOperationError,
    WriteOutcomeUnknownError,
)
from asyncsecrets.providers.base import Provider, Writer
from asyncsecrets.secret import Payload, Secret

__all__ = ["Writes"]

T = TypeVar("T")


class Writes:
    """The writes of one client that are under way."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def put(self, source: Source, name: str, payload: Payload, cas: str | None) -> Secret:
        """Write, and return the secret as it now is."""
        check_payload(name, payload)
        return await self._finish(_put(source, name, payload, cas))

    async def delete(self, source: Source, name: str) -> None:
        """Delete; absent is not an error."""
        await self._finish(_delete(source, name))

    async def settle(self, within: float) -> None:
        """Wait up to ``within`` seconds for the writes that are under way, then cut them off."""
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=within)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=within)

    async def _finish(self, write: Coroutine[Any, Any, T]) -> T:
        task = asyncio.get_running_loop().create_task(write, name="asyncsecrets-write")
        self._tasks.add(task)
        task.add_done_callback(self._done)
        await asyncio.wait({task})
        if task.cancelled():
            raise ClosedError("the client was closed during this write, whose outcome is not known")
        return task.result()

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # retrieved: the caller who wanted it may be gone


async def _put(source: Source, name: str, payload: Payload, cas: str | None) -> Secret:
    before = source.cache.peek(name)
    token = secrets.token_hex(16)

    async def write(provider: Provider) -> Secret:
        return await _writer(provider).put(name, payload, cas=cas, token=token)

    for last_try in (False, True):
        try:
            written = await source.call(name, write)
            break
        except ProviderError as error:
            if not error.outcome_unknown:
                raise
            unknown = error
        current = await _read_back(source, name)
        if current is not None and _holds(source, current, payload):
            written = current
            break
        if last_try or not _unchanged(before, current, cas):
            source.cache.invalidate(name)
            raise _undecided(unknown, name)
    written.source = source.name
    source.cache.put(name, written)  # no await since the write returned: the next read sees it
    return written


async def _delete(source: Source, name: str) -> None:
    try:
        await source.call(name, lambda provider: _writer(provider).delete(name))
    except ProviderError as error:
        if not error.outcome_unknown or await _read_back(source, name) is not None:
            raise
    finally:
        source.forget(name)


async def _read_back(source: Source, name: str) -> Secret | None:
    """Return the current secret, or None where there is none. A failure to read leaves the outcome unknown."""
    try:
        return await source.call(name, lambda provider: provider.get(name))
    except SecretNotFoundError:
        return None
    except ProviderError as error:
        raise_from = error
    raise _undecided(raise_from, name)


def _holds(source: Source, secret: Secret, payload: Payload) -> bool:
    """Whether ``secret``'s value is the one that was written."""
    try:
        field = source.default_field
        return (secret if field is None else secret.field(field)).equals(payload)
    except DecodeError:
        return False


def _unchanged(before: Secret | None, current: Secret | None, cas: str | None) -> bool:
    """Whether what was current before the write surely still is, so that making it again cannot undo anybody's."""
    version = current.version if current is not None else "0"
    expected = cas if cas is not None else (before.version if before is not None else None)
    return expected is not None and version == expected


def _undecided(error: ProviderError, name: str) -> WriteOutcomeUnknownError:
    return WriteOutcomeUnknownError(
        f"the write of {name!r} was sent to {error.provider} and not answered, and reading it back did not decide "
        f"whether it was applied; read {name!r} before writing it again",
        provider=error.provider,
        name=name,
        outcome_unknown=True,
    )


def _writer(provider: Provider) -> Writer:
    if not isinstance(provider, Writer):
        raise UnsupportedOperationError(f"{provider.system} cannot be written to through asyncsecrets")
    return provider


def check_payload(name: str, payload: object) -> None:
    """Refuse what no store could give back as it was. Raises DecodeError, without the value."""
    if not isinstance(payload, str | bytes):
        raise DecodeError(f"the value of {name!r} must be str or bytes, not {type(payload).__name__}")
    if isinstance(payload, str) and not _encodable(payload):
        raise DecodeError(f"the value of {name!r} has characters that are not Unicode text (lone surrogates)")


def _encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
