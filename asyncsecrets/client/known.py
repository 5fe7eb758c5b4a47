"""What a source knows of its secrets, so that no answer from a node that lags behind is taken for the truth.

A standby, a replica or another region may answer a read with what was true before our own acknowledged change, or
before what we have served already. So every change that is acknowledged, and every value that is served, is a *floor*
for a while: an answer below it is not stored and not returned. What is looked at is the version and the time of its
creation, as far as the manager tells them; nothing is guessed from a value.

Judging costs a look into two dicts where a flight lands, and nothing where a value is read from memory.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from asyncsecrets.cache.listener import Listener
from asyncsecrets.client.floors import Doubt, Event, Floor, Floors, above, is_older, number_of
from asyncsecrets.client.places import ENVIRONMENT, Key
from asyncsecrets.errors import SecretNotFoundError
from asyncsecrets.secret import Secret

__all__ = ["Known"]


class Known:
    """The floors of one source. They belong to its values, not to an event loop.

    ``window``: how many seconds a floor counts; 0 switches it off. ``entry`` returns what is cached under a key;
    ``heard`` is told what the cache tells us; ``spellings`` returns the names under which another spelling of a name
    is to be found; ``clock`` is the cache's, ``now`` the time of day, ``wall`` the Unix time that values end by.
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
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._window = window
        self._heard = heard
        self._entry = entry
        self._clock = clock
        self._now = now
        self._wall = wall
        self._floors = Floors(spellings, clock)

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
        return before.version if before is not None and above(before.version, version) else None

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
        anew = before.event is Event.DESTROYED or before.anew or above(before.version, version)
        removed = before.removed - {str(version)}
        if before.version not in {None, version} and number_of(before.version) is None:
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
        if self._window:
            self._floors.put(name, floor, self._window if left is None else left)

    def _floor(self, name: str) -> Floor | None:
        return self._floors.get(name)

    # -- what the cache tells us (asyncsecrets.cache.Listener)

    def stored(self, key: Key, value: Secret, previous: Secret | None) -> None:
        """An entry that has gone back to a lower version was made anew, which the entry itself does not tell."""
        if previous is not None and isinstance(key, str) and above(previous.version, value.version):
            self._note(key, Floor(Event.SEEN, 0.0, value.version, value.created, anew=True))
        self._heard.stored(key, value, previous)

    def dropped(self, key: Key, previous: Secret, why: BaseException | None) -> None:
        """What was served, or was taken back, is known on for its time."""
        if isinstance(why, SecretNotFoundError):
            self.missed(key, why, previous)
        elif isinstance(key, str) and self._has_ended(previous):
            self._note(
                key, Floor(Event.SEEN, 0.0), 0.0
            )  # nothing is known any more: *absent* is what is to be expected
        elif isinstance(key, str) and previous.version is not None:
            self._outlives(key, previous)
        self._heard.dropped(key, previous, why)

    def _has_ended(self, served: Secret) -> bool:
        return served.expires is not None and served.expires.timestamp() - self._wall() < _APART

    def _outlives(self, key: str, served: Secret) -> None:
        left = self._window - served.age
        floor = self._floor(key) or Floor(Event.SEEN, 0.0)
        is_old = is_older(served.version, served.created, floor.version, floor.created, anew=floor.anew)
        if left > 0 and not floor.event.is_gone and not is_old:
            self._note(key, replace(floor, version=served.version, created=served.created), left)

    def withdrawn(self) -> None:
        """Nothing is vouched for any more; what is known stays known."""
        self._heard.withdrawn()


_APART: Final = 1.0  # seconds that our time of day and the cache's clock may have come apart

_DONE: Final = {
    Event.WRITTEN: "written {version}",
    Event.RESTORED: "restored it",
    Event.SEEN: "read {version}",
    Event.MISSED: "been told that it is gone",
    Event.DELETED: "deleted it",
    Event.DESTROYED: "removed it for good",
}
