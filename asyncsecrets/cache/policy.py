"""What a cache is told (CachePolicy), what it makes of failures (Verdict), and what it says of itself (CacheStats)."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from enum import Enum

__all__ = ["CachePolicy", "CacheStats", "EntryState", "Verdict", "classify"]


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """How fresh values are kept. All durations in seconds.

    ``refresh_interval``: the age from which a value is fetched anew; an entry's first renewal falls anywhere within
    it, so that a fleet spreads itself. ``max_stale``: how much longer an old value is served while fetching fails; 0
    fails closed. ``negative_ttl``: how long *absent* is believed; no other failure is ever remembered.
    ``max_entries``: the bound on entries, the oldest leaves first; 0 for none. ``max_negative``: the bound on absent
    keys. ``concurrency``: renewals at once. ``backoff``: first and longest wait between failed renewals.
    ``confirm_after``: how long after *absent* or *denied* a living entry's backend is asked again before it is
    believed. ``evict_denied``: drop a value that may no longer be read, instead of keeping it for ``max_stale``.
    ``longest_wait``: the most that a backend's own Retry-After is honoured.

    Raises ValueError for a duration that is negative, infinite or not a number, and for a bound that makes no sense.
    """

    refresh_interval: float = 86_400.0
    max_stale: float = 86_400.0
    negative_ttl: float = 5.0
    max_entries: int = 10_000
    max_negative: int = 1_024
    concurrency: int = 20
    backoff: tuple[float, float] = (1.0, 60.0)
    confirm_after: float = 1.0
    evict_denied: bool = False
    longest_wait: float = 300.0

    def __post_init__(self) -> None:
        for name in ("refresh_interval", "max_stale", "negative_ttl", "confirm_after", "longest_wait"):
            seconds = getattr(self, name)
            if not (math.isfinite(seconds) and seconds >= 0):
                raise ValueError(f"{name} must be a number of seconds, zero or more")
        if self.refresh_interval <= 0:
            raise ValueError("refresh_interval must be more than zero seconds")
        first, longest = self.backoff
        if not (0 < first <= longest and math.isfinite(longest)):
            raise ValueError("backoff must be two numbers of seconds above zero, the first wait and the longest")
        for name, least in (("concurrency", 1), ("max_entries", 0), ("max_negative", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}")


class Verdict(Enum):
    """What a failed fetch says about the key."""

    TRANSIENT = "transient"
    """Nothing: the same call may succeed later."""
    ABSENT = "absent"
    """The backend does not have it."""
    DENIED = "denied"
    """The backend will not give it to us."""
    POISONED = "poisoned"
    """What came makes no sense."""


def classify(error: BaseException) -> Verdict:
    """Tell failures apart by their builtin base: LookupError is absent, PermissionError denied, a ``transient`` error
    transient, and everything else poisoned."""
    if isinstance(error, LookupError):
        return Verdict.ABSENT
    if isinstance(error, PermissionError):
        return Verdict.DENIED
    if getattr(error, "transient", isinstance(error, OSError)):
        return Verdict.TRANSIENT
    return Verdict.POISONED


@dataclass(slots=True)
class CacheStats:
    """Counts since the cache was made. Hits are not among them: counting one would double its cost."""

    misses: int = 0
    joined: int = 0
    flights: int = 0
    renewals: int = 0
    negative: int = 0
    evicted: int = 0
    expired: int = 0
    failures: Counter[Verdict] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class EntryState:
    """Where one entry stands: seconds until its next renewal or retry (0 while one is due or under way), how many
    renewals have failed since its value was fetched, and seconds until the value's life ends."""

    next_renewal: float
    failures: int
    ends: float = field(default=math.inf, compare=False)
