"""Where a new value is kept until it is promoted: in a secret of its own, beside the one that is rotated.

It is JSON with a form of its own, and says whose value it is: what somebody else keeps under such a name is neither
promoted nor deleted. Before it is deleted the value is taken out of it, so that nothing a manager gives back of what
was deleted is taken for a rotation that was broken off.
"""

from __future__ import annotations

from typing import Final

from asyncsecrets import exact
from asyncsecrets.client.views import remember
from asyncsecrets.errors import ConflictError, DecodeError, InvalidNameError, PartialRotationError
from asyncsecrets.replacing import ABSENT, Look, Shelf
from asyncsecrets.secret import Secret

__all__ = ["PENDING", "Stage"]

PENDING: Final = "-rotating"
"""What the name of a staged value ends with."""

_FORM: Final = "asyncsecrets-rotation-1"


class Stage:
    """Where the new value of ``name``, or of a ``member`` of it, is kept."""

    def __init__(self, shelf: Shelf, name: str, member: str | None) -> None:
        self._shelf, self._name, self._member = shelf, name, member
        self._pending = f"{name}-{member}{PENDING}" if member else f"{name}{PENDING}"
        self._look = ABSENT
        self._is_ours = True

    async def held(self, current: Secret) -> Secret | None:
        """What an earlier rotation has left; None also where it was promoted."""
        await self._read()
        if self._look.value is not None and self._is_ours and self._kept() is None:
            await self._shelf.pause()  # one has just ended: what is about to be deleted must not be ours
            await self._read()
        value = self._kept()
        return None if value is None or value.equals(current) else value

    async def _read(self) -> None:
        self._is_ours = True
        try:
            self._look = await self._shelf.look(self._pending)
        except InvalidNameError:  # the manager cannot have it, so it cannot have been left; keeping it says so
            return
        except DecodeError:  # an object of somebody's
            self._is_ours = False
            return
        self._is_ours = self._look.value is None or self._is_form(self._document())

    def _is_form(self, document: object) -> bool:
        ours = {"form": _FORM, "name": self._name, "member": self._member}
        return isinstance(document, dict) and document.keys() == {*ours, "value"} and document.items() >= ours.items()

    def _document(self) -> object:
        kept = self._look.value
        return None if kept is None or kept.is_binary else exact.read(kept.reveal())

    def _kept(self) -> Secret | None:
        document = self._document() if self._is_ours else None
        value = document["value"] if isinstance(document, dict) else None
        if not isinstance(value, str):
            return None
        found = Secret(value, name=self._name)
        remember(found)
        return found

    def _written(self, value: Secret | None) -> Secret:
        text = None if value is None else value.reveal()
        document = {"form": _FORM, "name": self._name, "member": self._member, "value": text}
        return Secret(exact.written(document), name=self._pending)

    async def keep(self, new: Secret) -> None:
        """Keep it, and see that it is kept. Raises ConflictError where somebody else rotates the same secret, or has
        one of that name."""
        if not self._is_ours:
            raise self._conflict(
                f"{self._pending!r}, where its new value is to be kept, is a secret of somebody's: give that another "
                f"name, or rotate without a hook"
            )
        text = self._written(new)
        written = await self._shelf.claim(self._pending, text, self._look)
        if not await self._shelf.read_back(self._pending, written):
            raise self._conflict("it is rotated by somebody else")
        self._look = Look(text, written.version)

    async def end(self) -> None:
        """Have nothing be kept any more, unless somebody else has put another value there. Raises ConflictError."""
        await self._shelf.write(self._pending, self._written(None), self._look)
        await self._shelf.delete(self._pending)

    def partial(self, why: str) -> PartialRotationError:
        """The error that says where the new value is, and how to go on."""
        system = self._shelf.store.declared.system
        text = (
            f"{system}: {self._name!r}: {why}. The new value is kept as {self._pending!r}: rotate again with the same "
            f"hook, which goes on with it, or restart with another value"
        )
        return PartialRotationError(text, provider=system, name=self._name, created=self._pending)

    def _conflict(self, why: str) -> ConflictError:
        system = self._shelf.store.declared.system
        return ConflictError(f"{system}: {self._name!r}: {why}", provider=system, name=self._name)
