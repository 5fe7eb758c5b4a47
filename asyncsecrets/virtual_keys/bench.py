"""What every step stands on: the names, the shelf, the clock, and the records on it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from asyncsecrets.client.views import remember
from asyncsecrets.errors import ConflictError, DeadlineExceededError, PartialRotationError, ProviderError
from asyncsecrets.replacing import ABSENT, Look, Shelf
from asyncsecrets.secret import Secret
from asyncsecrets.virtual_keys import records
from asyncsecrets.virtual_keys.names import Names
from asyncsecrets.virtual_keys.records import Previous, Record

__all__ = ["Bench", "Held"]


@dataclass(frozen=True, slots=True)
class Held:
    """A record, and what its name was when it was looked at."""

    record: Record
    look: Look = field(default=ABSENT)


@dataclass(frozen=True, slots=True)
class Bench:
    """``now`` is in seconds of the epoch. What was begun less than ``patience`` seconds ago may still be under way.

    So may what is said to begin in so many seconds, by another machine's clock. What begins later than that was written
    before a clock was put back, and nobody is to wait for it.
    """

    names: Names
    shelf: Shelf
    now: Callable[[], float]
    patience: float

    def in_time(self, alias: str) -> Bench:
        """The same for one change of a key, which stops by itself before others may take it for broken off.

        Nothing else would stop it where a process was suspended: it goes on hours later, after somebody has undone what
        it began. What it has sent is applied within ``writes_within``, or never. Without ``patience`` nothing stops it:
        whoever says so knows that nobody else is at it.
        """
        if not self.patience:
            return self
        begun, limit = self.now(), max(self.patience / 2, self.patience - self.shelf.store.writes_within)

        def check() -> None:
            if self.now() - begun >= limit:
                text = (
                    f"{self.system}: the key {alias!r}: it has taken longer than {limit:g} s: look which key is current"
                )
                raise DeadlineExceededError(text, provider=self.system, name=alias)

        return replace(self, shelf=self.shelf.under(check))

    @property
    def system(self) -> str:
        """The manager."""
        return self.shelf.store.declared.system

    async def held(self, alias: str) -> Held:
        """The record of an alias; an empty one where there is none. Raises DecodeError."""
        look = await self.shelf.look(self.names.record(alias))
        return Held(Record(), look) if look.value is None else Held(recall(look.value), look)

    async def claim(self, alias: str, held: Held, record: Record) -> Held:
        """Put ``record`` in the place of the one that is held: one of several who do so goes on. Raises
        ConflictError."""
        name = self.names.record(alias)
        text = records.written(name, record)
        written = await self.shelf.claim(name, text, held.look)
        if not await self.shelf.read_back(name, written):
            raise self.conflict(alias, "what was written about it is not there; look again")
        return Held(record, Look(text, written.version))

    async def end(self, alias: str, held: Held, *more: Previous, done: bool = True) -> None:
        """Write down that what was pending is ``done``, or was given up.

        ``more``: keys that are accepted from now on beside the current one. Raises ConflictError where somebody else
        has ended it otherwise.
        """
        name, record = self.names.record(alias), held.record.ended(self.now(), *more, done=done)
        try:
            await self.shelf.revive(name, records.written(name, record), held.look)
        except ConflictError:
            there = (await self.held(alias)).record
            if there.pending is None and there.done == record.done:
                return
        else:
            return
        raise self.conflict(alias, "somebody else has ended this otherwise; look which key is current")

    def is_under_way(self, record: Record) -> bool:
        """Whether whoever began what is pending may still be at it."""
        return record.pending is not None and abs(self.now() - record.pending.begun) < self.patience

    def check_idle(self, alias: str, record: Record) -> None:
        """Raise ConflictError where something else may still be under way."""
        if record.pending is not None and self.is_under_way(record):
            raise self.conflict(
                alias,
                f"a {record.pending.kind} of it is under way, or was broken off; try again in {self.patience:g} s",
            )

    def conflict(self, alias: str, why: str) -> ConflictError:
        """The error that says so."""
        return ConflictError(f"{self.system}: the key {alias!r}: {why}", provider=self.system, name=alias)

    def partial(self, alias: str, why: ProviderError) -> PartialRotationError:
        """The error of what stopped half-way, because of ``why``."""
        record = self.names.record(alias)
        return PartialRotationError(
            f"{why.message}; what was done to the key {alias!r} stands in {record!r}, and the key that was valid still "
            f"is: ask for the same again in {self.patience:g} s, or have reconcile finish or undo it",
            provider=self.system,
            name=alias,
            created=record,
        )


def recall(text: Secret) -> Record:
    """Read a record, and have its keys masked in logs. Raises DecodeError."""
    record = records.read(text)
    for one in record.previous:
        remember(one.key)
    if record.pending is not None:
        remember(record.pending.old)
        remember(record.pending.new)
    return record


def identity() -> str:
    """An id of something that is begun."""
    return secrets.token_hex(16)
