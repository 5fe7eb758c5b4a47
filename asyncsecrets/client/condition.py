"""What is known of the health of one source: which values could not be renewed, which names cannot be served, and why.

Evidence comes from two sides. The cache tells how each entry fares; ``Calls.told`` tells how each call went, also
those that are for no entry. From both together, at any moment and without looking through anything:

* ``down``: a name that was served, or is required, cannot be served; or the source has never answered, and failed.
* ``degraded``: everything that was served can be served, but some of it is stale, or the last call failed.
* ``fresh``: nothing of this is so. ``unknown``: nor has anybody asked yet.

A name whose value has ended is *missing*. If nothing was answered while it failed, its trouble is the whole source's,
and the first answer to anybody lifts it: it can be asked for again. If others were answered meanwhile, or it was
denied, its trouble is its own, and only an answer about itself lifts it, or an hour in which nobody asked for it. A
name that is required is missing until it is answered itself, whatever becomes of others and however long nobody asks;
and the answer that there is no such secret does not make it one that can be served.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, Literal, NamedTuple

from asyncsecrets.client.places import Name, Place
from asyncsecrets.client.rotations import label
from asyncsecrets.errors import (
    AccessDeniedError,
    AuthenticationError,
    ClosedError,
    ConfigError,
    ConflictError,
    DecodeError,
    InvalidNameError,
    SecretNotFoundError,
    TransientError,
    UnsupportedOperationError,
    WriteOutcomeUnknownError,
)

__all__ = ["Cause", "Condition", "Kind", "State", "Trouble", "is_answer"]

State = Literal["unknown", "fresh", "degraded", "down"]
Kind = Literal["unreachable", "credentials", "denied", "configuration", "nonsense", "absent", "content"]

_MOST: Final = 10_000  # names that are remembered of each sort; the oldest leave first
_MOST_ENDED: Final = 1_000  # names that have left without a fault: whoever reads chooses them
_SILENCE: Final = 2.0  # seconds that a source may take for its first answer: as long as connecting may
_MISSED_FOR: Final = 3_600.0  # seconds after which nobody misses a name that nobody asks for

_ANSWERS: Final = (SecretNotFoundError, ConflictError)
# Nothing was sent, or nothing that says how the manager is.
_SILENT: Final = (InvalidNameError, UnsupportedOperationError, DecodeError, ClosedError)


class Cause(NamedTuple):
    """Why something failed: not the exception, whose frames would live as long as the trouble."""

    kind: Kind
    error: str
    message: str


class Trouble(NamedTuple):
    """Since when a source is not well: a reading of the clock, and of the wall clock for people."""

    since: float
    wall: float


class Failing:
    """One entry that is not as it should be. ``ends`` is when its value's life ends, in readings of the clock."""

    __slots__ = ("cause", "confirmed", "ends", "failures", "last")

    def __init__(self, now: float, ends: float) -> None:
        self.cause: Cause | None = None
        self.last = now
        self.ends = ends
        self.failures = 0
        self.confirmed = math.inf
        """When it failed for the second time. One failure may be of the moment in which a whole source fell silent."""

    def again(self, cause: Cause, now: float) -> None:
        """It has failed once more."""
        self.cause, self.last = cause, now
        self.failures += 1
        if self.failures == 2:
            self.confirmed = now


