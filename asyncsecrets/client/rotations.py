"""Tells operators that a secret has another version than before, or is gone: a line for all that was seen together."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Final

from asyncsecrets.client.places import Key, Name, Place
from asyncsecrets.journal import ROTATION, Soon, few, one_line, say
from asyncsecrets.secret import Secret

__all__ = ["Rotations", "label"]

_APART: Final = 5.0  # seconds between two lines of a source; what is seen in between is in the second one
_SHOWN: Final = 3


class Rotations:
    """The rotations of one source, which lines call ``head``."""

    def __init__(self, head: str) -> None:
        self._head = head
        self._own = False
        self._rotated: list[str] = []  # the first of them only
        self._gone: list[str] = []
        self._counts = [0, 0]
        self._soon = Soon(self.tell, _APART)

    @contextlib.contextmanager
    def own(self) -> Iterator[None]:
        """What is stored in here was written by this process, and is no news to it."""
        self._own = True
        try:
            yield
        finally:
            self._own = False

    def stored(self, key: Key, value: Secret, previous: Secret) -> None:
        """``value`` has taken the place of ``previous``."""
        if not self._own and is_other(value, previous):
            self._note(0, self._rotated, f"{label(key)} ({_step(value, previous)})")

    def gone(self, key: Key, why: str) -> None:
        """The manager says that ``key``, which had a value, is no more."""
        self._note(1, self._gone, f"{label(key)} ({why})")

    def _note(self, which: int, shown: list[str], what: str) -> None:
        self._counts[which] += 1
        if len(shown) < _SHOWN:
            shown.append(what)
        self._soon()

    def tell(self) -> None:
        """Say what was seen since the last line."""
        (rotated, gone), self._counts = self._counts, [0, 0]
        if rotated:
            what = "a secret was rotated" if rotated == 1 else f"{rotated} secrets were rotated"
            say(ROTATION, logging.INFO, "%s: %s: %s", self._head, what, few(self._rotated, rotated))
        if gone:
            what = "a secret is gone" if gone == 1 else f"{gone} secrets are gone"
            remedy = "Readers get that error; if that is a mistake, restore it at the manager"
            say(ROTATION, logging.WARNING, "%s: %s: %s. %s", self._head, what, few(self._gone, gone), remedy)
        self._rotated, self._gone = [], []


def is_other(value: Secret, previous: Secret) -> bool:
    """Whether a reader would notice. One version, made at one time, has one value: that is not looked at."""
    if value.version != previous.version:
        return True
    is_same = value.version is not None and value.created == previous.created
    return not is_same and not previous.equals(value)


def label(name: Name) -> str:
    """What an entry is called: its name, and its version if it is of one; a place in it by its member and field."""
    if isinstance(name, Place):
        whole = label(name.key) if name.member is None else one_line(name.member)
        return whole if name.field is None else f"{whole}, field {one_line(name.field)}"
    return one_line(name if isinstance(name, str) else f"{name[0]}, version {name[1]}")


def _step(value: Secret, previous: Secret) -> str:
    if value.source != previous.source:
        return f"version {previous.version or '-'} at {previous.source} -> what {value.source} has"
    if value.version == previous.version:
        return "another value" if value.version is None else f"version {value.version}, made anew"
    return f"version {previous.version or '-'} -> {value.version or '-'}"
