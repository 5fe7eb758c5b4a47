"""What stands in for the managers, the environment and the time of every client of this process, in its tests.

Nothing does, unless the testing kit says so. A client that is made then has its own configuration, and what stands in
under it; one that is there already has its sources made anew, from that as well, and made anew once more when nothing
stands in any longer. So no value, floor, failure or outage goes over from what stood in before.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from asyncsecrets import default
from asyncsecrets.client.source import Source
from asyncsecrets.config import SourceConfig
from asyncsecrets.providers.base import Provider
from asyncsecrets.providers.environment import EnvironmentProvider
from asyncsecrets.retry import Retry

__all__ = [
    "Follower",
    "StandIn",
    "Time",
    "clock",
    "current",
    "follow",
    "put",
    "put_time",
    "settings",
    "sources",
    "timed",
    "wall",
]


class StandIn(Protocol):
    """What stands in for managers and the environment."""

    def provider(self, declared: SourceConfig, beside: EnvironmentProvider | None = None) -> Provider:
        """The provider of a source; of the environment itself, ``beside`` has what the configuration gives."""

    def variables(self, environ: Mapping[str, str] | None) -> Mapping[str, str]:
        """The environment; ``environ`` is the one that the client was given."""

    def settings(self, environ: Mapping[str, str]) -> Mapping[str, str]:
        """What the references in a configuration's own settings are looked up in."""

    def hurried(self, retry: Retry) -> Retry:
        """``retry``, with waits of its own."""


class Time(Protocol):
    """What stands in for the clocks."""

    def clock(self) -> float:
        """Seconds, never backwards."""

    def wall(self) -> float:
        """Unix time."""


class Follower(Protocol):
    """A client."""

    def _stand_anew(self) -> None:
        """Make the sources anew. Safe from any thread."""

    def _unique(self) -> list[Source]:
        """The sources, each once."""


_lock = threading.Lock()
_stand_in: StandIn | None = None
_time: Time | None = None
_followers: weakref.WeakSet[Follower] = weakref.WeakSet()


def current() -> StandIn | None:
    """What stands in now, if anything."""
    return _stand_in


def settings(environ: Mapping[str, str]) -> Mapping[str, str]:
    """What the settings of a configuration are looked up in: ``environ``, as a rule."""
    return environ if _stand_in is None else _stand_in.settings(environ)


def timed(cache_options: dict[str, Any], wall: Callable[[], float]) -> tuple[dict[str, Any], Callable[[], float]]:
    """``cache_options`` and ``wall`` of a client, with the clocks that stand in for those that it was not given."""
    hurry = {} if _stand_in is None and _time is None else {"confirm_after": 0.0}
    if _time is None:
        return {**hurry, **cache_options}, wall
    return {"clock": _time.clock, **hurry, **cache_options}, _time.wall if wall is time.time else wall


def clock() -> float:
    """Monotonic seconds, by the clock that stands in, if one does; then they may go back when it ends."""
    return time.monotonic() if _time is None else _time.clock()


def wall() -> float:
    """Unix time, by the clock that stands in, if one does."""
    return time.time() if _time is None else _time.wall()


def follow(client: Follower) -> None:
    """Have ``client`` stand on whatever is put in from now on, as long as it lives."""
    with _lock:  # who goes through them must not meet one that comes
        _followers.add(client)


def sources() -> list[Source]:
    """Every source of every client that lives."""
    return [source for client in _living() for source in client._unique()]  # noqa: SLF001  # the same package


def _living() -> list[Follower]:
    with _lock:
        return list(_followers)


def put(stand_in: StandIn | None) -> None:
    """Have ``stand_in`` stand in from now on, or (None) nothing."""
    global _stand_in  # noqa: PLW0603  # there is one process, and clients are made anywhere in it
    _stand_in = stand_in
    _anew()


def put_time(clocks: Time | None) -> None:
    """Have ``clocks`` stand in from now on, or (None) nothing."""
    global _time  # noqa: PLW0603  # as above
    _time = clocks
    _anew()


def _anew() -> None:
    opened_by_itself = default.forget()  # its configuration may be another one by now
    for client in _living():
        client._stand_anew()  # noqa: SLF001  # the same package
    del opened_by_itself  # not before: a client that is dropped with what it has open is told of
