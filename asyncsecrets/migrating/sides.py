"""The two sources of a migration, and what is taken for the value of a secret at each.

Where a manager keeps objects, and a member of each is the value (Vault: ``secret_field``), an object that has only this
member is that text. Any other is carried over as a whole: no member of it is lost.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from asyncsecrets import exact
from asyncsecrets.client import SecretsClient
from asyncsecrets.errors import IntegrityError, InvalidNameError
from asyncsecrets.replacing import Look, Shelf
from asyncsecrets.secret import Secret

__all__ = ["Seen", "Side", "Value"]


@dataclass(frozen=True, slots=True)
class Value:
    """A value. ``is_object``: an object that its manager keeps as such."""

    secret: Secret
    is_object: bool

    def equals(self, other: Value) -> bool:
        """Compare values; of an object, whatever the order of its members, and how its numbers are written."""
        if self.secret.equals(other.secret):
            return True
        return (self.is_object or other.is_object) and _alike(self.secret, other.secret)


def _alike(one: Secret, other: Secret) -> bool:
    if one.is_binary or other.is_binary:
        return False
    found = exact.read(one.reveal()), exact.read(other.reveal())
    return not any(isinstance(value, exact.Flaw) for value in found) and exact.same(*found)


@dataclass(frozen=True, slots=True)
class Seen:
    """What was there: a ``value``, or None and ``why``; and the ``version`` that a write is to replace."""

    value: Value | None
    version: str | None
    why: str


def _why(look: Look) -> str:
    return "" if look.absence is None else look.absence.reason.replace("_", " ")


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

    async def look(self, name: str) -> Seen:
        """What is there where writes arrive. Raises InvalidNameError where another name has its place."""
        look = await self._shelf.look(name, whole=True)
        absence = look.absence
        if absence is not None and absence.reason == "absent" and absence.version is not None:
            # Azure: there is a version, and of this name there is none.
            raise InvalidNameError(absence.message, provider=absence.provider, name=name)
        return Seen(None if look.value is None else self._value(look.value), look.version, _why(look))

    def _value(self, whole: Secret) -> Value:
        field = self.store.default_field
        if field is None:
            return Value(whole, is_object=self.store.keeps_objects)
        members: Any = whole.json()
        is_text = list(members) == [field] and isinstance(members[field], str)
        return Value(whole.replace(members[field]) if is_text else whole, is_object=not is_text)

    def check(self, name: str, value: Value) -> None:
        """Raise DecodeError, UnsupportedOperationError for a value that the manager cannot keep. No I/O."""
        self._shelf_of(value).store.check_value(name, value.secret)

    def _shelf_of(self, value: Value) -> Shelf:
        return self._whole_shelf if value.is_object and self.store.default_field is not None else self._shelf

    async def write(self, name: str, value: Value, seen: Seen) -> None:
        """Write ``value`` in the place of what was ``seen`` and read it back by its version. Raises ConflictError."""
        shelf = self._shelf_of(value)
        if seen.value is not None:
            now = await shelf.look(name)
            written = await shelf.write(name, value.secret, Look(now.value, seen.version))
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
