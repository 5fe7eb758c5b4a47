"""When each entry is renewed, retried and expires: pure state, no clock, no event loop.

An entry is *scheduled* until its refresh interval ends, then *overdue* until a new value lands or its life ends. The
wheel has what is scheduled, in 16 bytes. What an overdue entry needs to know (its failures, the end of its life) is
kept for those only; in normal times there are hardly any. An entry whose value ends by itself, before the policy would
end its life, is one of those from the beginning: it is to be renewed ahead of its end, and taken out at it.
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
_AHEAD = 60.0  # seconds before the end of a value at which it is asked for again, with jitter; or half of what it has
_LAST = 10.0  # seconds: a value that has no more than this is not asked for again before its end
_ON_TOP = 0.5  # of the wait that a backend asked for
_LOOK_THROUGH = 4  # alarms looked at for each that is wanted; ends of life lie between the retries

_NEVER = float("inf")
_COMPACT_AT = 1024


class Event(Enum):
    """What is to be done about a key."""

    RENEW = "renew"
    EXPIRE = "expire"


class _Timed(Generic[K]):
    """An entry past its refresh interval (``overdue``), or one whose value ends by itself.

    ``retry_at`` is when it is renewed: never while a renewal is under way.

    ``not_before`` is what the backend told it to wait for, and ``held_until`` the same with its jitter: together with
    others it may come from the one on, and that the backend answers somebody else brings it no nearer than the other.
    """

    __slots__ = ("expires_at", "failures", "held_until", "key", "not_before", "overdue", "retry_at")

    def __init__(self, key: K, expires_at: float, *, overdue: bool = True) -> None:
        self.key = key
        self.overdue = overdue
        self.retry_at = _NEVER
        self.expires_at = expires_at
        self.failures = 0
        self.not_before = self.held_until = -_NEVER

    def come_due(self) -> K:
        """Its renewal is under way from now on."""
        self.overdue, self.retry_at = True, _NEVER
        return self.key


class Schedule(Generic[K]):
    """The renewals of one cache. All times are readings of the cache's clock, in seconds; it must not run backwards."""

    __slots__ = ("_alarms", "_failing", "_jitter", "_policy", "_sequence", "_timed", "_wheel")

    def __init__(self, policy: CachePolicy, jitter: Callable[[], float]) -> None:
        self._policy = policy
        self._jitter = jitter
        self._wheel: Wheel[K] = Wheel(policy.refresh_interval)
        self._timed: dict[K, _Timed[K]] = {}
        # A heap of retries and ends of life. One whose entry is not timed any more, or is retried at another time,
        # is dead: it does nothing when it comes up, and is dropped then, or when the dead outnumber the living.
        self._alarms: list[tuple[float, int, _Timed[K]]] = []
        self._sequence = 0
        self._failing = False  # whether anything failed since the last time that something recovered

    def __len__(self) -> int:
        return len(self._wheel) + len(self._timed)

    def begin(self, key: K, now: float, ends: float = _NEVER) -> None:
        """A new entry: its first renewal falls anywhere in the interval, so that a fleet spreads itself.

        Anywhere but at its very beginning: of a thousand values just fetched, one would be fetched again at once.
        ``ends`` is when its value ends by itself: it is renewed before that, and its life is over then.
        """
        self._add(key, now, _EARLIEST + (1.0 - _EARLIEST) * self._jitter(), ends)

    def renew(self, key: K, now: float, ends: float = _NEVER) -> None:
        """An entry has a new value: its next renewal is one interval from now, or before the value ``ends``.

        If renewing it had failed, the backend is back: what else failed is tried again soon, and not when its own
        backoff ends.
        """
        entry = self.end(key)
        if entry is not None and entry.failures and self._failing:
            self._failing = False
            self._cut_backoffs(now)
        self._add(key, now, 1.0, ends)

    def _add(self, key: K, now: float, phase: float, ends: float) -> None:
        if ends >= now + self._policy.refresh_interval + self._policy.max_stale:
            self._wheel.add(key, now, phase)
            return
        entry = self._timed[key] = _Timed(key, ends, overdue=False)
        self._alarm(ends, entry)
        self._retry(entry, min(now + self._policy.refresh_interval * phase, self._ahead_of(ends, now)))

    def _ahead_of(self, ends: float, now: float) -> float:
        """When to ask for what follows a value: at a moment of its own, for thousands may end at the same.

        If the answer is the same value, it is asked for again half-way to its end, and so on, a few times.
        """
        left = ends - now
        if left <= _LAST:
            return ends
        return ends - min(_AHEAD, left / 2) * (0.5 + 0.5 * self._jitter())

    def _cut_backoffs(self, now: float) -> None:
        """Retry what failed within the first backoff, each at a moment of its own; but what was told to wait, waits."""
        for entry in self._timed.values():
            if entry.failures and now < entry.retry_at < _NEVER:
                soon = max(entry.held_until, now + self._policy.backoff[0] * self._jitter())
                if soon < entry.retry_at:
                    self._retry(entry, soon)

    def end(self, key: K) -> _Timed[K] | None:
        """An entry is gone. It must be one of ours."""
        entry = self._timed.pop(key, None)
        if entry is None:
            self._wheel.forget(key)
        elif len(self._alarms) > _COMPACT_AT:
            self._drop_dead_alarms()
        return entry

    def failed(self, key: K, now: float, wait: float = 0.0) -> None:
        """A renewal failed: try again after the backoff with jitter, and not before ``wait`` seconds.

        There is jitter on top of ``wait``, too: a fleet that was told the same must not come back in one moment. Does
        nothing for an entry that is not overdue: it will have its turn.
        """
        entry = self._timed.get(key)
        if entry is None or not entry.overdue:
            return
        first, longest = self._policy.backoff
        ceiling = min(longest, first * 2.0 ** min(entry.failures, 32))
        entry.failures += 1
        self._failing = True
        jitter = self._jitter()
        entry.not_before, entry.held_until = now + wait, now + wait * (1.0 + _ON_TOP * jitter)
        self._retry(entry, max(entry.held_until, now + ceiling * (0.5 + 0.5 * jitter)))
        self._drop_dead_alarms()

    def hasten(self, key: K, now: float, ends: float = _NEVER) -> None:
        """An entry's value is in doubt: its renewal is due now, or when the backend will have it asked for again, and
        its life ends ``max_stale`` from now, or when its value ``ends``, if not before.

        It must be one of ours.
        """
        ends = min(ends, now + self._policy.max_stale)
        entry = self._timed.get(key)
        if entry is None:
            self._wheel.forget(key)
            entry = self._timed[key] = _Timed(key, _NEVER)
        if ends < entry.expires_at:
            entry.expires_at = ends
            self._alarm(ends, entry)
        entry.overdue = True
        self._retry(entry, max(now, entry.not_before))

    def again(self, now: float) -> None:
        """Whoever carried out the renewals under way is gone: they are due again."""
        for entry in self._timed.values():
            if entry.retry_at == _NEVER:
                self._retry(entry, now)

    def is_overdue(self, key: K) -> bool:
        """Whether ``key`` is an entry that still waits for its renewal."""
        entry = self._timed.get(key)
        return entry is not None and entry.overdue

    def failures(self, key: K) -> int:
        """How many renewals of ``key`` have failed since its value was fetched."""
        entry = self._timed.get(key)
        return 0 if entry is None else entry.failures

    def ends_at(self, key: K) -> float:
        """When the life of ``key``'s value ends, if it is overdue; infinite where nobody has looked yet."""
        entry = self._timed.get(key)
        return _NEVER if entry is None or not entry.overdue else entry.expires_at

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
            entry = heapq.heappop(self._alarms)[2]
            if self._timed.get(entry.key) is not entry:
                continue
            if entry.expires_at <= now:
                return Event.EXPIRE, entry.key
            if entry.retry_at <= now:
                return Event.RENEW, entry.come_due()
        return self._pop_scheduled(now)

    def pop_company(self, now: float, most: int) -> list[K]:
        """Up to ``most`` entries to be renewed along with one that is due: the next ones, within half an interval.

        They have the same interval from then on, so this makes their renewals earlier once, and fewer for good. After a
        failure it is those whose retries come next, which the failure of one call had put at moments of their own,
        except who was told to wait longer.
        """
        company = self._pop_retries(now + _COMPANY_WITHIN * self._policy.backoff[1], now, most)
        early = self._wheel.pop_early(now + _COMPANY_WITHIN * self._policy.refresh_interval, most - len(company))
        entries = [self._begin_overdue(key, born) for key, born in early]
        return company + [entry.key for entry in entries if entry.expires_at > now]

    def _pop_retries(self, until: float, now: float, most: int) -> list[K]:
        company: list[K] = []
        kept: list[tuple[float, int, _Timed[K]]] = []
        for _ in range(min(_LOOK_THROUGH * most, len(self._alarms))):
            if self._alarms[0][0] > until or len(company) == most:
                break
            alarm = heapq.heappop(self._alarms)
            entry = alarm[2]
            if self._timed.get(entry.key) is not entry:
                continue
            if entry.retry_at == alarm[0] and entry.not_before <= now < entry.expires_at:
                company.append(entry.come_due())
            else:
                kept.append(alarm)
        for alarm in kept:
            heapq.heappush(self._alarms, alarm)
        return company

    def due_times(self) -> dict[K, float]:
        """When each entry will be renewed next, for status pages; infinite while a renewal is under way. O(n)."""
        times = self._wheel.due_times()
        times.update({key: entry.retry_at for key, entry in self._timed.copy().items()})
        return times

    def states(self, now: float) -> dict[K, EntryState]:
        """Where each entry stands, for status pages. O(n), and safe from any thread."""
        life = self._policy.refresh_interval + self._policy.max_stale
        found = {
            key: EntryState(max(0.0, due - now), 0, max(0.0, born + life - now))
            for key, (due, born) in self._wheel.times().items()
        }
        for key, entry in self._timed.copy().items():
            retry = 0.0 if entry.retry_at == _NEVER else max(0.0, entry.retry_at - now)
            found[key] = EntryState(retry, entry.failures, max(0.0, entry.expires_at - now))
        return found

    def _pop_scheduled(self, now: float) -> tuple[Event, K] | None:
        due = self._wheel.pop(now)
        if due is None:
            return None
        entry = self._begin_overdue(*due)
        return Event.EXPIRE if entry.expires_at <= now else Event.RENEW, entry.key

    def _begin_overdue(self, key: K, born: float) -> _Timed[K]:
        entry = self._timed[key] = _Timed(key, born + self._policy.refresh_interval + self._policy.max_stale)
        self._alarm(entry.expires_at, entry)  # ends its life, whatever becomes of the renewal
        return entry

    def _retry(self, entry: _Timed[K], when: float) -> None:
        entry.retry_at = when
        self._alarm(when, entry)

    def _alarm(self, when: float, entry: _Timed[K]) -> None:
        self._sequence += 1
        heapq.heappush(self._alarms, (when, self._sequence, entry))

    def _drop_dead_alarms(self) -> None:
        if len(self._alarms) <= _COMPACT_AT + 4 * len(self._timed):  # a living entry has two at most
            return
        self._alarms = []
        for entry in self._timed.values():
            self._alarm(entry.expires_at, entry)
            if entry.retry_at != _NEVER:
                self._alarm(entry.retry_at, entry)
