"""Names at one source, each written only if it is still what it was when it was looked at.

Where the manager has a compare-and-set, that decides who comes first. Where it has none (Azure, Vault's KV version 1),
a name is looked at once more right before it is written; and who claims one waits for as long as another's write may
take, and looks whether the claim is still his own: of several that claim at once, the last one has it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from asyncsecrets.boundary import fresh
from asyncsecrets.client.store import Store
from asyncsecrets.errors import ConflictError, SecretNotFoundError, UnsupportedOperationError
from asyncsecrets.secret import Secret

__all__ = ["Look", "Shelf"]


@dataclass(frozen=True, slots=True)
class Look:
    """What a name was when it was looked at: its value, or None; and the version that a write is to replace.

    ``absence``: what the manager said, where there is no value.
    """

    value: Secret | None
    version: str | None
    absence: SecretNotFoundError | None = field(default=None, compare=False)

    def holds(self, key: Secret) -> bool:
        """Whether the value is this one."""
        return self.value is not None and self.value.equals(key)

    def is_as(self, other: Look) -> bool:
        """Whether nobody has written in between, as far as can be seen."""
        if self.value is None or other.value is None:
            return self.value is other.value
        return self.version == other.version and self.value.equals(other.value)


ABSENT = Look(None, "0")


class Shelf:
    """The names of ``store``. ``sleep`` waits, in seconds. ``check`` is called right before each change, and raises
    where there is to be none any more."""

    def __init__(
        self,
        store: Store,
        sleep: Callable[[float], Awaitable[object]],
        check: Callable[[], object] = lambda: None,
    ) -> None:
        self.store = store
        self._sleep, self._check = sleep, check
        self._compares = True

    def under(self, check: Callable[[], object]) -> Shelf:
        """The same names, changed as long as ``check`` lets them be."""
        return Shelf(self.store, self._sleep, check)

    async def look(self, name: str, *, whole: bool = False) -> Look:
        """What ``name`` is, where writes arrive; ``whole`` as for ``Store.current``."""
        try:
            found = await self.store.current(name, whole=whole)
        except SecretNotFoundError as error:
            return Look(None, error.version or "0", fresh(error))
        return Look(found, found.version)

    async def read_back(self, name: str, written: Secret) -> bool:
        """Whether what was ``written`` is there, as the version that the manager said it is."""
        try:
            found = await self.store.current(name, written.version)
        except SecretNotFoundError:
            return False
        return found.equals(written)

    async def write(self, name: str, value: Secret, look: Look) -> Secret:
        """Write ``name`` if it is still as in ``look``. Raises ConflictError if it is not."""
        if self._compares and look.version is not None:
            try:
                return await self._put(name, value, look.version)
            except UnsupportedOperationError:
                self._compares = False
        now = await self.look(name)
        if not now.is_as(look):
            raise self._conflict(name)
        return await self._put(name, value)

    async def _put(self, name: str, value: Secret, version: str | None = None) -> Secret:
        self._check()
        return await self.store.put(name, value, version)

    async def delete(self, name: str) -> None:
        """Delete ``name``, whatever is there."""
        self._check()
        await self.store.delete(name)

    async def create(self, name: str, value: Secret) -> Secret:
        """Write ``name`` if nothing is there. What was deleted there is no hindrance, where the manager lets it be one
        no more. Raises ConflictError."""
        try:
            return await self._created(name, value)
        except ConflictError as error:
            refusal = fresh(error)
        look = await self.look(name)
        if look.value is None and look.version != "0":
            return await self.write(name, value, look)  # Vault compares with what was deleted
        if look.value is not None:
            raise self._conflict(name, "it is there already; take another name, delete it first, or replace it")
        raise refusal

    async def _created(self, name: str, value: Secret) -> Secret:
        written = await self.write(name, value, ABSENT)
        # Without a compare-and-set two may have created it at once: the last one has it.
        if not self._compares and not (await self.look(name)).holds(written):
            raise self._conflict(name)
        return written

    async def overwrite(self, name: str, value: Secret) -> Secret:
        """Write ``name``, whatever is there, and have it back where it was deleted and only can be had back first."""
        try:
            return await self._put(name, value)
        except ConflictError as error:
            refusal = fresh(error)
        await self._restore(name, refusal)
        return await self._put(name, value)

    async def revive(self, name: str, value: Secret, look: Look) -> Secret:
        """Write ``name`` as ``write`` does, and have it back as ``overwrite`` does."""
        try:
            return await (self.create(name, value) if look.value is None else self.write(name, value, look))
        except ConflictError as error:
            refusal = fresh(error)
        if look.value is not None or (await self.look(name)).value is not None:
            raise refusal
        await self._restore(name, refusal)
        return await self.write(name, value, await self.look(name))

    async def _restore(self, name: str, refusal: ConflictError) -> None:
        """Have back what was deleted: as long as that can be done, its name is taken at some managers."""
        self._check()
        with suppress(SecretNotFoundError, UnsupportedOperationError):
            await self.store.restore(name)
            return
        raise refusal

    async def claim(self, name: str, value: Secret, look: Look) -> Secret:
        """As ``revive``, and see that of several who claim ``name`` at once only one goes on. Raises ConflictError."""
        written = await self.revive(name, value, look)
        if not self._compares:
            await self.pause()
            if not (await self.look(name)).holds(written):
                raise self._conflict(name)
        return written

    async def pause(self) -> None:
        """Wait for as long as a change that somebody else has begun may take."""
        await self._sleep(self.store.writes_within)

    def _conflict(
        self, name: str, why: str = "somebody else has written it meanwhile; look again and decide anew"
    ) -> ConflictError:
        system = self.store.declared.system
        return ConflictError(f"{system}: {name!r}: {why}", provider=system, name=name)
