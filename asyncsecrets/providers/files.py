"""Files as a provider needs them: read again when they change, replaced in one step, changed by one process at a time.

Everything here blocks, so it is for a thread.
"""

from __future__ import annotations

import os
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Generic, TypeVar

from asyncsecrets.errors import ConfigError, UnsupportedOperationError

try:
    import fcntl
except ImportError:  # Windows, where everything else here works
    fcntl = None  # type: ignore[assignment]

__all__ = ["MAX_BYTES", "WatchedFile", "create_file", "locked", "read_regular", "replace_file"]

T = TypeVar("T")

MAX_BYTES: Final = 1024 * 1024
"""The largest file that is read, in bytes."""

_SETTLED: Final = 2_000_000_000  # ns; the coarsest file time still in use (FAT) counts in two seconds

_Signature = tuple[int, int, int, int]


class WatchedFile(Generic[T]):
    """The content of one file. ``read`` may be called from several threads at once.

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

        Raises ConfigError (from ``parse``, or for what is not a file of at most ``MAX_BYTES``) and OSError.
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


def read_regular(path: Path) -> bytes:
    """Return a file's bytes. Raises ConfigError for what is not a file of at most ``MAX_BYTES``, and OSError."""
    return _contents(path, path.stat())


def _contents(path: Path, found: os.stat_result) -> bytes:
    if not stat.S_ISREG(found.st_mode):  # reading a pipe would block for ever
        raise ConfigError(f"{path} is not a regular file")
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path} is larger than {MAX_BYTES} bytes")
    return data


def create_file(path: Path, data: bytes) -> None:
    """Write a new file that only its owner can read. Raises FileExistsError, and any other OSError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def replace_file(path: Path, data: bytes) -> None:
    """Replace the content of the file that is at ``path``, keeping its mode, so that readers see all of it or nothing.

    A symbolic link stays one: its target is replaced. Raises OSError; the old content is then still there.
    """
    path = path.resolve()
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600 from the start
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(stat.S_IMODE(path.stat().st_mode))
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    with suppress(OSError):  # the new content is in place; some file systems cannot sync a directory
        _sync(path.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(path: Path, timeout: float) -> Iterator[None]:
    """Hold the lock of the file at ``path`` against other threads and processes, through a lock file beside it.

    The lock file stays: removing it would let two processes hold two different ones. A process that dies lets go. Waits
    at most ``timeout`` seconds, then raises TimeoutError; also raises OSError.
    """
    path = path.resolve()
    descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        _lock(descriptor, time.monotonic() + timeout)
        yield
    finally:
        os.close(descriptor)


def _lock(descriptor: int, deadline: float) -> None:
    if fcntl is None:
        raise UnsupportedOperationError("this system has no file locks (flock), without which writes could be lost")
    # Trying again, for want of a lock call with a time limit; a thread that waits for ever cannot be ended.
    while True:
        try:
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                break
        time.sleep(0.005)
    raise TimeoutError
