"""Whether a candidate is a key that is accepted: compared in constant time, from memory where that will do.

What is cached decides for as long as the source believes it (``refresh_interval``). A candidate that it does not know
may be one that somebody else has just made: then the manager is asked, but not more often than once a second for each
alias, so that whoever guesses costs nothing. If that fails, whoever asks is told, and not that the candidate is
nobody's. In the *index* a candidate is looked up by a keyed digest, whose key is made anew by each process. It says
only whose key it may be: what is accepted is decided by comparing.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from asyncsecrets.boundary import fresh
from asyncsecrets.client.store import Store
from asyncsecrets.errors import AsyncSecretsError, DecodeError, SecretNotFoundError
from asyncsecrets.secret import Secret
from asyncsecrets.virtual_keys.bench import Bench, recall
from asyncsecrets.virtual_keys.questions import Questions
from asyncsecrets.virtual_keys.records import Previous

__all__ = ["Match", "Matcher"]

_ALL = ""
"""What the question about all aliases is called: no alias is empty."""


@dataclass(frozen=True, slots=True)
class Match:
    """Whose key a candidate is: the current one of this alias, or the previous one, accepted ``until`` then."""

    alias: str
    which: Literal["current", "previous"]
    until: float | None = None


class Matcher:
    """Compares candidates. ``clock`` is in monotonic seconds, ``key`` is that of the digests."""

    def __init__(self, clock: Callable[[], float], key: bytes) -> None:
        self._key = key
        self._questions = Questions(clock)
        self._index: dict[bytes, str] = {}
        self._noted: set[str] = set()  # aliases, since the last load began

    async def match(self, bench: Bench, alias: str, candidate: Secret) -> Match | None:
        """Whether ``candidate`` is accepted for ``alias``."""
        store = bench.shelf.store
        found = await _match(bench, alias, candidate, store.get)
        if found is not None:
            return found
        # Both, lest a key that is read anew stand beside the record of the one before.
        names = bench.names.of(alias), bench.names.record(alias)
        failure = await self._questions.ask(alias, lambda: asyncio.gather(*(_again(store, name) for name in names)))
        if failure is not None:
            raise fresh(failure)
        return await _match(bench, alias, candidate, store.get)

    async def find(self, bench: Bench, candidate: Secret) -> Match | None:
        """Whose key ``candidate`` is."""
        digest = self._digest(candidate)
        before = self._index.get(digest)
        found = None if before is None else await self.match(bench, before, candidate)
        if found is not None:
            return found
        failure = await self._questions.ask(_ALL, lambda: self._load(bench))
        alias = self._index.get(digest)
        if alias is not None and alias != before:
            return await self.match(bench, alias, candidate)
        if failure is not None:
            raise fresh(failure)
        return None

    async def load(self, bench: Bench) -> None:
        """Read every key. Raises what keeps one from being read; the others are known then."""
        failure = await self._questions.ask(_ALL, lambda: self._load(bench), anew=True)
        if failure is not None:
            raise fresh(failure)

    def note(self, alias: str, *keys: Secret) -> None:
        """Know these keys of an alias from now on."""
        self._questions.forget(alias)
        self._noted.add(alias)
        self._index.update((self._digest(key), alias) for key in keys)

    def forget(self, alias: str) -> None:
        """Know no key of an alias any more. Whoever has the same one by another alias is looked for anew."""
        self._questions.forget(_ALL)
        self._index = {digest: known for digest, known in self._index.items() if known != alias}

    async def _load(self, bench: Bench) -> None:
        self._noted.clear()
        listed = await bench.shelf.store.list(bench.names.prefix)
        # A list may lag behind what was made here: what is known is read as well. What is known and has no record in
        # the list is not asked for one at every guess.
        known, recorded = set(self._index.values()), set(map(bench.names.alias_of_record, listed))
        alone = known - recorded
        aliases = sorted(known.union(alias for name in listed if (alias := bench.names.alias(name)) is not None))
        outcomes = await asyncio.gather(*(_keys(bench, alias, alias in alone) for alias in aliases))
        read = {
            alias: keys
            for alias, keys in zip(aliases, outcomes, strict=True)
            if not isinstance(keys, AsyncSecretsError) and alias not in self._noted
        }
        kept = {digest: alias for digest, alias in self._index.items() if alias not in read}
        self._index = kept | {self._digest(key): alias for alias, keys in read.items() for key in keys}
        for failure in outcomes:
            if isinstance(failure, AsyncSecretsError):
                raise failure

    def _digest(self, key: Secret) -> bytes:
        return hashlib.blake2b(key.reveal_bytes(), key=self._key, digest_size=32).digest()


async def _again(store: Store, name: str) -> None:
    with suppress(SecretNotFoundError):
        await store.refresh(name)


async def _keys(bench: Bench, alias: str, is_alone: bool) -> list[Secret] | AsyncSecretsError:
    """The keys that are accepted for an alias, which has no record if it ``is_alone``; or why they cannot be read."""
    read = bench.shelf.store.get
    try:
        key = await read(bench.names.of(alias))
        return [key] if is_alone else [key, *(one.key for one in await _beside(bench, alias, read))]
    except (SecretNotFoundError, DecodeError):  # deleted meanwhile; no text, and so nobody's key
        return []
    except AsyncSecretsError as error:
        return fresh(error)


async def _match(bench: Bench, alias: str, candidate: Secret, read: Callable[[str], Awaitable[Secret]]) -> Match | None:
    try:
        current = await read(bench.names.of(alias))
    except SecretNotFoundError:
        return None
    if current.equals(candidate):
        return Match(alias, "current")
    found = [one for one in await _beside(bench, alias, read) if one.key.equals(candidate)]
    return Match(alias, "previous", max(one.until for one in found)) if found else None


async def _beside(bench: Bench, alias: str, read: Callable[[str], Awaitable[Secret]]) -> list[Previous]:
    """What is accepted beside the current key: while a rotation is under way, the old one too."""
    try:
        record = recall(await read(bench.names.record(alias)))
    except SecretNotFoundError:
        return []
    except DecodeError:  # reconcile tells of it; the current key is none of its business
        return []
    now, pending = bench.now(), record.pending
    if pending is None:
        return [*record.accepted(now)]
    # Of one that was broken off nobody knows when it switched: its old key is not accepted for ever.
    under_way = Previous(pending.old, pending.begun + max(pending.grace, bench.patience))
    return [one for one in (*record.accepted(now), under_way) if one.until > now]
