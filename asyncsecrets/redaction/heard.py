"""What clients tell of the values that they hand out: the one part of this package that every program imports.

Until a filter is made nobody listens, and nothing is remembered.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol

from asyncsecrets.secret import Payload, Secret, on_member

__all__ = ["handed_out", "holds_secrets", "listen", "warm"]


class Holder(Protocol):
    """What has secrets that are warm, by reference."""

    @property
    def secrets(self) -> Mapping[str, Secret]: ...


_holders: weakref.WeakSet[Holder] = weakref.WeakSet()
_listeners: list[Callable[[Payload], None]] = []


def holds_secrets(holder: Holder) -> None:
    """Have the secrets that ``holder`` then has masked as well when the first filter is made. It is held weakly."""
    _holders.add(holder)


def handed_out(value: Payload) -> None:
    """Have a value masked, if any filter is there to do it. Clients call this when they make a value ready to read."""
    for listener in _listeners:
        listener(value)


def listen(listener: Callable[[Payload], None]) -> None:
    """Call ``listener`` with every value that is handed out from now on; once, however often it is said."""
    if listener not in _listeners:
        _listeners.append(listener)


def warm() -> Iterator[Secret]:
    """The secrets that are warm now."""
    for holder in list(_holders):
        yield from list(holder.secrets.values())


on_member(handed_out)
