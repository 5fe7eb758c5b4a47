"""An outage of one source: while nobody is answered, one or two ask now and then, and the others are told at once.

It is known when several operations in a row have failed, each with all its attempts, and none of them said anything of
what was asked for. Held back is only who reads what is not cached. Writes, renewals and ``refresh`` go through, and the
first answer to anybody lifts it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from asyncsecrets.cache import Outage
from asyncsecrets.client.places import Key
from asyncsecrets.client.reporting import Reporter
from asyncsecrets.client.rotations import label
from asyncsecrets.errors import ProviderError, UnavailableError
from asyncsecrets.journal import duration, moment

__all__ = ["SourceOutage"]

_FREE: Final = 3  # operations in a row that may fail before anybody is held back
_WAITS: Final = 1.5, 4.0  # seconds from one question to the next: the first and the longest; each is twice the last
_LEAST: Final = 2 / 3  # of such a wait, as jitter has it
_LAPSES: Final = 10.0  # seconds after it was to be asked again in which nobody did: what was known is old by then
_MOST: Final = 1_000  # names of which it is remembered that they were asked for in vain


class SourceOutage(Outage[Key]):
    """The outage of the source ``name``, if there is one. ``reporter`` is the source's; ``jitter`` is from 0 to 1.

    For each wait there are two questions: one of anybody, and one for a name that was not asked for in vain yet. So
    a name that fails by itself, however often it is read, does not keep the others from being asked for.
    """

    def __init__(self, name: str, system: str, reporter: Reporter, jitter: Callable[[], float]) -> None:
        self._name = name
        self._system = system
        self._reporter = reporter
        self._clock = reporter.clock
        self._jitter = jitter
        self._cause = ""
        self._since = self._until = 0.0
        self.answered()

    def answered(self) -> None:
        """Somebody was answered. Of no interest while there are no ``failures``."""
        self.lasts = False
        self.failures = 0
        """How many operations have failed since somebody was answered."""
        self._wait = _WAITS[0]
        self._anybody, self._another = 0, 1
        self._in_vain: set[str] = set()

    def failed(self, name: str | None, error: ProviderError) -> None:
        """An operation for ``name`` has failed with ``error``, which says nothing of what was asked for."""
        if not error.attempts:
            return  # nobody was asked
        now = self._clock()
        self._since = self._since if self.failures else now
        self._cause = f"{type(error).__name__}: {error.message}"
        self.failures += 1
        if name is not None:
            self._asked(name)
        if self.failures >= _FREE and not self.lasts:
            self.lasts = True
            self._until = now + self._jittered()

    def spared(self, key: Key) -> UnavailableError | None:
        """The error of a reader who is not to ask for ``key`` now; None for the one whose turn it is."""
        now = self._clock()
        if now >= self._until:
            if now >= self._until + _LAPSES:
                self.answered()
                return None
            self._wait = min(2 * self._wait, _WAITS[1])
            self._until = now + self._jittered()
            self._anybody = self._another = 1
        name = key if isinstance(key, str) else key[0]
        if self._another and name not in self._in_vain:
            self._another = 0
        elif self._anybody:
            self._anybody = 0
        else:
            self._reporter.unasked(key)
            return self._error(key, name, now)
        self._asked(name)
        return None

    def _asked(self, name: str) -> None:
        if len(self._in_vain) < _MOST:
            self._in_vain.add(name)

    def _error(self, key: Key, name: str, now: float) -> UnavailableError:
        wait = self._until - now
        since = f"{moment(self._reporter.wall_of(self._since))} ({duration(now - self._since)})"
        error = UnavailableError(
            f"{self._system}: {label(key)!r} was not asked for: "
            f"source {self._name!r} has answered nobody since {since}. The first read in {wait:.1f} s asks it again; "
            f"until then, what is not cached fails at once. Its last error was {self._cause}",
            provider=self._system,
            name=name,
        ).after(0)
        error.retry_after = wait
        return error

    def _jittered(self) -> float:
        return self._wait * (_LEAST + (1 - _LEAST) * self._jitter())
