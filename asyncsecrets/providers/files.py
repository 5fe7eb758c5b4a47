"""A file that is parsed once and read again when it changes."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, TypeVar

from asyncsecrets.errors import ConfigError

__all__ = ["MAX_BYTES", "WatchedFile"]

T = TypeVar("T")

MAX_BYTES: Final = 1024 * 1024
"""The largest file that is read, in bytes."""

_SETTLED: Final = 2_000_000_000  # ns; the coarsest file time still in use (FAT) counts in two seconds

_Signature = tuple[int, int, int, int]


class WatchedFile(Generic[T]):
    """The content of one file. :meth:`read` blocks, so it is for a thread, and may be called from several at once.

    ``parse`` makes the content of its bytes, and raises ConfigError for bytes that make no sense. ``now`` is the wall
    clock in nanoseconds, to compare with the file's own time.
    """

    def __init__(self, path: Path, parse: Callable[[bytes], T], *, now: Callable[[], int] = time.time_ns) -> None:
        self.path = path
        self._parse = parse
        self._now = now
        self._lock = threading.Lock()
        self._known: tuple[_Signature, T] | None = None

    def read(self) -> T:
        """Return the file's content as it is now; an unchanged file costs one ``stat``.

        Raises ConfigError (from ``parse``, or for what is not a file of at most :data:`MAX_BYTES`) and OSError.
        """
        with self._lock:
            found = self.path.stat()
            if self._known is not None and self._known[0] == _signature(found):
                return self._known[1]
            self._known = None
            content = self._parse(_contents(self.path, found))
            # Two writes within one tick of the file's clock look alike: what is so fresh is read again next time.
            if self._now() - found.st_mtime_ns > _SETTLED:
                self._known = _signature(found), content
            return content


def _signature(found: os.stat_result) -> _Signature:
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _contents(path: Path, found: os.stat_result) -> bytes:
    if not stat.S_ISREG(found.st_mode):  # reading a pipe would block for ever
        raise ConfigError(f"{path} is not a regular file")
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path} is larger than {MAX_BYTES} bytes")
    return data
