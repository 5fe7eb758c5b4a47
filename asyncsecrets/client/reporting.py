"""Tells operators what becomes of a source: one line for each change of its state, and reminders while it is not well.

A reporter hears of every change of the cache and of every call, in the same step. It keeps the source's ``Condition``,
and looks at that at the end of the turn: a thousand names that fail at once are one line. Reminders need no timer.
While a source is not well it is asked again every minute at least, as long as anybody needs it; each failure is an
occasion to say that it lasts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from asyncsecrets.cache import Listener, Observer
from asyncsecrets.cache.flight import Flight
from asyncsecrets.client.condition import Cause, Condition, Kind, State, Trouble, is_answer
from asyncsecrets.client.places import Key, Name, Place
from asyncsecrets.client.rotations import Rotations, label
from asyncsecrets.errands import whose
from asyncsecrets.errors import AsyncSecretsError, SecretNotFoundError
from asyncsecrets.journal import SOURCE, Seldom, Soon, duration, few, moment, one_line, say
from asyncsecrets.secret import Secret

__all__ = ["Reporter"]

_REMINDERS: Final = (60.0, 3_600.0)
"""Seconds until the first reminder, and the longest wait between two; each wait is twice the one before."""

_MOST_A_MINUTE: Final = 3  # lines that say at once that a source has come into the same state
_LASTS: Final = 10.0  # seconds after which it is told in any case: that is no coming and going any more

_RANK: Final[dict[State, int]] = {"unknown": 0, "fresh": 0, "degraded": 1, "down": 2}

_REMEDIES: Final[dict[Kind, str]] = {
    "unreachable": "see that it runs, answers in time and can be reached from here",
    "credentials": "give it credentials that are valid",
    "denied": "if that is a mistake, allow it at the manager",
    "configuration": "correct the configuration and start the program again",
    "absent": "create it there, or restore it",
    "content": "correct what it holds there, or what is asked of it",
    "nonsense": "see what has changed at the manager, or at a proxy before it",
}


class Reporter(Observer[Key, Secret]):
    """What the cache of the source ``name`` tells its ``Listener``, which ``views`` hear too, and its ``Observer``.

    ``held`` says how many values the source has; ``fetch`` begins to fetch one; ``clock`` is the cache's; ``wall`` is
    Unix time.
    """

    def __init__(
        self,
        name: str,
        system: str,
        views: Listener[Key, Secret],
        *,
        held: Callable[[], int],
        fetch: Callable[[Key], None],
        clock: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self.condition = Condition(clock, wall)
        self._head = f"source {name!r} ({one_line(system)})"
        self._views = views
        self._held = held
        self._fetch = fetch
        self.clock = clock
        self._wall = wall
        self._rotations = Rotations(self._head)
        self._look_soon = Soon(self._look)
        self._may = {state: Seldom(60.0, clock, _MOST_A_MINUTE) for state in ("degraded", "down")}
        self._closed = False
        self._unsaid = 0  # troubles that came and went without a word
        self._trouble: Trouble | None = None  # the one that was looked at last
        self._begin_anew()

    def _begin_anew(self) -> None:
        self._told: State = "fresh"
        self._kinds: set[Kind] = set()
        self._told_level, self._told_all, self._missed_any = 0, False, False
        self._wait = _REMINDERS[0]
        self._remind_at = float("inf")

    # -- what calls tell

    def answered(self) -> None:
        """A call was answered. Of no interest while ``condition.at_ease``."""
        was_well = self.condition.is_well
        self.condition.answered()
        if not was_well:
            self._look_soon()

    def call_failed(self, error: AsyncSecretsError) -> None:
        """A call ended with ``error``.

        What fails within a fetch for the cache is left to that: it may ask once more before it believes it, and it
        knows which value is concerned.
        """
        if not self._closed and (is_answer(error) or not isinstance(whose(), Flight)):
            self.condition.call_failed(error)
            self._look_soon()

    @contextmanager
    def own_write(self) -> Iterator[None]:
        """What is stored in here was written by this process: no news to it."""
        with self._rotations.own():
            yield

    @contextmanager
    def uncached(self, key: Key) -> Iterator[None]:
        """What is fetched in here is ``key`` for one reader, and the cache hears nothing of it."""
        try:
            yield
        except SecretNotFoundError as error:
            self.absent(key, error, None)
            raise
        except AsyncSecretsError as error:
            self.failed(key, error, None)
            raise
        self.ended(key)

    def judged(self, place: Place, error: AsyncSecretsError | None) -> bool:
        """An entry has no value in ``place``, or has one after all (None). Says whether it is required."""
        is_required = self.condition.is_required(place)
        if error is None:
            self.forget(place)
        elif is_required:
            self.condition.lacks(place, error)
            self._look_soon()
        return is_required

    def forget(self, key: Name) -> None:
        """``key`` was deleted by this process, or has a value."""
        was_well = self.condition.is_well
        self.condition.forget(key)
        if not was_well:
            self._look_soon()

    def require(self, place: Place) -> None:
        """This program cannot do without the value in ``place``."""
        self.condition.require(place)

    # -- what the cache tells (asyncsecrets.cache.Listener, Observer)

    def stored(self, key: Key, value: Secret, previous: Secret | None) -> None:
        """``key`` has a value."""
        self._views.stored(key, value, previous)
        if not self.condition.at_ease:
            self.forget(key)
        if previous is not None:
            self._rotations.stored(key, value, previous)

    def dropped(self, key: Key, previous: Secret, why: BaseException | None) -> None:
        """``key`` has none any more."""
        self._views.dropped(key, previous, why)
        self.condition.dropped(key)
        self._look_soon()

    def withdrawn(self) -> None:
        """Nothing is vouched for any more, which says nothing of the source."""
        self._views.withdrawn()

    def failed(self, key: Key, error: BaseException, ends: float | None) -> None:
        """Fetching ``key`` failed."""
        if not self._closed:
            self.condition.failed(key, error, ends)
            self._look_soon()

    def absent(self, key: Key, error: BaseException, previous: Secret | None) -> None:
        """The manager says that there is no ``key``."""
        self.condition.absent(key, error)
        self._look_soon()
        if previous is not None:
            self._rotations.gone(key, str(error))

    def unasked(self, key: Key) -> None:
        """``key`` was not asked for, since nobody is answered: whoever read it does without."""
        self.condition.unasked(key)
        self._look_soon()

    def ended(self, key: Key) -> None:
        """``key`` was answered, with a value that is not kept."""
        self.forget(key)
        self.condition.dropped(key)  # for there is nothing to serve if it cannot be had again

    def expired(self, key: Key) -> None:
        """The life of ``key``'s value has ended."""
        self.condition.expired(key)
        self._look_soon()

    def close(self) -> None:
        """Whatever fails from now on fails because of the end. What was seen before is said at the end of this turn."""
        if not self._closed:
            self._rotations.tell()
        self._closed = True

    def wall_of(self, reading: float) -> float:
        """The Unix time at which the cache's clock reads ``reading``."""
        return self._wall() + reading - self.clock()

    # -- what is said

    def _look(self) -> None:
        condition = self.condition
        regained, condition.regained = condition.regained, []
        for key in dict.fromkeys(name.key if isinstance(name, Place) else name for name in regained):
            self._fetch(key)
        state, trouble, cause = condition.state, condition.trouble, condition.cause
        if trouble is None or cause is None:
            self._is_well()
            return
        self._trouble, self._last = trouble, cause
        now = self.clock()
        if _RANK[state] > _RANK[self._told]:
            if now - trouble.since >= _LASTS or self._may[state].passes():
                self._tell(state, trouble, cause)
        elif cause.kind not in self._kinds or self._level(state) > self._told_level or self._is_all(state):
            self._tell(state, trouble, cause, "still ")
        elif now >= self._remind_at:
            self._wait = min(2 * self._wait, _REMINDERS[1])
            self._tell(state, trouble, cause, "still ")

    def _level(self, state: State) -> int:
        return logging.ERROR if state == "down" or self.condition.refused_again else logging.WARNING

    def _is_all(self, state: State) -> bool:
        """Whether nothing is left that could be served, and it was not so when that was told last."""
        return state == "down" and not self._told_all and not self._held()

    def _tell(self, state: State, trouble: Trouble, cause: Cause, still: str = "") -> None:
        what, consequence = self._down(still) if state == "down" else self._degraded(still)
        end = "" if cause.message.endswith(("?", "!", ".")) else "."
        lasted = self.clock() - trouble.since
        again = "by itself" if self.condition.stale else "at the next read"
        say(
            SOURCE, self._level(state), "%s %s: %s: %s%s Since %s%s%s. %sIt is asked again %s; %s",
            self._head, what, cause.error, one_line(cause.message), end, moment(trouble.wall),
            f" ({duration(lasted)})" if lasted >= 1 else "", consequence, self._more(), again, _REMEDIES[cause.kind],
        )  # fmt: skip
        self._told, self._told_level = state, self._level(state)
        self._told_all = not self._held()
        self._missed_any |= state == "down" and self.condition.has_answered
        self._kinds.add(cause.kind)
        self._remind_at = self.clock() + self._wait

    def _degraded(self, still: str) -> tuple[str, str]:
        condition, held = self.condition, self._held()
        stale, first = condition.stale, condition.first_end()
        if first is None:
            return f"is {still}in trouble", f", {_values(held)} held meanwhile" if held else ""
        names = few(map(label, stale), len(stale))
        until = f"{moment(self.wall_of(first))} at least (in {duration(first - self.clock())})"
        return f"is {still}stale", f", {len(stale)} of {_values(held)} not renewed ({names}), served until {until}"

    def _down(self, still: str) -> tuple[str, str]:
        missing = self.condition.missing()
        if not self.condition.has_answered:
            return f"has {still}not answered", ""
        count = f"{len(missing)} secret{'s' if len(missing) > 1 else ''}"
        held = self._held()
        rest = f", {_values(held)} held meanwhile" if held else ""
        return f"{still}cannot serve {count} ({few(missing, len(missing))})", rest

    def _more(self) -> str:
        unsaid, self._unsaid = self._unsaid, 0
        return f"It came and went {unsaid} time{'s' if unsaid > 1 else ''} since the last line. " if unsaid else ""

    def _is_well(self) -> None:
        trouble, self._trouble = self._trouble, None
        if trouble is None:
            return
        if self._told == "fresh":
            self._unsaid += 1
            return
        rest = ". What had ended is fetched when it is asked for" if self._missed_any else ""
        say(
            SOURCE, logging.INFO, "%s is well again after %s, since %s; its last error was %s%s",
            self._head, duration(self.clock() - trouble.since), moment(trouble.wall), self._last.error, rest,
        )  # fmt: skip
        self._begin_anew()


def _values(count: int) -> str:
    return "1 value" if count == 1 else f"{count} values"
