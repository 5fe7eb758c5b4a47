"""What operators hear: the loggers, by what they tell, and how a line is put.

``asyncsecrets.source``: a source has become stale, cannot serve, or is well again. ``asyncsecrets.rotation``: a secret
has another version, or is gone. ``asyncsecrets.auth``: logins, and credentials that were renewed.
``asyncsecrets.node``: another node of a cluster is asked from now on. ``asyncsecrets.config``: which configuration is
obeyed, and what of it or of a ``.env`` file is not used. ``asyncsecrets.app``: what an app was started without.

There is no handler and no level of ours: whoever runs the program decides what becomes of a line. A line says what
happened, since when and until when, and last of all what to do about it. It never holds a value, and is one line
whatever stands in a name or a message.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable, Iterable
from contextvars import Context
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Final
from weakref import WeakMethod

__all__ = [
    "APP",
    "AUTH",
    "CONFIG",
    "NODE",
    "ROTATION",
    "SOURCE",
    "Seldom",
    "Soon",
    "duration",
    "few",
    "moment",
    "one_line",
    "say",
    "utc",
]

SOURCE: Final = logging.getLogger("asyncsecrets.source")
CONFIG: Final = logging.getLogger("asyncsecrets.config")
ROTATION: Final = logging.getLogger("asyncsecrets.rotation")
AUTH: Final = logging.getLogger("asyncsecrets.auth")
APP: Final = logging.getLogger("asyncsecrets.app")
NODE: Final = logging.getLogger("asyncsecrets.node")

_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def say(logger: logging.Logger, level: int, message: str, *arguments: object) -> None:
    """Log one line. A filter or handler that raises harms nobody: what is told of has happened already."""
    with contextlib.suppress(Exception):
        logger.log(level, message, *arguments)


def duration(seconds: float) -> str:
    """``seconds`` for people, in its two largest units: ``0.4 s``, ``2 min 5 s``, ``23 h 59 min``."""
    if seconds < 9.95:  # or it would round to ten
        return f"{max(0.0, seconds):.1f} s"
    left, parts = round(seconds), list[str]()
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count} {unit}" if count else "")
    return " ".join(part for part in parts[:2] if part)


def utc(wall: float) -> datetime:
    """``wall``, in seconds of Unix time, as a moment; the last there is for one that no calendar has."""
    try:
        return _EPOCH + timedelta(seconds=wall)
    except (OverflowError, ValueError):
        return datetime.max.replace(tzinfo=UTC)


def moment(wall: float) -> str:
    """``wall``, in seconds of Unix time, for people: ``2026-11-29 02:31:04Z``."""
    return f"{utc(wall):%Y-%m-%d %H:%M:%S}Z"


def few(names: Iterable[str], total: int, most: int = 3) -> str:
    """The first ``most`` of ``total`` names: ``A, B, C and 17 more``."""
    shown = [one_line(name) for name in islice(names, most)]
    rest = total - len(shown)
    return ", ".join(shown) + (f" and {rest} more" if rest > 0 else "")


def one_line(text: str) -> str:
    """``text`` with everything escaped that would begin a line, or move a terminal's cursor."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class Seldom:
    """``most`` lines in ``every`` seconds at most. ``clock`` is monotonic seconds."""

    def __init__(self, every: float, clock: Callable[[], float], most: int = 1) -> None:
        self._every = every
        self._clock = clock
        self._most = most
        self._said = 0
        self._since = -math.inf

    def passes(self) -> bool:
        """Whether a line may be said now, which then counts as said."""
        now = self._clock()
        if now >= self._since + self._every:
            self._since, self._said = now, 0
        self._said += 1
        return self._said <= self._most


class Soon:
    """Has ``tell``, a method, called once at the end of this turn of the loop, however often it is asked for.

    And not sooner than ``apart`` seconds after the last time. It is called in no request's context, and keeps nothing
    alive; without a running loop it is called at once.
    """

    def __init__(self, tell: Callable[[], None], apart: float = 0.0) -> None:
        self._tell = WeakMethod(tell)
        self._apart = apart
        self._not_before = -math.inf
        self._on: asyncio.AbstractEventLoop | None = None  # where it will be called

    def __call__(self) -> None:
        """Ask for it."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._call()
            return
        if self._on is loop:
            return
        now = loop.time()
        wait = min(self._apart, self._not_before - now)  # of another loop's clock nothing is known
        self._on = loop
        if wait > 0:
            loop.call_later(wait, self._call, context=Context())
        else:
            loop.call_soon(self._call, context=Context())
        self._not_before = max(now, now + wait) + self._apart

    def _call(self) -> None:
        self._on = None
        tell = self._tell()
        if tell is not None:
            tell()
