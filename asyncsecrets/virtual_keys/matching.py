"""Whether a candidate is a key that is accepted: compared in constant time, from memory where that will do.

What is cached decides for as long as the source believes it (``refresh_interval``). A candidate that it does not know
may be one that somebody else has just made: then the manager is asked, but not more often than once a second for each
alias, so that whoever guesses costs nothing. In the *index* a candidate is looked up by a keyed digest, whose key is
made anew by each process. It says only whose key it may be: what is accepted is decided by comparing.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal

from asyncsecrets.boundary import fresh
from asyncsecrets.client.store import Store
from asyncsecrets.errors import DecodeError, SecretNotFoundError
from asyncsecrets.loops import retrieve, spawn
from asyncsecrets.secret import Secret
from asyncsecrets.virtual_keys.bench import Bench, recall
from asyncsecrets.virtual_keys.records import Previous

__all__ = ["Match", "Matcher"]

_AGAIN_AFTER: Final = 1.0  # seconds
_MOST: Final = 10_000


@dataclass(frozen=True, slots=True)
class Match:
    """Whose key a candidate is: the current one of this alias, or the previous one, accepted ``until`` then."""

    alias: str
    which: Literal["current", "previous"]
    until: float | None = None


class Matcher:
    """Compares candidates. ``clock`` is in monotonic seconds, ``key`` is that of the digests."""

    def __init__(self, clock: Callable[[], float], key: bytes) -> None:
        self._clock = clock
        self._key = key
        self._asked: OrderedDict[str, float] = OrderedDict()
        self._index: dict[bytes, str] = {}
        self._loading: asyncio.Task[None] | None = None

    async def match(self, bench: Bench, alias: str, candidate: Secret) -> Match | None:
        """Whether ``candidate`` is accepted for ``alias``."""
        store = bench.shelf.store
        found = await _match(bench, alias, candidate, store.get)
        if found is not None or not self._may_ask(alias):
            return found
        # Both, lest a key that is read anew stand beside the record of the one before.
        await asyncio.gather(_again(store, bench.names.of(alias)), _again(store, bench.names.record(alias)))
        return await _match(bench, alias, candidate, store.get)

    async def find(
        self, bench: Bench, candidate: Secret, names: Callable[[], Awaitable[Iterable[str]]]
    ) -> Match | None:
        """Whose key ``candidate`` is; ``names`` tells all aliases."""
        digest = self._digest(candidate)
        if digest not in self._index and self._may_ask(""):
            await self._loaded(lambda: self._load(bench, names))
        alias = self._index.get(digest)
        return None if alias is None else await self.match(bench, alias, candidate)

    def note(self, alias: str, *keys: Secret) -> None:
        """Know these keys of an alias from now on."""
        self._asked.pop(alias, None)
        self._index.update((self._digest(key), alias) for key in keys)

    def forget(self, alias: str) -> None:
        """Know no key of an alias any more."""
        self._index = {digest: known for digest, known in self._index.items() if known != alias}

    def _may_ask(self, alias: str) -> bool:
        """Whether it is time to ask the manager; if it is, it is not again for a while."""
        now = self._clock()
        if now - self._asked.get(alias, -_AGAIN_AFTER) < _AGAIN_AFTER and not (alias == "" and self._is_loading):
            return False
        self._asked[alias] = now
        self._asked.move_to_end(alias)
        if len(self._asked) > _MOST:
            self._asked.popitem(last=False)
        return True

    @property
    def _is_loading(self) -> bool:
        task = self._loading
        return task is not None and not task.done() and task.get_loop() is asyncio.get_running_loop()

    async def _loaded(self, load: Callable[[], Awaitable[None]]) -> None:
        """Load the index, once for all who wait for it at once."""
        if not self._is_loading:
            self._loading = spawn(_run(load), name="asyncsecrets-virtual-keys", done=retrieve)
        task = self._loading
        assert task is not None  # noqa: S101  # for mypy
        await asyncio.wait({task})
        error = task.exception()
        if error is not None:
            raise fresh(error)

    async def _load(self, bench: Bench, names: Callable[[], Awaitable[Iterable[str]]]) -> None:
        aliases = [*await names()]
        keys = await asyncio.gather(*(_keys(bench, alias) for alias in aliases))
        self._index = {self._digest(key): alias for alias, known in zip(aliases, keys, strict=True) for key in known}

    def _digest(self, key: Secret) -> bytes:
        return hashlib.blake2b(key.reveal_bytes(), key=self._key, digest_size=32).digest()


async def _again(store: Store, name: str) -> None:
    with suppress(SecretNotFoundError):
        await store.refresh(name)


async def _run(load: Callable[[], Awaitable[None]]) -> None:
    await load()


async def _keys(bench: Bench, alias: str) -> list[Secret]:
    try:
        key = await bench.shelf.store.get(bench.names.of(alias))
    except SecretNotFoundError:  # deleted meanwhile
        return []
    return [key, *(one.key for one in await _beside(bench, alias, bench.shelf.store.get))]


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
