"""The virtual keys that a LiteLLM proxy mints, stored under the names that it gives them.

LiteLLM's database says which keys are accepted, so what stands here is the current one of each name, and nothing else.

LiteLLM runs its hooks as background tasks, so two may overlap for one name. Here they wait for each other, in the order
in which they came. Nothing of a virtual key stays in the cache: other workers change them too.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from asyncsecrets.client import SecretsClient
from asyncsecrets.errors import ConflictError
from asyncsecrets.replacing import Shelf
from asyncsecrets.secret import Secret
from asyncsecrets.virtual_keys import VirtualKeys
from asyncsecrets.virtual_keys.teams import overrides

__all__ = ["Keys"]

Team = Mapping[str, Any] | None
"""A team's own settings, as LiteLLM hands them on: ``secret_manager_settings``."""


class Keys:
    """Virtual keys by their full names, with LiteLLM's prefix, at the default source of ``client``.

    Everything runs on the client's loop. Methods raise AsyncSecretsError.
    """

    def __init__(self, client: SecretsClient) -> None:
        self._client = client
        self._turns: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    async def read(self, name: str, team: Team = None) -> Secret | None:
        """Return a key as the manager has it now, or None."""
        async with self._turn(name):
            return await (await self._place(team)).read(name)

    async def write(self, name: str, value: Secret, team: Team = None) -> Secret:
        """Store a key that was issued, whatever is there under its name: LiteLLM's database knows which key it is."""
        async with self._turn(name):
            return await (await self._place(team)).write(name, value)

    async def delete(self, name: str, team: Team = None) -> None:
        """Delete a key. One that is not there is no error."""
        async with self._turn(name):
            await (await self._place(team)).delete(name)

    async def rotate(self, current: str, new: str, value: Secret, team: Team = None) -> Secret:
        """Store ``value`` as ``new``, and then delete ``current``, unless that is the same: then it has a new value.

        Nothing is deleted before the new key was read back. Raises ConflictError if it cannot be read back as it was
        written: then both are there.
        """
        async with self._turn(current, new):
            place = await self._place(team)
            written = await place.write(new, value)
            if current != new:
                await self._check(place, new, value)
                await place.delete(current)
            return written

    async def _check(self, place: _Place, name: str, value: Secret) -> None:
        found = await place.read(name)
        if found is None or not found.equals(value):
            raise ConflictError(
                f"{name!r} is not what was written a moment ago, so the key that it was to replace is kept; look who "
                f"else writes it",
                provider=place.shelf.store.declared.system,
                name=name,
            )

    async def _place(self, team: Team) -> _Place:
        keys, store = VirtualKeys(self._client), self._client.store()
        if team:
            keys, store = keys.team(team), self._client.store(None, overrides(store.declared.system, team))
        return _Place(keys, Shelf(store, asyncio.sleep))

    @asynccontextmanager
    async def _turn(self, *names: str) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for name in sorted(set(names)):  # in one order for all, or two who rename to and fro would wait for ever
                await stack.enter_async_context(self._turns.setdefault(name, asyncio.Lock()))
            yield


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the keys of one team are; ``keys`` know what the manager calls them."""

    keys: VirtualKeys
    shelf: Shelf

    async def read(self, name: str) -> Secret | None:
        return (await self.shelf.look(await self._spelled(name))).value

    async def write(self, name: str, value: Secret) -> Secret:
        spelled = await self._spelled(name)
        try:
            return await self.shelf.overwrite(spelled, value)
        finally:
            self.shelf.store.forget(spelled)

    async def delete(self, name: str) -> None:
        await self.shelf.delete(await self._spelled(name))

    async def _spelled(self, name: str) -> str:
        """The name at the manager, where some characters of an alias may have to be escaped."""
        return await self.keys.name_of(await self.keys.alias_in(name))
