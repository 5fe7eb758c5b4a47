"""What is known of one secret, as a floor below which no answer is believed; and the store of these, which is bounded.

What is looked at is the version and the time of its creation, as far as the manager tells them; nothing is guessed from
a value.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from asyncsecrets.errors import SecretNotFoundError
from asyncsecrets.secret import Secret

__all__ = ["Doubt", "Event", "Floor", "Floors", "above", "is_older", "number_of"]

_MOST_OWN: Final = 65_536  # floors of what was written here; of more than these within one window, the oldest go
_MOST_HEARD: Final = 1_000  # of what was only read, or never known here: names that anybody may choose
_SKEW: Final = timedelta(seconds=5)  # how far apart the clocks of two nodes may be
_APART: Final = timedelta(seconds=1)  # how far apart our time of day and a node's are taken to be


class Doubt(Enum):
    """What is wrong with an answer."""

    BEHIND = "behind"
    """It is older than what is known."""
    UNSURE = "unsure"
    """It does not say how old it is, and is not what is known."""
    VANISHED = "vanished"
    """What was served a moment ago is absent: somebody has removed it, or a node has yet to hear of it."""


class Event(Enum):
    """What has happened to a secret, as far as is known."""

    WRITTEN = "written"
    RESTORED = "restored"
    SEEN = "seen"
    MISSED = "missed"
    """The manager said that it is gone."""
    DELETED = "deleted"
    DESTROYED = "destroyed"
    """For good: what is made under this name afterwards is made anew, and may have lower versions."""

    @property
    def is_gone(self) -> bool:
        return self in (Event.MISSED, Event.DELETED, Event.DESTROYED)  # a set would hash each, in Python


@dataclass(frozen=True, slots=True)
class Floor:
    """What is known of one secret: the last ``event``, and until when it counts, by the clock of ``Known``.

    ``version`` and ``created`` are those of the newest version that is known, where they are; ``at`` is our time of day
    when the secret was removed as a whole; ``removed`` are versions that were taken away, or replaced, one by one;
    ``anew`` says that the secret was removed for good before this version was made.
    """

    event: Event
    until: float
    version: str | None = None
    created: datetime | None = None
    at: datetime | None = None
    removed: frozenset[str] = frozenset()
    anew: bool = False

    @property
    def is_own(self) -> bool:
        """Whether it tells of a change that was made here, to what was known here."""
        if self.removed:
            return True
        return self.event not in (Event.SEEN, Event.MISSED) and not (self.event.is_gone and self.version is None)

    def of_value(self, secret: Secret) -> Doubt | None:
        """Judge a current value."""
        if secret.version in self.removed and not _later(secret.created, self.created):
            return self._of_removed(secret)
        if not self.event.is_gone:
            is_same = secret.version == self.version and secret.created == self.created
            return Doubt.BEHIND if not is_same and self._is_above(secret.version, secret.created) else None
        return self._of_value_of_gone(secret)

    def _of_removed(self, secret: Secret) -> Doubt:
        """Judge a version that was taken away, unless another one was made under its number, of a time untold to us."""
        is_told = self.created is not None and secret.created is not None
        return Doubt.BEHIND if is_told or number_of(secret.version) is None else Doubt.UNSURE

    def _of_value_of_gone(self, secret: Secret) -> Doubt | None:
        if secret.version is not None and secret.version == self.version and not _later(secret.created, self.created):
            return Doubt.UNSURE if self.event is Event.MISSED else Doubt.BEHIND  # missed: somebody may have restored it
        if self._is_above(secret.version, secret.created):
            return Doubt.BEHIND
        if self.event is Event.MISSED:
            return None
        # What was removed may have been a later version than the one that is known: the time of day tells.
        is_newer = above(secret.version, self.version)
        if secret.created is None or self.at is None:
            return None if is_newer or _later(secret.created, self.created) else Doubt.UNSURE
        if secret.created > self.at:
            return None
        return Doubt.UNSURE if is_newer and secret.created > self.at - _APART else Doubt.BEHIND

    def of_absence(self, error: SecretNotFoundError) -> Doubt | None:
        """Judge the answer that there is no current value."""
        if error.version is not None and not self.event.is_gone:
            if self._is_above(error.version, error.created):
                return Doubt.BEHIND
            return Doubt.UNSURE if self.event is Event.RESTORED and error.version == self.version else None
        if self.event is Event.RESTORED:
            return Doubt.UNSURE
        if error.version is not None or error.reason != "absent":
            return None
        # What can be restored is not absent; but who deletes what is not there learns nothing of a version.
        recoverable = self.event is Event.DELETED and number_of(self.version) is not None
        if recoverable or self.event is Event.WRITTEN:
            return Doubt.UNSURE
        return Doubt.VANISHED if self.event is Event.SEEN else None

    def of_version(self, secret: Secret) -> Doubt | None:
        """Judge a version that was asked for by itself: it may be old, but it must still be there."""
        if self.event is Event.DESTROYED:
            return self.of_value(secret)
        is_removed = self.event is Event.DELETED and secret.version is not None and secret.version == self.version
        if not (is_removed or secret.version in self.removed) or _later(secret.created, self.created):
            return None
        return self._of_removed(secret)

    def of_absent_version(self, version: str, error: SecretNotFoundError) -> Doubt | None:
        """Judge the answer that a version which was asked for by itself is not there."""
        if version != self.version or self.event not in {Event.WRITTEN, Event.RESTORED}:
            return None
        return Doubt.UNSURE if error.version is None or self.event is Event.RESTORED else None

    def _is_above(self, version: str | None, created: datetime | None) -> bool:
        return is_older(version, created, self.version, self.created, anew=self.anew)


def is_older(
    version: str | None, created: datetime | None, known: str | None, known_created: datetime | None, *, anew: bool
) -> bool:
    """Whether a version was made before the known one, as far as they tell.

    Numbers begin at 1 again when a secret is removed for good, so the time of creation decides, where it is told. A
    higher number made a little earlier is of a node whose clock is behind, unless the known one was made ``anew``.
    """
    if created is not None and known_created is not None and created != known_created:
        skewed = not anew and above(version, known) and known_created - created <= _SKEW
        return created < known_created and not skewed
    return above(known, version)


def above(version: str | None, other: str | None) -> bool:
    """Whether both versions are numbers, and this one is the higher."""
    number, other_number = number_of(version), number_of(other)
    return number is not None and other_number is not None and number > other_number


def number_of(version: str | None) -> int | None:
    """A version as the number that it is, or None."""
    return int(version) if version is not None and version.isascii() and version.isdigit() else None


def _later(created: datetime | None, other: datetime | None) -> bool:
    return created is not None and other is not None and created > other


class Floors:
    """The floors of one source by name, each for its time.

    ``spellings`` returns the names under which another spelling of a name is to be found; ``clock`` is in seconds.
    """

    def __init__(self, spellings: Callable[[str], Collection[str]], clock: Callable[[], float]) -> None:
        self._spellings = spellings
        self._clock = clock
        self._own: dict[str, Floor] = {}
        self._heard: dict[str, Floor] = {}

    def __len__(self) -> int:
        return len(self._own) + len(self._heard)

    def get(self, name: str) -> Floor | None:
        """The floor of ``name``, if its time has not passed."""
        for spelling in self._spellings(name):
            floor = self._own.get(spelling) or self._heard.get(spelling)
            if floor is not None and floor.until > self._clock():
                return floor
        return None

    def put(self, name: str, floor: Floor, left: float) -> None:
        """``floor`` is what is known of ``name`` from now on, for the ``left`` seconds."""
        now = self._clock()
        floor = replace(floor, until=now + left)
        for spelling in self._spellings(name):
            self._own.pop(spelling, None)
            self._heard.pop(spelling, None)
            (self._own if floor.is_own else self._heard)[spelling] = floor
        _bound(self._own, _MOST_OWN, now)
        _bound(self._heard, _MOST_HEARD, now)


def _bound(floors: dict[str, Floor], most: int, now: float) -> None:
    while floors:
        oldest = next(iter(floors))
        if floors[oldest].until > now and len(floors) <= most:
            break
        del floors[oldest]
