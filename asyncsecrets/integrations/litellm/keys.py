"""The virtual keys that a LiteLLM proxy mints, stored under the names that it gives them.

LiteLLM runs its hooks as background tasks, so two may overlap for one name. Here they wait for each other, in the order
in which they came. Nothing of a virtual key stays in the cache: other workers change them too.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from asyncsecrets.client import SecretsClient
from asyncsecrets.config import DEFAULT_SOURCE
from asyncsecrets.errors import ConflictError, SecretNotFoundError
from asyncsecrets.secret import Secret

__all__ = ["Keys"]


class Keys:
    """Virtual keys by their full names, with LiteLLM's prefix, at the default source of ``client``.

    Everything runs on the client's loop. Methods raise AsyncSecretsError.
    """

    def __init__(self, client: SecretsClient) -> None:
        self._client = client
        self._turns: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    async def read(self, name: str) -> Secret | None:
        """Return a key as the manager has it now, or None."""
        async with self._turn(name):
            return await self._read(name)

    async def write(self, name: str, value: Secret) -> Secret:
        """Store a key that was issued, whatever is there under its name: LiteLLM's database knows which key it is."""
        async with self._turn(name):
            return await self._put(name, value)

    async def delete(self, name: str) -> None:
        """Delete a key. One that is not there is no error."""
        async with self._turn(name):
            await self._client.delete(name, source=DEFAULT_SOURCE)

    async def rotate(self, current: str, new: str, value: Secret) -> Secret:
        """Store ``value`` as ``new``, and then delete ``current``, unless that is the same: then it has a new value.

        Nothing is deleted before the new key was read back. Raises ConflictError if it cannot be read back as it was
        written: then both are there.
        """
        async with self._turn(current, new):
            written = await self._put(new, value)
            if current != new:
                await self._check(new, value)
                await self._client.delete(current, source=DEFAULT_SOURCE)
            return written

    async def _check(self, name: str, value: Secret) -> None:
        found = await self._read(name)
        if found is None or not found.equals(value):
            raise ConflictError(
                f"{name!r} is not what was written a moment ago, so the key that it was to replace is kept; look who "
                f"else writes it",
                provider="asyncsecrets",
                name=name,
            )

    async def _read(self, name: str) -> Secret | None:
        try:
            return await self._client.refresh(name, source=DEFAULT_SOURCE)
        except SecretNotFoundError:
            return None
        finally:
            self._client.invalidate(name, source=DEFAULT_SOURCE)

    async def _put(self, name: str, value: Secret) -> Secret:
        try:
            return await self._client.put(name, value.reveal(), source=DEFAULT_SOURCE)
        finally:
            self._client.invalidate(name, source=DEFAULT_SOURCE)

    @asynccontextmanager
    async def _turn(self, *names: str) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for name in sorted(set(names)):  # in one order for all, or two who rename to and fro would wait for ever
                await stack.enter_async_context(self._turns.setdefault(name, asyncio.Lock()))
            yield
