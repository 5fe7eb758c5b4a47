"""What a source knows of its secrets, so that no answer from a node that lags behind is taken for the truth.

A standby, a replica or another region may answer a read with what was true before our own acknowledged change, or
before what we have served already. So every change that is acknowledged, and every value that is served, is a *floor*
for a while: an answer below it is not stored and not returned. What is looked at is the version and the time of its
creation, as far as the manager tells them; nothing is guessed from a value.

Judging costs a look into two dicts where a flight lands, and nothing where a value is read from memory.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Final

from asyncsecrets.cache.listener import Listener
from asyncsecrets.client.routing import ENVIRONMENT
from asyncsecrets.client.views import Key
from asyncsecrets.errors import SecretNotFoundError
from asyncsecrets.secret import Secret

__all__ = ["Doubt", "Event", "Floor", "Known"]

_MOST: Final = 65_536  # floors; of more than these within one window, the oldest are forgotten
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
        return Doubt.BEHIND if is_told or _number(secret.version) is None else Doubt.UNSURE

    def _of_value_of_gone(self, secret: Secret) -> Doubt | None:
        if secret.version is not None and secret.version == self.version and not _later(secret.created, self.created):
            return Doubt.UNSURE if self.event is Event.MISSED else Doubt.BEHIND  # missed: somebody may have restored it
        if self._is_above(secret.version, secret.created):
            return Doubt.BEHIND
        if self.event is Event.MISSED:
            return None
        # What was removed may have been a later version than the one that is known: the time of day tells.
        is_newer = _above(secret.version, self.version)
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
        recoverable = self.event is Event.DELETED and _number(self.version) is not None
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
        skewed = not anew and _above(version, known) and known_created - created <= _SKEW
        return created < known_created and not skewed
    return _above(known, version)


def _above(version: str | None, other: str | None) -> bool:
    number, other_number = _number(version), _number(other)
    return number is not None and other_number is not None and number > other_number


def _number(version: str | None) -> int | None:
    return int(version) if version is not None and version.isascii() and version.isdigit() else None


def _later(created: datetime | None, other: datetime | None) -> bool:
    return created is not None and other is not None and created > other


class Known:
    """The floors of one source. They belong to its values, not to an event loop.

    ``window``: how many seconds a floor counts; 0 switches it off. ``entry`` returns what is cached under a key;
    ``heard`` is told what the cache tells us; ``spellings`` returns the names under which another spelling of a name
    is to be found; ``clock`` is the cache's, ``now`` the time of day.
    """

    def __init__(
        self,
        window: float,
        heard: Listener[Key, Secret],
        *,
        entry: Callable[[Key], Secret | None],
        spellings: Callable[[str], Collection[str]],
        clock: Callable[[], float],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._window = window
        self._heard = heard
        self._entry = entry
        self._spellings = spellings
        self._clock = clock
        self._now = now
        self._floors: dict[str, Floor] = {}

    def __len__(self) -> int:
        return len(self._floors)

    # -- judging

    def doubt(self, key: Key, answer: Secret | SecretNotFoundError) -> Doubt | None:
        """What is wrong with an answer, as far as is known."""
        if not self._window:
            return None
        floor = self._floor(key if isinstance(key, str) else key[0]) if self._floors else None
        if not isinstance(key, str):
            return self._of_version(floor, key[1], answer)
        if isinstance(answer, Secret):
            return (floor and floor.of_value(answer)) or self._of_served(key, answer.version, answer.created)
        return (floor and floor.of_absence(answer)) or self._of_served_and_absent(key, answer, floor)

    def _of_version(self, floor: Floor | None, version: str, answer: Secret | SecretNotFoundError) -> Doubt | None:
        if floor is None:
            return None
        if isinstance(answer, Secret):
            return floor.of_version(answer)
        return floor.of_absent_version(version, answer)

    def _of_served(self, key: Key, version: str | None, created: datetime | None) -> Doubt | None:
        served = self._entry(key)
        if served is None or (served.version == version and served.created == created):
            return None
        if served.age >= self._window or not is_older(version, created, served.version, served.created, anew=False):
            return None
        return Doubt.BEHIND

    def _of_served_and_absent(self, key: str, answer: SecretNotFoundError, floor: Floor | None) -> Doubt | None:
        """Judge that there is no current value, by the one that is served.

        Without a version, it sounds the same from a node that has yet to hear of the secret.
        """
        if answer.version is not None:
            return self._of_served(key, answer.version, answer.created)
        served = self._entry(key)
        if served is None or served.source == ENVIRONMENT or served.age >= self._window:
            return None
        is_news = answer.reason == "absent" and not (floor and floor.event.is_gone)
        return Doubt.VANISHED if is_news else None

    def describe(self, name: str) -> str:
        """What is known of ``name``, for an error: which version, and since when."""
        floor, served = self._floor(name), self._entry(name)
        if floor is None:
            version = f"version {served.version}" if served is not None and served.version is not None else "it"
            return f"this client has read {version} already"
        seconds = max(0.0, self._clock() + self._window - floor.until)
        version = f"version {floor.version}" if floor.version is not None else "it"
        done = _DONE[floor.event].format(version=version)
        if floor.version is None and floor.removed:
            done = "removed versions of it"
        return f"this client has {done} {seconds:.1f} s ago"

    def newer(self, name: str, version: str) -> str | None:
        """The version that is known to have followed ``version``, or None: by numbers, of what is there."""
        before = self._before(name)
        return before.version if before is not None and _above(before.version, version) else None

    def current(self, name: str) -> str | None:
        """The version that is known to be current, or to have been until somebody else wrote. None: it is not known."""
        before = self._before(name)
        return before.version if before is not None and not before.event.is_gone else None

    # -- noting

    def written(self, name: str, version: str | None, created: datetime | None = None) -> None:
        """A write of ours was acknowledged as this version."""
        self._is_now(Event.WRITTEN, name, version, created)

    def seen(self, name: str, secret: Secret) -> None:
        """This is what there is, whoever wrote it, and is not behind what is known."""
        before = self._before(name)
        if before is None or (before.version, before.created) != (secret.version, secret.created):
            self._is_now(Event.SEEN, name, secret.version, secret.created)

    def _is_now(self, event: Event, name: str, version: str | None, created: datetime | None) -> None:
        before = self._before(name) or Floor(Event.SEEN, 0.0)
        anew = before.event is Event.DESTROYED or before.anew or _above(before.version, version)
        removed = before.removed - {str(version)}
        if before.version not in {None, version} and _number(before.version) is None:
            removed |= {str(before.version)}
        self._note(name, Floor(event, 0.0, version, created, removed=removed, anew=anew))

    def restored(self, name: str, versions: Collection[str] | None) -> None:
        """What was deleted, or these versions of it, is there again."""
        before = self._before(name) or Floor(Event.RESTORED, 0.0)
        if versions is None:
            self._note(name, replace(before, event=Event.RESTORED, removed=frozenset()))
            return
        is_current = before.event.is_gone and before.version in versions
        event = Event.RESTORED if is_current else before.event
        self._note(name, replace(before, event=event, removed=before.removed - set(versions)))

    def removed(self, name: str, *, for_good: bool) -> None:
        """The secret is gone, by an acknowledged change of ours."""
        event = Event.DESTROYED if for_good else Event.DELETED
        before = self._before(name) or Floor(event, 0.0)
        removed = frozenset() if for_good else before.removed  # numbers begin at 1 again
        self._note(name, replace(before, event=event, at=self._now(), removed=removed))

    def versions_removed(self, name: str, versions: Collection[str]) -> None:
        """These versions are gone. What may have followed them is not."""
        before = self._before(name) or Floor(Event.SEEN, 0.0)
        if before.version in versions and not before.event.is_gone:
            before = replace(before, event=Event.DELETED, at=None)
        self._note(name, replace(before, removed=before.removed | frozenset(versions)))

    def replaced(self, name: str, version: str | None) -> None:
        """Somebody else wrote: this version was current, as is known, and is so no more."""
        before = self._before(name)
        if before is not None and version is not None and before.version == version:
            self._note(name, replace(before, removed=before.removed | {version}))

    def undecided(self, name: str) -> None:
        """Nobody knows whether a change of ours was applied: what was deleted may be there again."""
        floor = self._floor(name)
        if floor is not None and floor.event is Event.DELETED:
            self._note(name, replace(floor, event=Event.MISSED))

    def missed(self, key: Key, error: SecretNotFoundError, served: Secret | None = None) -> None:
        """The manager says that what was ``served`` until now is gone, and is believed."""
        if not isinstance(key, str) or not self._window:
            return
        floor = self._floor(key)
        if floor is not None and floor.event in {Event.DELETED, Event.DESTROYED}:
            return
        version, created = error.version, error.created
        for known in (served, floor):
            if version is None and known is not None:
                version, created = known.version, known.created
        is_known = floor is not None and floor.event is Event.MISSED and floor.version == version
        if version is not None and not is_known:  # which is not put off by being told again
            self._note(key, Floor(Event.MISSED, 0.0, version, created))

    def _before(self, name: str) -> Floor | None:
        """What was known until now: also by an entry of any age."""
        floor, entry = self._floor(name), self._entry(name)
        if entry is None or (entry.version is None and entry.created is None):
            return floor
        if floor is None:
            return Floor(Event.SEEN, 0.0, entry.version, entry.created)
        is_same = floor.version == entry.version and floor.created == entry.created
        if is_same or is_older(entry.version, entry.created, floor.version, floor.created, anew=floor.anew):
            return floor
        anew = floor.anew or floor.event is Event.DESTROYED
        return Floor(Event.SEEN, 0.0, entry.version, entry.created, removed=floor.removed, anew=anew)

    def _note(self, name: str, floor: Floor, left: float | None = None) -> None:
        if not self._window:
            return
        now = self._clock()
        floor = replace(floor, until=now + (self._window if left is None else left))
        for spelling in self._spellings(name):
            self._floors.pop(spelling, None)
            self._floors[spelling] = floor
        while self._floors:
            oldest = next(iter(self._floors))
            if self._floors[oldest].until > now and len(self._floors) <= _MOST:
                break
            del self._floors[oldest]

    def _floor(self, name: str) -> Floor | None:
        for spelling in self._spellings(name):
            floor = self._floors.get(spelling)
            if floor is not None and floor.until > self._clock():
                return floor
        return None

    # -- what the cache tells us (asyncsecrets.cache.Listener)

    def stored(self, key: Key, value: Secret, previous: Secret | None) -> None:
        """An entry that has gone back to a lower version was made anew, which the entry itself does not tell."""
        if previous is not None and isinstance(key, str) and _above(previous.version, value.version):
            self._note(key, Floor(Event.SEEN, 0.0, value.version, value.created, anew=True))
        self._heard.stored(key, value, previous)

    def dropped(self, key: Key, previous: Secret, why: BaseException | None) -> None:
        """What was served, or was taken back, is known on for its time."""
        if isinstance(why, SecretNotFoundError):
            self.missed(key, why, previous)
        elif isinstance(key, str) and previous.version is not None:
            self._outlives(key, previous)
        self._heard.dropped(key, previous, why)

    def _outlives(self, key: str, served: Secret) -> None:
        left = self._window - served.age
        floor = self._floor(key) or Floor(Event.SEEN, 0.0)
        is_old = is_older(served.version, served.created, floor.version, floor.created, anew=floor.anew)
        if left > 0 and not floor.event.is_gone and not is_old:
            self._note(key, replace(floor, version=served.version, created=served.created), left)

    def withdrawn(self) -> None:
        """Nothing is vouched for any more; what is known stays known."""
        self._heard.withdrawn()


_DONE: Final = {
    Event.WRITTEN: "written {version}",
    Event.RESTORED: "restored it",
    Event.SEEN: "read {version}",
    Event.MISSED: "been told that it is gone",
    Event.DELETED: "deleted it",
    Event.DESTROYED: "removed it for good",
}
