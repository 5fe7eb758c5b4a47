"""Reading what was written, where the request after a write may be answered by a replica that has not caught up.

Vault Enterprise (and OpenBao where it has standby reads) answers a write with an opaque index of the storage, takes it
back with later requests, and answers 412, or hands on to the active node if asked to, where it is behind that index. A
server without replicas sends no index, and its requests stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from multidict import CIMultiDict

__all__ = ["Replicas"]

_LONGEST: Final = 4096  # characters; what is longer is no index
_FORWARD: Final = {"X-Vault-Inconsistent": "forward-active-node"}


class Replicas:
    """The index of the last write that was answered, logins included."""

    __slots__ = ("_index",)

    def __init__(self) -> None:
        self._index = ""

    def __bool__(self) -> bool:
        return bool(self._index)

    def note(self, method: str, headers: Mapping[str, str]) -> None:
        """Remember the index of an answered write. A read's may be older: it is the replica's own."""
        index = headers.get("X-Vault-Index", "")
        if method != "GET" and 0 < len(index) <= _LONGEST and index.isascii() and index.isprintable():
            self._index = index

    def forget(self) -> None:
        """Ask for no state any more."""
        self._index = ""

    def headers(self, base: CIMultiDict[str]) -> CIMultiDict[str]:
        """Request headers that ask for the state after that write, from the active node if need be."""
        index = {"X-Vault-Index": self._index} if self._index else {}
        return CIMultiDict({**base, **index, **_FORWARD})
