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

from asyncsecrets.boundary import afresh, fresh
from asyncsecrets.client import SecretsClient
from asyncsecrets.client.views import remember
from asyncsecrets.errors import AsyncSecretsError, ConflictError, SecretNotFoundError
from asyncsecrets.replacing import Look
from asyncsecrets.rotating.generators import Generator
from asyncsecrets.rotating.spots import Spot, spot_of
from asyncsecrets.rotating.stages import Stage
from asyncsecrets.secret import Secret

__all__ = ["Hook", "rotate"]

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
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
) -> Secret:
    """Give a secret a new value, and return that: made, set at its consumer, promoted, and read back.

    * ``name``: a name, or a reference to a secret as a whole. What is read as a member of ``primary_secret_name`` is
      rotated there.
    * ``field``: the member of an object that is rotated; the others stay.
    * ``set_at_consumer(old, new)`` sets the new value where it is used, such as at a database. It may be called again
      with the same ``new``, after a rotation that was broken off, and has to bear that. Where it raises, nothing is
      promoted: readers go on with the old value.
    * ``restart``: give up what an earlier rotation has staged, and make another value.
    * ``sleep`` waits, in seconds; for tests.

    Raises SecretNotFoundError; UnsupportedOperationError for what readers do not get from there; DecodeError for a
    value that the manager could not keep, before the consumer is told; ConflictError where somebody else writes the
    secret; and PartialRotationError where the hook failed, or it may have succeeded and the new value could not be
    promoted: ``created`` names where that is kept, and rotating again goes on with it.
    """
    spot, shelf = await spot_of(client, source, name, field, sleep)
    look = await spot.look()
    stage = Stage(shelf, spot.name, spot.member)
    left = await stage.held(spot.value(look))
    staged = None if restart else left
    if set_at_consumer is None and staged is not None:
        raise stage.partial("an earlier rotation was broken off, and its consumer may have the new value already")
    new = staged or await _made(spot.name, generator)
    spot.check(look, new)
    if set_at_consumer is None:
        done = await spot.promote(look, new)
        return done if left is None else await _tidied(stage, done)
    if staged is None:
        await stage.keep(new)
        await _still(spot, look, stage)
    await _set(set_at_consumer, spot.value(look), new, stage)
    return await _promoted(spot, look, new, stage)


async def _made(name: str, generator: Generator) -> Secret:
    made = Secret(await asyncio.to_thread(generator.make), name=name)
    remember(made)
    return made


async def _still(spot: Spot, look: Look, stage: Stage) -> None:
    """See that the secret is as it was before the consumer is told: keeping may have taken its time. Raises
    ConflictError."""
    try:
        spot.check_still(look, await spot.look())
    except (ConflictError, SecretNotFoundError) as error:
        refusal = fresh(error)
    else:
        return
    with suppress(AsyncSecretsError):
        await stage.end()
    raise refusal


async def _set(hook: Hook, old: Secret, new: Secret, stage: Stage) -> None:
    try:
        await hook(old, new)
    except Exception as error:  # noqa: BLE001  # somebody else's code, whose text may hold anything
        what = type(error).__name__
    else:
        return
    raise stage.partial(f"its consumer did not take the new value ({what}); readers go on with the old one")


async def _promoted(spot: Spot, look: Look, new: Secret, stage: Stage) -> Secret:
    try:
        done = await _by_anybody(spot, look, new)
    except AsyncSecretsError as error:
        why = f"its consumer has the new value, which could not be stored ({error.message})"
    else:
        return await _tidied(stage, done)
    raise stage.partial(why)


async def _tidied(stage: Stage, done: Secret) -> Secret:
    with suppress(AsyncSecretsError):  # what equals the current value is no rotation that was broken off
        await stage.end()
    return done


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
