"""The two sources of a migration, and what is taken for the value of a secret at each.

Where a manager keeps objects, and a member of each is the value (Vault: ``secret_field``), an object that has only this
member is that text. Any other is carried over as a whole: no member of it is lost.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from asyncsecrets.client import SecretsClient
from asyncsecrets.errors import DecodeError, IntegrityError
from asyncsecrets.replacing import Look, Shelf
from asyncsecrets.secret import Secret

__all__ = ["Side", "Value"]


@dataclass(frozen=True, slots=True)
class Value:
    """A value. ``is_object``: an object that its manager keeps as such."""

    secret: Secret
    is_object: bool

    def equals(self, other: Value) -> bool:
        """Compare values; of an object, whatever the order of its members."""
        if self.secret.equals(other.secret):
            return True
        return (self.is_object or other.is_object) and _alike(self.secret, other.secret)


def _alike(one: Secret, other: Secret) -> bool:
    try:
        return bool(one.json() == other.json())
    except DecodeError:
        return False


class Side:
    """The source of ``client`` that is called ``source``, or its default one."""

    def __init__(self, client: SecretsClient, source: str | None) -> None:
        self._client, self._source = client, source
        self.store = client.store(source)
        self._shelf = Shelf(self.store, asyncio.sleep)

    @cached_property
    def _whole_shelf(self) -> Shelf:
        """The same names, of which the whole object is the value. Raises ConfigError where there can be none."""
        return Shelf(self._client.store(self._source, {"secret_field": ""}), asyncio.sleep)

    async def look(self, name: str) -> tuple[Value | None, str | None]:
        """The value where writes arrive, if there is one, and the version that a write is to replace."""
        look = await self._shelf.look(name, whole=True)
        return None if look.value is None else self._value(look.value), look.version

    def _value(self, whole: Secret) -> Value:
        field = self.store.default_field
        if field is None:
            return Value(whole, is_object=False)
        members: Any = whole.json()
        is_text = list(members) == [field] and isinstance(members[field], str)
        return Value(whole.replace(members[field]) if is_text else whole, is_object=not is_text)

    async def write(self, name: str, value: Value, version: str | None, *, is_there: bool) -> None:
        """Write ``value`` in the place of ``version`` and read it back by its own. Raises ConflictError."""
        shelf = self._whole_shelf if value.is_object and self.store.default_field is not None else self._shelf
        if is_there:
            now = await shelf.look(name)
            written = await shelf.write(name, value.secret, Look(now.value, version))
        else:
            written = await shelf.create(name, value.secret)
        await self._verify(name, value, written.version)
        shelf.store.forget(name)

    async def _verify(self, name: str, value: Value, version: str | None) -> None:
        found = self._value(await self.store.current(name, version, whole=True))
        if not found.equals(value):
            system = self.store.declared.system
            text = f"{name!r} was written, and what is read back is something else; look at it, and migrate again"
            raise IntegrityError(f"{system}: {text}", provider=system, name=name)
