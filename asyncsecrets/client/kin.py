"""Under which keys the same secret may be cached: its versions, and what its manager knows by another spelling.

A write asks for them, and pays for what there is to find: not for every key that is cached.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final

from asyncsecrets.client.connection import Connection
from asyncsecrets.client.places import Key

__all__ = ["Kin"]

_LEAST: Final = 1_000  # keys that are noted before it is looked whether they are still cached


class Kin:
    """Finds the keys of one source's cache that hold something of a secret and are not its name.

    ``connection`` has the provider, which tells what else a secret is called; ``cached`` lists all keys.
    Reads only note their keys: what they are called is asked of the provider when something is written.
    """

    def __init__(self, connection: Connection, cached: Callable[[], Collection[Key]]) -> None:
        self._connection = connection
        self._cached = cached
        self._noted: set[Key] = set()
        self._keys: dict[str, set[Key]] = {}  # by every name that the secret may have
        self._sorted = 0
        self._most = _LEAST

    def __len__(self) -> int:
        return len(self._noted) + self._sorted

    def note(self, key: Key) -> None:
        """``key`` is cached, or may be from now on."""
        if (
            isinstance(key, str)
            and (provider := self._connection.built) is not None
            and not hasattr(provider, "spellings")
        ):
            return  # it has this one name, which needs no looking for
        self._noted.add(key)
        if len(self) > self._most:
            self._tidy()

    def spellings(self, name: str) -> Collection[str]:
        """The names under which another spelling of ``name`` is to be found."""
        spelled = getattr(self._connection.provider, "spellings", None)
        return (name,) if spelled is None else spelled(name)

    def others(self, name: str) -> list[Key]:
        """The keys, but for ``name`` itself, under which anything of that secret may be cached."""
        is_same = getattr(self._connection.provider, "same_secret", str.__eq__)
        return [key for key in self._related(name) if key != name and is_same(name, _name(key))]

    def forget(self, key: Key) -> None:
        """``key`` is not cached any more."""
        self._noted.discard(key)
        for spelling in self.spellings(_name(key)):
            keys = self._keys.get(spelling, set())
            self._sorted -= key in keys
            keys.discard(key)
            if not keys:
                self._keys.pop(spelling, None)

    def _related(self, name: str) -> Collection[Key]:
        provider: Any = self._connection.provider
        if hasattr(provider, "same_secret") and not hasattr(provider, "spellings"):
            return self._cached()  # it tells two names apart, and by nothing that they could be sorted by
        while self._noted:
            self._sort_in(self._noted.pop())
        spellings = self.spellings(name)
        return {*spellings}.union(*(self._keys.get(spelling, ()) for spelling in spellings))

    def _sort_in(self, key: Key) -> None:
        for spelling in self.spellings(_name(key)):
            if spelling == key:  # whoever looks for it looks under it
                continue
            keys = self._keys.setdefault(spelling, set())
            self._sorted += key not in keys
            keys.add(key)

    def _tidy(self) -> None:
        """Keep what is still cached. Each time twice as much may come before the next, so it costs a key next to
        nothing."""
        cached = frozenset(self._cached())
        self._noted &= cached
        self._keys = {spelling: still for spelling, keys in self._keys.items() if (still := keys & cached)}
        self._sorted = sum(len(keys) for keys in self._keys.values())
        self._most = 2 * len(self) + _LEAST


def _name(key: Key) -> str:
    return key if isinstance(key, str) else key[0]
