"""What the cache tests stand on: a backend whose every answer can be set, virtual time, and what must always hold."""

from __future__ import annotations

import asyncio
import functools
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from asyncsecrets.cache import CachePolicy, SingleFlightCache
from asyncsecrets.cache.flight import Flight
from asyncsecrets.cache.guard import GRACE
from asyncsecrets.errors import (
    AccessDeniedError,
    MalformedResponseError,
    RateLimitedError,
    SecretNotFoundError,
    UnavailableError,
)
from asyncsecrets.testing.virtual_time import VirtualClock

INTERVAL, MAX_STALE, DELAY = 100.0, 50.0, 1.0


def absent(key: str = "k") -> SecretNotFoundError:
    return SecretNotFoundError(f"{key} is absent", provider="test", name=key)


def denied(key: str = "k") -> AccessDeniedError:
    return AccessDeniedError(f"{key} is denied", provider="test", name=key)


def down(key: str = "k") -> UnavailableError:
    return UnavailableError("down", provider="test", name=key)


def limited(retry_after: float | None) -> RateLimitedError:
    return RateLimitedError("slow down", provider="test", retry_after=retry_after)


def nonsense(key: str = "k") -> MalformedResponseError:
    return MalformedResponseError("nonsense", provider="test", name=key)


class Backend:
    """Answers ``delay`` seconds after it is asked, with what it held when it was asked; or raises ``fault``."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.values: dict[str, str] = {}
        self.delay = DELAY
        self.fault: Exception | None = None
        self.calls: list[tuple[str, float]] = []
        self.in_flight: Counter[str] = Counter()

    async def fetch(self, key: str) -> str:
        self.calls.append((key, self.clock.boot_time()))
        self.in_flight[key] += 1
        answer = self.fault or (self.values[key] if key in self.values else absent(key))
        try:
            if self.delay:
                await asyncio.sleep(self.delay)
        finally:
            self.in_flight[key] -= 1
        if isinstance(answer, Exception):
            raise answer
        return answer

    def calls_of(self, key: str) -> int:
        return sum(1 for called, _ in self.calls if called == key)


class WatchedClock(VirtualClock):
    """Tells whoever wants to know that time has passed, on whatever loop or on none."""

    def __init__(self) -> None:
        super().__init__()
        self.passed: Callable[[], None] = lambda: None

    def advance(self, seconds: float) -> None:
        super().advance(seconds)
        self.passed()


class VirtualGuard:
    """The guard in virtual time: it needs no thread, for the clock tells it when time has passed."""

    def __init__(self, clock: WatchedClock) -> None:
        self.clock = clock
        self.clock.passed = self.hold_to_promises
        self.promises: dict[object, tuple[float, Callable[[], None]]] = {}

    def promise(self, owner: object, seconds: float, withdraw: Callable[[], None]) -> None:
        self.promises[owner] = (self.clock.monotonic() + seconds + GRACE, withdraw)

    def release(self, owner: object) -> None:
        self.promises.pop(owner, None)

    def hold_to_promises(self) -> None:
        for owner, (until, withdraw) in list(self.promises.items()):
            if until <= self.clock.monotonic():
                del self.promises[owner]
                withdraw()


class Recorder:
    """A listener that keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    def stored(self, key: str, value: str, previous: str | None) -> None:
        self.heard.append(("stored", key, value, previous))

    def dropped(self, key: str, previous: str, why: BaseException | None) -> None:
        self.heard.append(("dropped", key, previous))

    def withdrawn(self) -> None:
        self.heard.append(("withdrawn",))


class World:
    """A clock, a backend, and the caches made in a test."""

    def __init__(self) -> None:
        self.clock = WatchedClock()
        self.backend = Backend(self.clock)
        self.caches: list[SingleFlightCache[str, str]] = []

    def cache(self, *, phase: float = 1.0, **settings: Any) -> SingleFlightCache[str, str]:
        """A cache in front of the backend; ``phase`` is what its jitter says. Policy settings or cache arguments."""
        fields = set(CachePolicy.__dataclass_fields__)
        policy = {"refresh_interval": INTERVAL, "max_stale": MAX_STALE}
        policy |= {name: value for name, value in settings.items() if name in fields}
        options = {name: value for name, value in settings.items() if name not in fields}
        options = {"guarded": False, "clock": self.clock.boot_time, "jitter": lambda: phase, **options}
        made = SingleFlightCache(self.backend.fetch, CachePolicy(**policy), **options)
        self.caches.append(made)
        return made

    async def warm(self, **settings: Any) -> SingleFlightCache[str, str]:
        """A cache that has ``k`` warm, with the value ``old``."""
        self.backend.values["k"] = "old"
        cache = self.cache(**settings)
        assert await cache.get("k") == "old"
        return cache

    def run(self, main: Callable[[], Awaitable[Any]], *, debug: bool = True) -> Any:
        """``asyncio.run`` in virtual time."""
        with asyncio.Runner(loop_factory=self.clock.new_loop, debug=debug) as runner:
            return runner.run(main())  # type: ignore[arg-type]


class Record:
    """Who fetches what: at most one fetch of a key that nobody has disowned since its flight was launched."""

    def __init__(self, cache: SingleFlightCache[Any, Any]) -> None:
        self.cache = cache
        self.running: list[Flight[Any, Any]] = []
        self.disowned: list[Flight[Any, Any]] = []

    @contextmanager
    def fetching(self, key: str) -> Iterator[None]:
        """Around a fetch."""
        mine = [flight for flight in self.cache._running if flight.task is asyncio.current_task()]
        self.running += mine  # none, if the cache has left the loop on which this runs
        assert sum(flight.key == key and flight not in self.disowned for flight in self.running) <= 1
        try:
            yield
        finally:
            self.running = [flight for flight in self.running if flight not in mine]

    def disown(self, key: str) -> None:
        """Just before an invalidation, just after a put."""
        self.disowned += [flight for flight in self.cache._running if flight.key == key]


def check(cache: SingleFlightCache[str, str]) -> None:
    """What must hold of every cache between any two steps."""
    assert set(cache._entries) == set(cache._schedule.due_times())
    assert len(cache._entries) == len(cache._schedule)
    assert cache.hot is cache._entries or not cache.hot
    assert all(flight.key == key for key, flight in cache._flights.items())
    assert {id(flight) for flight in cache._flights.values()} <= {id(flight) for flight in cache._running}


def virtual(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run an async test on the virtual clock of its ``world``."""

    @functools.wraps(test)
    def run(*args: Any, world: World, **others: Any) -> None:
        world.run(lambda: test(*args, world=world, **others))

    return run


async def settle(turns: int = 20) -> None:
    """Let everything run that is ready; no time passes."""
    for _ in range(turns):
        await asyncio.sleep(0)
