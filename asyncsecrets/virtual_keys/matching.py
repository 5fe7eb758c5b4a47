"""Whether a candidate is a key that is accepted: compared in constant time, from memory where that will do.

What is cached decides for as long as the source believes it (``refresh_interval``). A candidate that it does not know
may be one that somebody else has just made: then the manager is asked, but not more often than once a second for each
alias, so that whoever guesses costs little: a list, and a look at what is in memory, some keys at a time, so that it
does not keep the event loop, however many there are. If that fails, whoever asks is told, and not that the candidate
is nobody's. In the *index* a candidate is looked up by a keyed digest, whose key is made anew by each process. It says
only whose key it may be: what is accepted is decided by comparing.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, TypeVar

from asyncsecrets.boundary import fresh
from asyncsecrets.client.store import Store
from asyncsecrets.errors import AsyncSecretsError, DecodeError, SecretNotFoundError
from asyncsecrets.secret import Secret
from asyncsecrets.virtual_keys.bench import Bench, recall
from asyncsecrets.virtual_keys.questions import Questions
from asyncsecrets.virtual_keys.records import Previous

__all__ = ["Match", "Matcher"]

T = TypeVar("T")

_ALL: Final = ""
"""What the question about all aliases is called: no alias is empty."""

_AT_ONCE: Final = 200  # keys; a few milliseconds


class _Place(NamedTuple):
    """The name of a key, which has no record if it ``is_alone``."""

    name: str
    is_alone: bool


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
        self._aliases: dict[str, str] = {}  # by the name, as it was listed last: to read one off is not cheap

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
        places = await self._places(bench)
        read: dict[str, list[bytes]] = {}
        failures: list[AsyncSecretsError] = []
        async for some in _in_turns(places):
            for alias, keys in (await _keys_of(bench, {alias: places[alias] for alias in some})).items():
                if isinstance(keys, AsyncSecretsError):
                    failures.append(keys)
                else:
                    read[alias] = [self._digest(key) for key in keys]
        self._take({alias: digests for alias, digests in read.items() if alias not in self._noted})
        if failures:
            raise failures[0]

    def _take(self, read: Mapping[str, list[bytes]]) -> None:
        """Know these keys of these aliases, and of the others what is known already."""
        kept = {digest: alias for digest, alias in self._index.items() if alias not in read}
        self._index = kept | {digest: alias for alias, digests in read.items() for digest in digests}

    async def _places(self, bench: Bench) -> dict[str, _Place]:
        """Where the key of each alias is, of all that are listed. A list may lag behind what was made here: so, too, of
        those that are known. Who has no record in the list is not asked for one at every guess."""
        names, listed = bench.names, dict.fromkeys(await bench.shelf.store.list(bench.names.prefix))
        aliases: dict[str, str] = {}
        async for some in _in_turns(listed):
            for name in some:
                if (alias := self._aliases.get(name) or names.alias(name)) is not None:
                    aliases[name] = alias
        self._aliases = aliases
        unlisted = set(self._index.values()).difference(aliases.values())
        found = {alias: name for name, alias in aliases.items()} | {alias: names.of(alias) for alias in unlisted}
        return {alias: _Place(name, names.record_of(name) not in listed) for alias, name in found.items()}

    def _digest(self, key: Secret) -> bytes:
        return hashlib.blake2b(key.reveal_bytes(), key=self._key, digest_size=32).digest()


async def _again(store: Store, name: str) -> None:
    with suppress(SecretNotFoundError):
        await store.refresh(name)


async def _in_turns(items: Iterable[T]) -> AsyncIterator[list[T]]:
    """Some of them at a time; in between, the event loop does what else there is to do."""
    rest = [*items]
    for start in range(0, len(rest), _AT_ONCE):
        yield rest[start : start + _AT_ONCE]
        await asyncio.sleep(0)


async def _keys_of(bench: Bench, places: Mapping[str, _Place]) -> dict[str, list[Secret] | AsyncSecretsError]:
    """The keys that are accepted for each alias, or why they cannot be read. What is in memory takes no task."""
    found = {alias: _warm(bench, place) for alias, place in places.items()}
    cold = [alias for alias, keys in found.items() if keys is None]
    outcomes = await asyncio.gather(*(_read(bench, places[alias]) for alias in cold))
    return {alias: keys for alias, keys in found.items() if keys is not None} | dict(zip(cold, outcomes, strict=True))


def _warm(bench: Bench, place: _Place) -> list[Secret] | None:
    store = bench.shelf.store
    try:
        key = store.warm(place.name)
        record = None if place.is_alone else store.warm(bench.names.record_of(place.name))
    except (SecretNotFoundError, DecodeError):
        return None
    if key is None or (record is None and not place.is_alone):
        return None
    return [key] if record is None else [key, *(one.key for one in _accepted(bench, record))]


async def _read(bench: Bench, place: _Place) -> list[Secret] | AsyncSecretsError:
    read = bench.shelf.store.get
    try:
        key = await read(place.name)
        beside = [] if place.is_alone else await _beside(bench, bench.names.record_of(place.name), read)
        return [key, *(one.key for one in beside)]
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
    found = [one for one in await _beside(bench, bench.names.record(alias), read) if one.key.equals(candidate)]
    return Match(alias, "previous", max(one.until for one in found)) if found else None


async def _beside(bench: Bench, name: str, read: Callable[[str], Awaitable[Secret]]) -> list[Previous]:
    """What is accepted beside the current key, by the record of this name."""
    try:
        return _accepted(bench, await read(name))
    except SecretNotFoundError:
        return []


def _accepted(bench: Bench, text: Secret) -> list[Previous]:
    """What is accepted by a record: while a rotation is under way, the old key too."""
    try:
        record = recall(text)
    except DecodeError:  # reconcile tells of it; the current key is none of its business
        return []
    now, pending = bench.now(), record.pending
    if pending is None:
        return [*record.accepted(now)]
    # Of one that was broken off nobody knows when it switched: its old key is not accepted for ever.
    under_way = Previous(pending.old, pending.begun + max(pending.grace, bench.patience))
    return [one for one in (*record.accepted(now), under_way) if one.until > now]