class Condition:
    """See the module. ``clock`` is the cache's, in seconds; ``wall`` Unix time, for people.

    Changed on the source's event loop, in one synchronous step each time; may be read from any thread.
    """

    def __init__(self, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        self._clock = clock
        self._wall = wall
        self._answered_at = -math.inf
        self._asked_at = math.inf
        self._look_through_at = -math.inf
        self._required: dict[Name, None] = {}
        self.stale: dict[Name, Failing] = {}
        """Entries whose renewal fails, and whose old value is served."""
        self.cut_off: dict[Name, Failing] = {}
        """Names that cannot be served as long as the source does not answer anybody."""
        self.own: dict[Name, Failing] = {}
        """Names that cannot be served although the source answers others."""
        self.regained: list[Name] = []
        """What is required, and can be asked for again since the source answers: whoever takes it up empties this."""
        self._ended: dict[Name, Failing] = {}  # names that were served once, and of which nothing worse is known
        self.call: Cause | None = None
        """Why the last call failed, if it did."""
        self.cause: Cause | None = None
        """The last thing that went wrong in the present trouble."""
        self.trouble: Trouble | None = None
        self.refused_again = False
        """Whether in the present trouble the manager refused something, and refused it again when it was asked anew."""
        self.at_ease = False
        """Whether there is nothing that an answer would change."""
        self.is_well = False
        """Whether all is well, though there may be names that have left: an answer is noted, and changes no state."""

    @property
    def state(self) -> State:
        """See the module."""
        answered = self._answered_at > -math.inf
        if self.cut_off or self.own or (self.call is not None and not answered):
            return "down"
        if self.stale or self.call is not None:
            return "degraded"
        return "fresh" if answered else "unknown"

    @property
    def _failings(self) -> tuple[dict[Name, Failing], ...]:
        return self.stale, self.cut_off, self.own, self._ended

    @property
    def has_answered(self) -> bool:
        """Whether the source has ever answered."""
        return self._answered_at > -math.inf

    def missing(self) -> list[str]:
        """Which names cannot be served."""
        return list(dict.fromkeys(map(label, [*self.cut_off.copy(), *self.own.copy()])))

    def why_missing(self, place: Place) -> str | None:
        """The class of the error for which the value in ``place`` cannot be served; None where nothing is known."""
        for name in (place, place.key):
            failing = self.cut_off.get(name) or self.own.get(name)
            if failing is not None:
                return _why(failing)
        return None

    def whys(self) -> dict[str, str]:
        """All that cannot be served, and the class of the error for which it cannot."""
        return {label(name): _why(failing) for name, failing in {**self.cut_off, **self.own}.items()}

    def first_end(self) -> float | None:
        """When the first of the stale values ends, in readings of the clock; None if nothing is stale."""
        return min((failing.ends for failing in self.stale.copy().values()), default=None)

    def require(self, place: Place) -> None:
        """Without the value in ``place`` this program cannot do."""
        if len(self._required) < 2 * _MOST:
            self._required[place.key] = self._required[place] = None

    def is_required(self, place: Place) -> bool:
        """Whether this program cannot do without the value in ``place``."""
        return place in self._required

    # -- what calls tell

    def answered(self) -> None:
        """A call was answered."""
        now = self._answered_at = self._clock()
        if self.is_well:
            return
        self.call = None
        if self.cut_off:
            for key, failing in self.cut_off.items():
                _remember(self.own if key in self._required else self._ended, key, failing)
            self.regained += [key for key in self.cut_off if key in self._required]
            self.cut_off = {}
        if self.own and now >= self._look_through_at:
            self._look_through_at = now + 60.0
            self.own = {key: failing for key, failing in self.own.items() if self._is_missed(key, failing, now)}
        self._settle()

    def is_silent(self, waited: float) -> bool:
        """Somebody has given up after ``waited`` seconds: whether this is a source that does not answer.

        One that has answered before may be slow just now. Of one that has not, nobody would ever hear if all who ask
        give up sooner than a connection does.
        """
        now = self._clock()
        self._asked_at = min(self._asked_at, now - waited)
        return not self.has_answered and now - self._asked_at >= _SILENCE

    def call_failed(self, error: BaseException) -> None:
        """A call ended with ``error``."""
        if is_answer(error):
            self.answered()
        elif not isinstance(error, _SILENT):
            self.call = self.cause = cause_of(error)
            self._settle()

    # -- what the cache tells

    def forget(self, key: Name) -> None:
        """``key`` has a new value, or is rightly gone."""
        if self.is_well:
            self._ended.pop(key, None)
            self.at_ease = not self._ended
            return
        for failings in self._failings:
            failings.pop(key, None)
        self._settle()

    def dropped(self, key: Name) -> None:
        """``key``'s value was taken out of the cache: whoever reads it next may miss it."""
        now = self._clock()
        self._remember_ended(key, self.stale.pop(key) if key in self.stale else Failing(now, now))
        self._settle()

    def absent(self, key: Name, error: BaseException) -> None:
        """The manager says that there is no ``key``: an answer like any other, unless it is required."""
        self.answered()
        if key in self._required:
            self.lacks(key, error)
        else:
            self.forget(key)

    def lacks(self, name: Name, error: BaseException) -> None:
        """What is required, as a whole or in its place, is not there: its trouble is its own."""
        now = self._clock()
        failing = next((failings.pop(name) for failings in self._failings if name in failings), Failing(now, now))
        self._note(failing, cause_of(error), now)
        _remember(self.own, name, failing)
        self._settle()

    def failed(self, key: Name, error: BaseException, ends: float | None) -> None:
        """Fetching ``key`` failed; its old value is served until ``ends``, or it has none.

        It is not due to be renewed where ``ends`` is infinite: then this is a call that failed, and no more.
        """
        now = self._clock()
        if ends is not None and ends < math.inf:
            failing = self.stale.setdefault(key, Failing(now, ends))
            failing.ends = ends
            self._note(failing, cause_of(error), now)
        elif ends is None and not isinstance(error, (*_ANSWERS, *_SILENT)) and (missed := self._missed(key, now)):
            self._note(missed, cause_of(error), now)
            self._miss(key, missed)
        else:
            self.call_failed(error)
        self._settle()

    def unasked(self, key: Name) -> None:
        """``key`` was not even asked for, as nobody is answered. It is missing if it was served, or is required."""
        if key not in self.cut_off and key not in self.own and (missed := self._missed(key, self._clock())):
            _remember(self.cut_off, key, missed)
            self._settle()

    def _note(self, failing: Failing, cause: Cause, now: float) -> None:
        before, refusals = failing.cause, {"denied", "credentials"}
        self.refused_again |= before is not None and before.kind in refusals and cause.kind in refusals
        failing.again(cause, now)
        self.cause = cause

    def expired(self, key: Name) -> None:
        """The life of ``key``'s value has ended."""
        now, failing = self._clock(), self.stale.pop(key, None)
        if failing is None:  # nobody has asked: perhaps there is nothing wrong with it
            self._remember_ended(key, Failing(now, now))
        else:
            self.cause = failing.cause
            self._miss(key, failing)
        self._settle()

    def _missed(self, key: Name, now: float) -> Failing | None:
        """``key`` has no value and could not be had. It matters if it had one before, or is required."""
        for failings in (self.cut_off, self.own, self._ended):
            failing = failings.pop(key, None)
            if failing is not None:
                return failing if self._is_missed(key, failing, now) else Failing(now, now)
        return Failing(now, now) if key in self._required else None

    def _is_missed(self, key: Name, failing: Failing, now: float) -> bool:
        return key in self._required or now - failing.last < _MISSED_FOR

    def _miss(self, key: Name, failing: Failing) -> None:
        denied = failing.cause is not None and failing.cause.kind == "denied"
        own = denied or self._answered_at > failing.confirmed
        _remember(self.own if own else self.cut_off, key, failing)

    def _remember_ended(self, key: Name, failing: Failing) -> None:
        _remember(self._ended, key, failing, _MOST_ENDED)

    def _settle(self) -> None:
        well = self.state in {"fresh", "unknown"}
        if well:
            self.trouble = self.cause = None
            self.refused_again = False
        elif self.trouble is None:
            self.trouble = Trouble(self._clock(), self._wall())
        self.is_well = well and self.has_answered
        self.at_ease = self.is_well and not self._ended


def _why(failing: Failing) -> str:
    return "UnavailableError" if failing.cause is None else failing.cause.error


def _remember(failings: dict[Name, Failing], key: Name, failing: Failing, most: int = _MOST) -> None:
    failings[key] = failing
    if len(failings) > most:
        del failings[next(iter(failings))]


def is_answer(error: BaseException) -> bool:
    """Whether the manager has answered with ``error``, and what was wrong was the question."""
    return isinstance(error, _ANSWERS)


def cause_of(error: BaseException) -> Cause:
    """What to keep of ``error``."""
    return Cause(_kind(error), type(error).__name__, str(error))


def _kind(error: BaseException) -> Kind:
    if isinstance(error, TransientError | WriteOutcomeUnknownError):
        return "unreachable"
    if isinstance(error, AuthenticationError):
        return "credentials"
    if isinstance(error, AccessDeniedError):
        return "denied"
    if isinstance(error, SecretNotFoundError):
        return "absent"
    if isinstance(error, DecodeError):
        return "content"
    return "configuration" if isinstance(error, ConfigError) else "nonsense"
