"""A rotation: a new key takes the place of the old one, under the same name.

======  =================================================================  ==================================
step    what is written                                                    who is accepted afterwards
======  =================================================================  ==================================
create  the record: the old key, the new one, and that this is under way   the old key
verify  nothing: the record is read back by its exact version              the old key
switch  the name: the new key, in place of the version that was read       the new key and the old one
verify  nothing: the name is read back by its exact version                the new key and the old one
grace   the record: the old key until its time is over; nothing pending    the new key, and until then the old one
retire  nothing, or with the next change: the old key is left out          the new key
======  =================================================================  ==================================

A process that ends after any of these leaves behind what tells another one how to go on. ``completed`` goes on from
wherever that is, and does nothing twice: several may do so at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from asyncsecrets.boundary import fresh
from asyncsecrets.errors import ConflictError, ProviderError, SecretNotFoundError
from asyncsecrets.replacing import Look
from asyncsecrets.secret import Secret
from asyncsecrets.virtual_keys.bench import Bench, Held, identity
from asyncsecrets.virtual_keys.records import Pending, Previous

__all__ = [
    "Rotated",
    "absent",
    "begun",
    "completed",
    "last_days",
    "overtaken",
    "pending_of",
    "rotated",
    "undone",
    "whole",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a rotation or a renaming came to: the ``key`` that is current now under this ``alias``.

    ``until``: until when the key before is accepted too, in seconds of the epoch; None where it is not.
    """

    alias: str
    key: Secret
    until: float | None


async def rotated(
    bench: Bench, alias: str, held: Held, mint: Callable[[], Secret], given: Secret | None, grace: float
) -> Rotated:
    """Rotate ``alias``, whose record is ``held``, to the key that is ``given``, or to one that is made by ``mint``.

    One that was broken off is finished first: where no key is given, its new one, which nobody was told, is what this
    comes to. Raises SecretNotFoundError, ConflictError, PartialRotationError, DecodeError.
    """
    if held.record.pending is not None:
        finished = await completed(bench, alias, held)
        if given is None or finished.key.equals(given):
            return finished
        held = await bench.held(alias)
    if given is not None and (done := await _done(bench, alias, held, given)) is not None:
        return done
    held = await begun(bench, alias, held, given or mint(), grace)
    return await whole(bench, alias, completed(bench, alias, held))


async def _done(bench: Bench, alias: str, held: Held, given: Secret) -> Rotated | None:
    """What a rotation to a key comes to that is current already: nobody was told of the one before."""
    look = await bench.shelf.look(bench.names.of(alias))
    if look.value is None or not look.holds(given):
        return None
    until = max((one.until for one in held.record.accepted(bench.now())), default=None)
    return Rotated(alias, look.value, until)


async def begun(bench: Bench, alias: str, held: Held, new: Secret | None, grace: float, to: str = "") -> Held:
    """Claim the alias for a rotation, or for a renaming ``to`` another one; ``new`` None is the key that it has.

    Raises SecretNotFoundError, ConflictError.
    """
    look = await bench.shelf.look(bench.names.of(alias))
    if look.value is None:
        raise absent(bench, alias)
    pending = Pending(
        kind="renaming" if to else "rotation",
        id=identity(),
        old=look.value,
        new=new or look.value,
        begun=bench.now(),
        grace=grace,
        to=to,
    )
    return await bench.claim(alias, held, held.record.begun(pending))


async def whole(bench: Bench, alias: str, steps: Awaitable[T]) -> T:
    """What the rest of something comes to that is on record; PartialRotationError where it stopped on its way."""
    try:
        return await steps
    except (ConflictError, SecretNotFoundError):
        raise
    except ProviderError as error:
        failure = fresh(error)
    raise bench.partial(alias, failure)


async def completed(bench: Bench, alias: str, held: Held) -> Rotated:
    """Go on with the rotation that is pending in what is held, to its end.

    Raises ConflictError where the key is neither the old one nor the new one any more: then nothing is pending
    afterwards.
    """
    pending = pending_of(held)
    key = await _switched(bench, alias, held, pending)
    last = last_days(bench, pending)
    await bench.end(alias, held, *last)
    return Rotated(alias, key, last[0].until if last else None)


def last_days(bench: Bench, pending: Pending) -> list[Previous]:
    """The old key, and until when it is accepted beside the new one, if it is."""
    is_replaced = not pending.old.equals(pending.new)
    return [Previous(pending.old, bench.now() + pending.grace)] if is_replaced and pending.grace > 0 else []


async def _switched(bench: Bench, alias: str, held: Held, pending: Pending) -> Secret:
    """See that the new key is current, and return it."""
    name = bench.names.of(alias)
    look = await bench.shelf.look(name)
    if look.value is not None and look.holds(pending.new):
        return look.value
    if not look.holds(pending.old):
        await bench.end(alias, held, done=False)
        raise overtaken(bench, alias, look)
    try:
        written = await bench.shelf.write(name, pending.new, look)
    except ConflictError:
        return await _by_another(bench, alias, held, pending)
    if not await bench.shelf.read_back(name, written):
        return await _by_another(bench, alias, held, pending)
    return written


async def _by_another(bench: Bench, alias: str, held: Held, pending: Pending) -> Secret:
    """The new key, where somebody else who goes on with the same rotation has written it. Otherwise nothing is pending
    afterwards: an old key that somebody has replaced is not accepted beside his."""
    look = await bench.shelf.look(bench.names.of(alias))
    if look.value is None or not look.holds(pending.new):
        await bench.end(alias, held, done=False)
        raise overtaken(bench, alias, look)
    return look.value


def overtaken(bench: Bench, alias: str, look: Look) -> ConflictError:
    """The error for a key that somebody else has written or deleted, as it was looked at, while it was changed here."""
    happened = "was deleted" if look.value is None else "was given another value by somebody else"
    return bench.conflict(alias, f"it {happened} while it was changed here")


async def undone(bench: Bench, alias: str, held: Held) -> None:
    """Have the old key be the current one, whatever was pending; the new one is accepted for its grace, if it was
    current. Whoever began it, and is still at it, cannot switch any more, where the manager compares."""
    pending, name = pending_of(held), bench.names.of(alias)
    look = await bench.shelf.look(name)
    was_current = look.holds(pending.new) and not pending.old.equals(pending.new)
    if was_current or look.holds(pending.old):
        await bench.shelf.write(name, pending.old, look)
    more = [Previous(pending.new, bench.now() + pending.grace)] if was_current else []
    await bench.end(alias, held, *more, done=False)


def pending_of(held: Held) -> Pending:
    """What is pending, which there is."""
    assert held.record.pending is not None  # noqa: S101  # whoever calls has looked
    return held.record.pending


def absent(bench: Bench, alias: str) -> SecretNotFoundError:
    """The error of a key that is not there."""
    text = f"there is no virtual key {alias!r} ({bench.names.of(alias)})"
    return SecretNotFoundError(f"{bench.system}: {text}", provider=bench.system, name=alias)
