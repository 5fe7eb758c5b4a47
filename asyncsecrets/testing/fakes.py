"""What every fake of a manager is: in memory, with a folder, a clock that is moved, and a log of what came."""

from __future__ import annotations

import abc
import shutil
import tempfile
import weakref
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Self

from asyncsecrets.testing.calls import Log
from asyncsecrets.testing.sites import HOST
from asyncsecrets.testing.threads import served_in_thread


class Fake(abc.ABC):
    """``name`` is that of its folder; ``clock`` gives seconds since the epoch."""

    def __init__(self, name: str, clock: Callable[[], float]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=f"asyncsecrets-{name}-"))
        weakref.finalize(self, shutil.rmtree, self.folder, ignore_errors=True)
        self.requests = Log()
        self._clock, self._moved = clock, 0.0

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {HOST}:{self.port}>"

    @property
    @abc.abstractmethod
    def port(self) -> int:
        """Where it listens; 0 until it is started."""

    @abc.abstractmethod
    async def start(self) -> Self:
        """Listen, on the ports of before, with what was stored before. Raises OSError for a port that is taken."""

    @abc.abstractmethod
    async def stop(self) -> None:
        """Die: the ports close and every connection ends. The data stay for another `start`."""

    async def aclose(self) -> None:
        """`stop`."""
        await self.stop()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @classmethod
    def in_thread(cls, **settings: Any) -> AbstractContextManager[Self]:
        """A server on an event loop in a thread of its own, for clients that block."""
        server = cls(**settings)
        return served_in_thread(server, f"{HOST}:{server.port}")

    def now(self) -> float:
        """The server's time, in seconds since the epoch."""
        return self._clock() + self._moved

    def advance(self, seconds: float) -> None:
        """Let time pass: what has an end comes to it."""
        self._moved += seconds

    def count(self, method: str, name: str = "") -> int:
        """How many calls of that method there were, about what holds ``name``."""
        return self.requests.of(method, name)


def write_private(path: Path, content: str | bytes) -> Path:
    """Write a file that its owner alone reads; its path."""
    path.touch(mode=0o600)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
