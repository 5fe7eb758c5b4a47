"""What was left half done, or left over, and how it is brought to an end.

Everything is looked at as it is where writes arrive. What may still be under way is told and left alone, and so is what
nobody here has named.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeVar

from asyncsecrets.errors import AccessDeniedError, AsyncSecretsError, DecodeError, ProviderError
from asyncsecrets.virtual_keys.bench import Bench, Held
from asyncsecrets.virtual_keys.renaming import moved, moved_back
from asyncsecrets.virtual_keys.rotation import completed, pending_of, undone

__all__ = ["Finding", "Fix", "aliases", "reconciled"]

T = TypeVar("T")

Fix = Literal["finish", "undo"]
State = Literal[
    "under_way", "half_done", "orphan", "expired", "in_grace", "damaged", "unreadable", "foreign", "unknown", "missing"
]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something about the keys of a source; never a value.

    ``state``:

    * ``half_done``: a rotation or a renaming (``kind``) that was broken off. Fixed by finishing or undoing it.
    * ``under_way``: one that was begun a moment ago.
    * ``expired``: keys whose grace is over. They are accepted no more; fixed by taking them out of the record.
    * ``orphan``: a record whose key is gone. Fixed by deleting it.
    * ``in_grace``: the key before is accepted ``until`` then.
    * ``damaged``: a record that cannot be read. ``unreadable``: one that could not be asked for, or its key could not.
    * ``foreign``: a name that no alias here has.
    * ``unknown``: a key that is not among those that are known. ``missing``: one of these that is not there.

    ``since`` and ``until`` are in seconds of the epoch. ``fixed``: whether it was fixed; ``problem``: why it was not.
    """

    state: State
    name: str
    alias: str | None = None
    kind: str = ""
    since: float | None = None
    until: float | None = None
    fixed: bool = False
    problem: str = ""

    @property
    def is_open(self) -> bool:
        """Whether somebody should do something about it."""
        return not self.fixed and self.state in _OPEN


_OPEN: Final = frozenset({"half_done", "orphan", "expired", "damaged", "unreadable", "unknown", "missing"})


async def aliases(bench: Bench) -> list[str]:
    """The aliases that have a key, sorted."""
    found = await _named(bench, await bench.shelf.store.list(bench.names.prefix))
    return sorted(found)


async def _named(bench: Bench, listed: Collection[str]) -> list[str]:
    found = [alias for name in listed if (alias := bench.names.alias(name)) is not None]
    if not bench.shelf.store.lists_deleted:
        return found
    there = await _all(_is_there(bench, alias) for alias in found)
    return [alias for alias, is_there in zip(found, there, strict=True) if is_there]


async def _is_there(bench: Bench, alias: str) -> bool:
    """Whether a key that is listed is not one that was deleted. One that cannot be read, or is none, hides no other."""
    try:
        return (await bench.shelf.look(bench.names.of(alias))).value is not None
    except (AccessDeniedError, DecodeError):
        return True


async def _all(looking: Iterable[Awaitable[T]]) -> list[T]:
    """What all of them come to, or what the first one raised that did, when all have ended: nothing goes on unseen."""
    outcomes = await asyncio.gather(*looking, return_exceptions=True)
    for one in outcomes:
        if isinstance(one, BaseException):
            raise one
    return [one for one in outcomes if not isinstance(one, BaseException)]


async def reconciled(bench: Bench, fix: Fix | None, known: Collection[str] | None) -> list[Finding]:
    """Look at everything, and fix what can be. Raises what keeps it from being looked at at all, and InvalidNameError
    for an alias that is ``known`` and cannot be one, before anything is sent."""
    for wanted in known or ():
        bench.names.of(wanted)
    listed = await bench.shelf.store.list(bench.names.prefix)
    records = [alias for name in listed if (alias := bench.names.alias_of_record(name)) is not None]
    found = await _all(_of_record(bench, alias, fix) for alias in records)
    return [
        *(one for one in found if one is not None),
        *_foreign(bench, listed),
        *await _compared(bench, listed, known),
    ]


def _foreign(bench: Bench, listed: Collection[str]) -> list[Finding]:
    names = bench.names
    return [
        Finding("foreign", name) for name in listed if names.alias(name) is None and names.alias_of_record(name) is None
    ]


async def _compared(bench: Bench, listed: Collection[str], known: Collection[str] | None) -> list[Finding]:
    if known is None:
        return []
    there, wanted = set(await _named(bench, listed)), set(known)
    unknown = [Finding("unknown", bench.names.of(alias), alias) for alias in sorted(there - wanted)]
    return unknown + [Finding("missing", bench.names.of(alias), alias) for alias in sorted(wanted - there)]


async def _of_record(bench: Bench, alias: str, fix: Fix | None) -> Finding | None:
    bench = bench.in_time(alias)
    try:
        held = await bench.held(alias)
        finding = await _state(bench, alias, held)
    except DecodeError as error:
        return Finding("damaged", bench.names.record(alias), alias, problem=error.message)
    except ProviderError as error:  # the others are looked at all the same
        return Finding("unreadable", bench.names.record(alias), alias, problem=error.message)
    mend = _MENDING.get(finding.state) if finding is not None and fix is not None else None
    if finding is None or mend is None or fix is None:
        return finding
    try:
        await mend(bench, alias, held, fix)
    except AsyncSecretsError as error:
        return replace(finding, problem=error.message)
    return replace(finding, fixed=True)


async def _state(bench: Bench, alias: str, held: Held) -> Finding | None:
    record, name, now = held.record, bench.names.record(alias), bench.now()
    if held.look.value is None:
        return None
    if record.pending is not None:
        state: State = "under_way" if bench.is_under_way(record) else "half_done"
        return Finding(state, name, alias, record.pending.kind, since=record.pending.begun)
    if abs(now - record.at) >= bench.patience and (await bench.shelf.look(bench.names.of(alias))).value is None:
        return Finding("orphan", name, alias, since=record.at)
    if accepted := record.accepted(now):
        return Finding("in_grace", name, alias, since=record.at, until=max(one.until for one in accepted))
    return Finding("expired", name, alias, since=record.at) if record.previous else None


async def _end_half_done(bench: Bench, alias: str, held: Held, fix: Fix) -> None:
    is_rotation = pending_of(held).kind == "rotation"
    if fix == "finish":
        await (completed if is_rotation else moved)(bench, alias, held)
    else:
        await (undone if is_rotation else moved_back)(bench, alias, held)


async def _retire(bench: Bench, alias: str, held: Held, _: Fix) -> None:
    await bench.end(alias, held, done=False)


async def _remove(bench: Bench, alias: str, held: Held, _: Fix) -> None:
    await bench.end(alias, Held(replace(held.record, previous=()), held.look), done=False)
    await bench.shelf.delete(bench.names.record(alias))


_MENDING: Final[dict[State, Callable[[Bench, str, Held, Fix], Awaitable[None]]]] = {
    "half_done": _end_half_done,
    "expired": _retire,
    "orphan": _remove,
}
