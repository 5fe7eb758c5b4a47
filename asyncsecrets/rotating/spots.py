"""Where in a secret the value is that is rotated: all of it, or a member of an object whose others stay."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
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

    def check(self, look: Look, new: Secret) -> None:
        """Raise DecodeError, UnsupportedOperationError if the manager could not keep the secret with ``new`` in it."""
        self.shelf.store.check_value(self.name, self._with(look, new))

    def check_still(self, look: Look, now: Look) -> None:
        """Raise ConflictError where somebody has written between two looks."""
        if not now.is_as(look):
            system = self.shelf.store.declared.system
            text = f"{self.name!r} has been written by somebody else meanwhile; rotate again"
            raise ConflictError(f"{system}: {text}", provider=system, name=self.name)

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
        return Secret(exact.written({**document, self.member: new.reveal()}, sort=False), name=self.name)


async def spot_of(
    client: SecretsClient,
    source: str | None,
    name: str,
    field: str | None,
    sleep: Callable[[float], Awaitable[object]],
) -> tuple[Spot, Shelf]:
    """Where the value is that a reader of ``name`` gets, or its ``field``; and where else there is room for a new one.

    Raises ConfigError, and as ``SecretsClient.place``.
    """
    if field is not None and (not field or field.startswith(("/", "json:"))):
        raise ConfigError("a rotation is of a member of the object itself: give its name, and no path")
    source, entry, member = client.place(name, source)
    if field is not None and member is not None:
        raise ConfigError(f"{name!r} is a member of {entry!r} (primary_secret_name) already: leave the field out")
    store = client.store(source)
    shelf = Shelf(store, sleep)
    own, wanted = store.default_field, member or field
    if own is None:
        return Spot(shelf, entry, wanted), shelf
    members = (await store.current(entry, whole=True)).fields()
    if member is None and members == [own]:  # all there is is a text, of which the field is one, as at other managers
        return Spot(shelf, entry, None if field == own else field), shelf
    return Spot(Shelf(client.store(source, {"secret_field": ""}), sleep), entry, wanted or own), shelf
