"""Where in a secret the value is that is rotated: all of it, or a member of an object whose others stay."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from asyncsecrets import exact
from asyncsecrets.client import SecretsClient
from asyncsecrets.client.views import remember
from asyncsecrets.errors import ConfigError, ConflictError, SecretNotFoundError
from asyncsecrets.replacing import Look, Shelf
from asyncsecrets.secret import Secret

__all__ = ["Spot", "spot_of"]


@dataclass(frozen=True, slots=True)
class Spot:
    """The value of ``name`` on ``shelf``, of which it is the ``member``, or None where it is all of it."""

    shelf: Shelf
    name: str
    member: str | None

    async def look(self) -> Look:
        """The secret as it is where writes arrive. Raises SecretNotFoundError."""
        look = await self.shelf.look(self.name)
        if look.value is None:
            system = self.shelf.store.declared.system
            text = f"{self.name!r} is not there, so it cannot be rotated; store a first value with put"
            raise SecretNotFoundError(f"{system}: {text}", provider=system, name=self.name, version=look.version)
        return look

    def value(self, look: Look) -> Secret:
        """The value in what was looked at. Raises DecodeError where it has no such member."""
        assert look.value is not None  # noqa: S101  # ``look`` raises
        found = look.value if self.member is None else look.value.field(self.member)
        remember(found)
        return found

    async def promote(self, look: Look, new: Secret) -> Secret:
        """Have ``new`` be the value, in place of what was looked at, and read it back by its exact version.

        Return it as that version. Raises ConflictError where somebody else has written.
        """
        written = await self.shelf.write(self.name, self._with(look, new), look)
        back = await self.shelf.store.current(self.name, written.version)
        found = back if self.member is None else back.field(self.member)
        if not found.equals(new):
            system = self.shelf.store.declared.system
            text = f"{self.name!r} was written, and something else is read back: somebody else writes it; look at it"
            raise ConflictError(f"{system}: {text}", provider=system, name=self.name)
        return found

    def _with(self, look: Look, new: Secret) -> Secret:
        if self.member is None:
            return new
        assert look.value is not None  # noqa: S101  # as above
        document = exact.read(look.value.reveal())
        assert isinstance(document, dict)  # noqa: S101  # ``value`` has read a member of it
        return Secret(exact.written({**document, self.member: new.reveal()}), name=self.name)


async def spot_of(client: SecretsClient, source: str | None, name: str, field: str | None) -> Spot:
    """Where the value is: ``field`` of the secret, or what a reader gets who names none. Raises ConfigError."""
    if field is not None and (not field or field.startswith(("/", "json:"))):
        raise ConfigError("a rotation is of a member of the object itself: give its name, and no path")
    store = client.store(source)
    store.check_writable()
    plain = Shelf(store, asyncio.sleep)
    own = store.default_field
    if own is None:
        return Spot(plain, name, field)
    whole = await Spot(plain, name, None).shelf.store.current(name, whole=True)
    if field in {None, own} and list(whole.json()) == [own]:
        return Spot(plain, name, None)
    return Spot(Shelf(client.store(source, {"secret_field": ""}), asyncio.sleep), name, field or own)
