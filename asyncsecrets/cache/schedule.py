"""When each entry is renewed, retried and expires: pure state, no clock, no event loop.

An entry is *scheduled* (in the wheel) until its refresh interval ends, then *overdue* until a new value lands or its
life ends. What an overdue entry needs to know (its failures, the end of its life) is kept for overdue entries only;
in normal times there are hardly any.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from enum import Enum
from typing import Generic, TypeVar

from asyncsecrets.cache.policy import CachePolicy, EntryState
from asyncsecrets.cache.wheel import Wheel

__all__ = ["Event", "Schedule"]

K = TypeVar("K")

_EARLIEST = 0.01  # of the interval
_COMPANY_WITHIN = 0.5  # of the interval, or of the longest backoff: how much earlier an entry may come along
_ON_TOP = 0.5  # of the wait that a backend asked for
_LOOK_THROUGH = 4  # alarms looked at for each that is wanted; ends of life lie between the retries

_NEVER = float("inf")
_COMPACT_AT = 1024


class Event(Enum):
    """What is to be done about a key."""

    RENEW = "renew"
    EXPIRE = "expire"


class _Overdue(Generic[K]):
    """An entry past its refresh interval. ``retry_at`` is never while a renewal is under way.

    ``not_before`` is what the backend told it to wait for, and ``held_until`` the same with its jitter: together with
    others it may come from the one on, and that the backend answers somebody else brings it no nearer than the other.
    """

    __slots__ = ("expires_at", "failures", "held_until", "key", "not_before", "retry_at")

    def __init__(self, key: K, expires_at: float) -> None:
        self.key = key
        self.retry_at = _NEVER
        self.expires_at = expires_at
        self.failures = 0
        self.not_before = self.held_until = -_NEVER


class Schedule(Generic[K]):
    """The renewals of one cache. All times are readings of the cache's clock, in seconds; it must not run backwards."""

    __slots__ = ("_alarms", "_failing", "_jitter", "_overdue", "_policy", "_sequence", "_wheel")

    def __init__(self, policy: CachePolicy, jitter: Callable[[], float]) -> None:
        self._policy = policy
        self._jitter = jitter
        self._wheel: Wheel[K] = Wheel(policy.refresh_interval)
        self._overdue: dict[K, _Overdue[K]] = {}
        # A heap of retries and ends of life. One whose entry is not overdue any more, or is retried at another time,
        # is dead: it does nothing when it comes up, and is dropped then, or when the dead outnumber the living.
        self._alarms: list[tuple[float, int, _Overdue[K]]] = []
        self._sequence = 0
        self._failing = False  # whether anything failed since the last time that something recovered

    def __len__(self) -> int:
        return len(self._wheel) + len(self._overdue)

    def begin(self, key: K, now: float) -> None:
        """A new entry: its first renewal falls anywhere in the interval, so that a fleet spreads itself.

        Anywhere but at its very beginning: of a thousand values just fetched, one would be fetched again at once.
        """
        self._wheel.add(key, now, _EARLIEST + (1.0 - _EARLIEST) * self._jitter())

    def renew(self, key: K, now: float) -> None:
        """An entry has a new value: its next renewal is one interval from now.

        If renewing it had failed, the backend is back: what else failed is tried again soon, and not when its own
        backoff ends.
        """
        overdue = self.end(key)
        if overdue is not None and overdue.failures and self._failing:
            self._failing = False
            self._cut_backoffs(now)
        self._wheel.add(key, now, 1.0)

    def _cut_backoffs(self, now: float) -> None:
        """Retry what failed within the first backoff, each at a moment of its own; but what was told to wait, waits."""
        for overdue in self._overdue.values():
            if overdue.failures and now < overdue.retry_at < _NEVER:
                soon = max(overdue.held_until, now + self._policy.backoff[0] * self._jitter())
                if soon < overdue.retry_at:
                    self._retry(overdue, soon)

    def end(self, key: K) -> _Overdue[K] | None:
        """An entry is gone. It must be scheduled or overdue."""
        overdue = self._overdue.pop(key, None)
        if overdue is None:
            self._wheel.forget(key)
        elif len(self._alarms) > _COMPACT_AT:
            self._drop_dead_alarms()
        return overdue

    def failed(self, key: K, now: float, wait: float = 0.0) -> None:
        """A renewal failed: try again after the backoff with jitter, and not before ``wait`` seconds.

        There is jitter on top of ``wait``, too: a fleet that was told the same must not come back in one moment. Does
        nothing for an entry that is not overdue: it will have its turn.
        """
        overdue = self._overdue.get(key)
        if overdue is None:
            return
        first, longest = self._policy.backoff
        ceiling = min(longest, first * 2.0 ** min(overdue.failures, 32))
        overdue.failures += 1
        self._failing = True
        jitter = self._jitter()
        overdue.not_before, overdue.held_until = now + wait, now + wait * (1.0 + _ON_TOP * jitter)
        self._retry(overdue, max(overdue.held_until, now + ceiling * (0.5 + 0.5 * jitter)))
        self._drop_dead_alarms()

    def hasten(self, key: K, now: float) -> None:
        """An entry's value is in doubt: its renewal is due now, or when the backend will have it asked for again, and
        its life ends ``max_stale`` from now, if not before.

        It must be scheduled or overdue.
        """
        overdue = self._overdue.get(key)
        if overdue is None:
            self._wheel.forget(key)
            overdue = self._overdue[key] = _Overdue(key, now + self._policy.max_stale)
            self._alarm(overdue.expires_at, overdue)
        self._retry(overdue, max(now, overdue.not_before))

    def again(self, now: float) -> None:
        """Whoever carried out the renewals under way is gone: they are due again."""
        for overdue in self._overdue.values():
            if overdue.retry_at == _NEVER:
                self._retry(overdue, now)

    def is_overdue(self, key: K) -> bool:
        """Whether ``key`` is an entry that still waits for its renewal."""
        return key in self._overdue

    def failures(self, key: K) -> int:
        """How many renewals of ``key`` have failed since its value was fetched."""
        overdue = self._overdue.get(key)
        return 0 if overdue is None else overdue.failures

    def ends_at(self, key: K) -> float:
        """When the life of ``key``'s value ends, if it is overdue; infinite where nobody has looked yet."""
        overdue = self._overdue.get(key)
        return _NEVER if overdue is None else overdue.expires_at

    def next_at(self) -> float:
        """When ``pop`` next may have something to say; infinite when there is nothing."""
        wheel = self._wheel.next_at()
        return min(_NEVER if wheel is None else wheel, self._alarms[0][0] if self._alarms else _NEVER)

    def safe_until(self) -> float:
        """A moment before which no entry's life ends. What is in the wheel may be stale when it comes out, not old."""
        wheel = self._wheel.next_at()
        return min(
            _NEVER if wheel is None else wheel + self._policy.max_stale, self._alarms[0][0] if self._alarms else _NEVER
        )

    def pop(self, now: float) -> tuple[Event, K] | None:
        """One thing that is due, or None. An entry that is to expire must be ended; the rest may be changed at will."""
        while self._alarms and self._alarms[0][0] <= now:
            overdue = heapq.heappop(self._alarms)[2]
            if self._overdue.get(overdue.key) is not overdue:
                continue
            if overdue.expires_at <= now:
                return Event.EXPIRE, overdue.key
            if overdue.retry_at <= now:
                overdue.retry_at = _NEVER
                return Event.RENEW, overdue.key
        return self._pop_scheduled(now)

    def pop_company(self, now: float, most: int) -> list[K]:
        """Up to ``most`` entries to be renewed along with one that is due: the next ones, within half an interval.

        They have the same interval from then on, so this makes their renewals earlier once, and fewer for good. After a
        failure it is those whose retries come next, which the failure of one call had put at moments of their own,
        except who was told to wait longer.
        """
        company = self._pop_retries(now + _COMPANY_WITHIN * self._policy.backoff[1], now, most)
        early = self._wheel.pop_early(now + _COMPANY_WITHIN * self._policy.refresh_interval, most - len(company))
        overdue = [self._begin_overdue(key, born) for key, born in early]
        return company + [entry.key for entry in overdue if entry.expires_at > now]

    def _pop_retries(self, until: float, now: float, most: int) -> list[K]:
        company: list[K] = []
        kept: list[tuple[float, int, _Overdue[K]]] = []
        for _ in range(min(_LOOK_THROUGH * most, len(self._alarms))):
            if self._alarms[0][0] > until or len(company) == most:
                break
            alarm = heapq.heappop(self._alarms)
            overdue = alarm[2]
            if self._overdue.get(overdue.key) is not overdue:
                continue
            if overdue.retry_at == alarm[0] and overdue.not_before <= now < overdue.expires_at:
                overdue.retry_at = _NEVER
                company.append(overdue.key)
            else:
                kept.append(alarm)
        for alarm in kept:
            heapq.heappush(self._alarms, alarm)
        return company

    def due_times(self) -> dict[K, float]:
        """When each entry will be renewed next, for status pages; infinite while a renewal is under way. O(n)."""
        times = self._wheel.due_times()
        times.update({key: overdue.retry_at for key, overdue in self._overdue.copy().items()})
        return times

    def states(self, now: float) -> dict[K, EntryState]:
        """Where each entry stands, for status pages. O(n), and safe from any thread."""
        life = self._policy.refresh_interval + self._policy.max_stale
        found = {
            key: EntryState(max(0.0, due - now), 0, max(0.0, born + life - now))
            for key, (due, born) in self._wheel.times().items()
        }
        for key, overdue in self._overdue.copy().items():
            retry = 0.0 if overdue.retry_at == _NEVER else max(0.0, overdue.retry_at - now)
            found[key] = EntryState(retry, overdue.failures, max(0.0, overdue.expires_at - now))
        return found

    def _pop_scheduled(self, now: float) -> tuple[Event, K] | None:
        due = self._wheel.pop(now)
        if due is None:
            return None
        overdue = self._begin_overdue(*due)
        return Event.EXPIRE if overdue.expires_at <= now else Event.RENEW, overdue.key

    def _begin_overdue(self, key: K, born: float) -> _Overdue[K]:
        overdue = self._overdue[key] = _Overdue(key, born + self._policy.refresh_interval + self._policy.max_stale)
        self._alarm(overdue.expires_at, overdue)  # ends its life, whatever becomes of the renewal
        return overdue

    def _retry(self, overdue: _Overdue[K], when: float) -> None:
        overdue.retry_at = when
        self._alarm(when, overdue)

    def _alarm(self, when: float, overdue: _Overdue[K]) -> None:
        self._sequence += 1
        heapq.heappush(self._alarms, (when, self._sequence, overdue))

    def _drop_dead_alarms(self) -> None:
        if len(self._alarms) <= _COMPACT_AT + 4 * len(self._overdue):  # a living entry has two at most
            return
        self._alarms = []
        for overdue in self._overdue.values():
            self._alarm(overdue.expires_at, overdue)
            if overdue.retry_at != _NEVER:
                self._alarm(overdue.retry_at, overdue)
