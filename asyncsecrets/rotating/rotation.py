"""A rotation of one ordinary secret.

========  ==============================================================  =========================  ==================
step      what is done                                                    readers get                the consumer knows
========  ==============================================================  =========================  ==================
stage     the new value is kept under a name of its own, and read back    the old value              the old value
set       the hook sets it at the consumer                                the old value              the new value
promote   it is put in the place of the version that was read             the new value              the new value
verify    it is read back by its exact version
tidy      the staged one is deleted
========  ==============================================================  =========================  ==================

After a process has ended anywhere between, the next rotation goes on with the staged value: the hook sets the very same
one again, and it is promoted. Without a hook there is nothing to lose, and nothing is staged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from asyncsecrets.boundary import afresh, fresh
from asyncsecrets.client import SecretsClient
from asyncsecrets.client.views import remember
from asyncsecrets.errors import (
    AsyncSecretsError,
    ConflictError,
    InvalidNameError,
    PartialRotationError,
)
from asyncsecrets.replacing import Look, Shelf
from asyncsecrets.rotating.generators import Generator
from asyncsecrets.rotating.spots import Spot, spot_of
from asyncsecrets.secret import Secret

__all__ = ["PENDING", "Hook", "rotate"]

PENDING: Final = "-rotating"
"""What the name of a staged value ends with."""

Hook = Callable[[Secret, Secret], Awaitable[object]]


@afresh
async def rotate(
    client: SecretsClient,
    name: str,
    generator: Generator,
    *,
    source: str | None = None,
    field: str | None = None,
    set_at_consumer: Hook | None = None,
    restart: bool = False,
) -> Secret:
    """Give a secret a new value, and return that: made, set at its consumer, promoted, and read back.

    * ``field``: the member of an object that is rotated; the others stay.
    * ``set_at_consumer(old, new)`` sets the new value where it is used, such as at a database. It may be called again
      with the same ``new``, after a rotation that was broken off, and has to bear that. Where it raises, nothing is
      promoted: readers go on with the old value.
    * ``restart``: give up what an earlier rotation has staged, and make another value.

    Raises SecretNotFoundError; ConflictError where somebody else writes the secret; and PartialRotationError where the
    hook failed, or it may have succeeded and the new value could not be promoted: ``created`` names where that is kept,
    and rotating again goes on with it.
    """
    spot = await spot_of(client, source, name, field)
    look = await spot.look()
    stage = _Stage(Shelf(client.store(source), asyncio.sleep), name, field)
    staged = await stage.held(spot.value(look))
    if staged is not None and restart:
        await stage.clear()
        staged = None
    if set_at_consumer is None:
        if staged is not None:
            raise stage.partial("an earlier rotation was broken off, and its consumer may have the new value already")
        return await spot.promote(look, await _made(name, generator))
    new = staged or await stage.keep(await _made(name, generator))
    await _set(set_at_consumer, spot.value(look), new, stage)
    return await _promoted(spot, look, new, stage)


async def _made(name: str, generator: Generator) -> Secret:
    made = Secret(await asyncio.to_thread(generator.make), name=name)
    remember(made)
    return made


async def _set(hook: Hook, old: Secret, new: Secret, stage: _Stage) -> None:
    try:
        await hook(old, new)
    except Exception as error:  # noqa: BLE001  # somebody else's code, whose text may hold anything
        what = type(error).__name__
    else:
        return
    raise stage.partial(f"its consumer did not take the new value ({what}); readers go on with the old one")


async def _promoted(spot: Spot, look: Look, new: Secret, stage: _Stage) -> Secret:
    try:
        done = await _by_anybody(spot, look, new)
    except AsyncSecretsError as error:
        why = f"its consumer has the new value, which could not be stored ({error.message})"
    else:
        with suppress(AsyncSecretsError):  # it equals what is current, and so is no rotation that was broken off
            await stage.clear()
        return done
    raise stage.partial(why)


async def _by_anybody(spot: Spot, look: Look, new: Secret) -> Secret:
    """Promote it, unless somebody else who goes on with the same rotation has. Raises ConflictError."""
    try:
        return await spot.promote(look, new)
    except ConflictError as error:
        refusal = fresh(error)
    found = spot.value(await spot.look())
    if not found.equals(new):
        raise refusal
    return found


class _Stage:
    """Where the new value of ``name`` is kept until it is promoted."""

    def __init__(self, shelf: Shelf, name: str, field: str | None) -> None:
        self._shelf, self._name = shelf, name
        self._pending = f"{name}-{field}{PENDING}" if field else f"{name}{PENDING}"
        self._look = Look(None, "0")

    async def held(self, current: Secret) -> Secret | None:
        """What an earlier rotation has left; None also where it was promoted."""
        try:
            self._look = await self._shelf.look(self._pending)
        except InvalidNameError:  # the manager cannot have it, so it cannot have been left; keeping it says so
            return None
        value = self._look.value
        return None if value is None or value.equals(current) else value

    async def keep(self, new: Secret) -> Secret:
        """Keep it, and see that it is kept. Raises ConflictError where somebody else rotates the same secret."""
        written = await self._shelf.revive(self._pending, new, self._look)
        if not await self._shelf.read_back(self._pending, written):
            system = self._shelf.store.declared.system
            raise ConflictError(
                f"{system}: {self._name!r} is rotated by somebody else", provider=system, name=self._name
            )
        return new

    async def clear(self) -> None:
        """Delete what is kept."""
        await self._shelf.store.delete(self._pending)
        self._look = await self._shelf.look(self._pending)

    def partial(self, why: str) -> PartialRotationError:
        """The error that says where the new value is, and how to go on."""
        system = self._shelf.store.declared.system
        text = (
            f"{system}: {self._name!r}: {why}. The new value is kept as {self._pending!r}: rotate again with the same "
            f"hook, which goes on with it, or restart with another value"
        )
        return PartialRotationError(text, provider=system, name=self._name, created=self._pending)
