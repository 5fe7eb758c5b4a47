"""A renaming: the key is written under its new name, read back, and only then deleted under its old one.

What the record of the old alias says is accepted beside the key goes along. Until the old name is deleted, both lead to
a key that is accepted; a process that ends in between leaves a record that tells where to go on. Who does something
else with the old alias then has the copy taken back first, or the key would live on under a name that nobody knows of.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from asyncsecrets.boundary import fresh
from asyncsecrets.errors import ConflictError, DecodeError
from asyncsecrets.secret import Secret
from asyncsecrets.virtual_keys import records
from asyncsecrets.virtual_keys.bench import Bench, Held
from asyncsecrets.virtual_keys.records import Pending, Record
from asyncsecrets.virtual_keys.rotation import Rotated, begun, completed, last_days, overtaken, pending_of, whole

__all__ = ["cleared", "deleted", "idle", "moved", "moved_back", "renamed"]


async def renamed(bench: Bench, alias: str, to: str, given: Secret | None, grace: float) -> Rotated:
    """Rename ``alias``; with a key that is ``given``, rotate it to that at the same time.

    What was broken off is finished first, and that is what this comes to where it is the same that is asked for.
    Raises SecretNotFoundError, ConflictError (also where the other alias has a key), PartialRotationError, DecodeError.
    """
    bench.names.of(to)
    held = await bench.held(alias)
    bench.check_idle(alias, held.record)
    pending = held.record.pending
    if pending is not None and pending.kind == "rotation":
        await completed(bench, alias, held)
        held = await bench.held(alias)
    elif pending is not None and pending.to == to and (given is None or pending.new.equals(given)):
        return await whole(bench, alias, moved(bench, alias, held))
    held = await _settled(bench, alias, held)
    held = await begun(bench, alias, held, given, grace, to)
    return await whole(bench, alias, moved(bench, alias, held))


async def idle(bench: Bench, alias: str) -> Held:
    """What is held of an alias with which something else may be done now. Raises ConflictError where it may not."""
    held = await bench.held(alias)
    bench.check_idle(alias, held.record)
    return await _settled(bench, alias, held)


async def _settled(bench: Bench, alias: str, held: Held) -> Held:
    """What is held once a renaming that was broken off is taken back; or finished, where the old name is gone already.

    Raises ConflictError where it may still be under way.
    """
    if held.record.pending is None or held.record.pending.kind != "renaming":
        return held
    bench.check_idle(alias, held.record)
    await moved_back(bench, alias, held)
    return await bench.held(alias)


async def moved(bench: Bench, alias: str, held: Held) -> Rotated:
    """Go on with the renaming that is pending in what is held, to its end. Raises ConflictError where the other alias
    has another key, or this one has not had the key any more since before it was copied: then nothing is pending
    afterwards."""
    pending = pending_of(held)
    key = await _copied(bench, alias, held, pending)
    until = await _taken_along(bench, held.record, pending)
    look = await bench.shelf.look(bench.names.of(alias))
    if look.holds(pending.old):
        await bench.shelf.delete(bench.names.of(alias))
    await _forgotten(bench, alias, held)
    return Rotated(pending.to, key, until)


async def _copied(bench: Bench, alias: str, held: Held, pending: Pending) -> Secret:
    name = bench.names.of(pending.to)
    try:
        return await _copy(bench, alias, pending)
    except (ConflictError, DecodeError) as error:  # DecodeError: what is there is somebody's, and no key
        refusal = fresh(error)
    with suppress(DecodeError):
        if (await bench.shelf.look(name)).holds(pending.new):  # by somebody else, who goes on with the same renaming
            return pending.new
    await bench.end(alias, held, done=False)
    raise refusal


async def _copy(bench: Bench, alias: str, pending: Pending) -> Secret:
    """Write the key under its new name. Who deleted or replaced it under the old one is not to find it alive there."""
    name = bench.names.of(pending.to)
    there = await bench.shelf.look(name)
    if there.value is not None and there.holds(pending.new):
        return there.value
    old = await bench.shelf.look(bench.names.of(alias))
    if not old.holds(pending.old):
        raise overtaken(bench, alias, old)
    written = await bench.shelf.create(name, pending.new)
    if not await bench.shelf.read_back(name, written):
        raise bench.conflict(pending.to, "what was written is not there; look again")
    return written


async def _taken_along(bench: Bench, record: Record, pending: Pending) -> float | None:
    """Have the record of the other alias say what is accepted beside the key; until when the old one is, if it is."""
    last = last_days(bench, pending)
    accepted = (*record.accepted(bench.now()), *last)
    there = await bench.held(pending.to)
    bench.check_idle(pending.to, there.record)
    if accepted or there.record.previous or there.record.pending:
        name = bench.names.record(pending.to)
        text = records.written(name, Record(bench.now(), pending.id, None, accepted))
        await bench.shelf.revive(name, text, there.look)
    return last[0].until if last else None


async def _forgotten(bench: Bench, alias: str, held: Held) -> None:
    """Have nothing be left of an alias but what its manager keeps of a deleted record, which holds no key."""
    try:
        await bench.end(alias, bare(held))
    except ConflictError as error:
        refusal = fresh(error)
    else:
        await bench.shelf.delete(bench.names.record(alias))
        return
    if (await bench.held(alias)).look.value is not None:
        raise refusal


async def moved_back(bench: Bench, alias: str, held: Held) -> None:
    """Have the old name be the only one again; where it is deleted already, go on to the end instead."""
    pending = pending_of(held)
    old, new = bench.names.of(alias), bench.names.of(pending.to)
    is_copied = (await bench.shelf.look(new)).holds(pending.new)
    if is_copied and (await bench.shelf.look(old)).value is None:
        await moved(bench, alias, held)
        return
    if is_copied:
        there = await bench.held(pending.to)
        bench.check_idle(pending.to, there.record)
        await _removed(bench, pending.to, there)
    await bench.end(alias, held, done=False)


async def deleted(bench: Bench, alias: str) -> None:
    """Delete a key, and the copy of it that a renaming which was broken off has left."""
    await _removed(bench, alias, await idle(bench, alias))


async def _removed(bench: Bench, alias: str, held: Held) -> None:
    """Delete a key. What is accepted beside it goes first, so that nobody who makes the alias anew has it again."""
    if held.record.pending is not None or held.record.previous:
        await bench.end(alias, bare(held), done=False)
    await bench.shelf.delete(bench.names.of(alias))
    if held.look.value is not None:
        await bench.shelf.delete(bench.names.record(alias))


async def cleared(bench: Bench, alias: str, *, replace: bool) -> None:
    """Before a key is made: have nothing be accepted beside it. Who deleted the one before it elsewhere has left its
    record behind; one that is to be ``replace``\\ d ends with all that is accepted beside it."""
    held = await bench.held(alias)
    if held.record.pending is None and not held.record.previous:
        return
    if replace or (await bench.shelf.look(bench.names.of(alias))).value is None:
        held = await _settled(bench, alias, held)
        await bench.end(alias, bare(held), done=False)


def bare(held: Held) -> Held:
    """What is held, without the keys that are accepted."""
    return Held(replace(held.record, previous=()), held.look)
