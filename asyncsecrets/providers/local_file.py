"""The local store's file: read when it has changed, changed by one process at a time, in one step.

What the file system says against it becomes an error of ours: one that may pass is told from one that somebody has to
mend.
"""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from asyncsecrets.errors import (
    AccessDeniedError,
    AsyncSecretsError,
    ConfigError,
    MalformedResponseError,
    UnavailableError,
    UnsupportedOperationError,
)
from asyncsecrets.loops import in_thread, running_loop
from asyncsecrets.providers.files import MAX_BYTES, WatchedFile, read_regular, replace_file, try_locked
from asyncsecrets.providers.local_store import Store, parse_store, render_within
from asyncsecrets.sending import is_out

__all__ = ["StoreFile"]

R = TypeVar("R")

_SYSTEM: Final = "local"
_FIRST_WAIT: Final = 0.005
_LONGEST_WAIT: Final = 0.1  # seconds between two looks at a lock that somebody else holds

_MOUNT: Final = "cannot be replaced: it is mounted by itself (as docker -v FILE:FILE does); mount its folder instead"
_LASTING: Final = {
    errno.EBUSY: _MOUNT,  # what rename(2) says of a mount point
    errno.EXDEV: _MOUNT,
    errno.EROFS: "is on a read-only file system; mount it writable, or change the store where it is made",
}
"""What does not pass by itself, and what to do about it."""


class StoreFile:
    """The file of a store at ``path``.

    ``check`` is called before it is read or changed, and raises what is against that. ``lock_timeout`` is how long a
    change waits for another process, in seconds.
    """

    def __init__(self, path: Path, *, check: Callable[[], None] = lambda: None, lock_timeout: float) -> None:
        self.path = path
        self._check = check
        self._lock_timeout = lock_timeout
        self.abandon()

    def abandon(self) -> None:
        """Start with a new lock on the content: a thread of the parent process may have held the old one."""
        self._watched = WatchedFile(self.path, self._parse, check=self._check)

    def read(self) -> Store:
        """Return the store as it is now. Blocks. Raises ConfigError, OSError."""
        return self._watched.read()

    async def do(self, name: str | None, work: Callable[[], R]) -> R:
        """Run ``work`` in a thread, and make what the file system and the file say an error of ours, about ``name``."""
        try:
            return await in_thread(work)
        except ConfigError as error:
            problem: AsyncSecretsError = MalformedResponseError(f"local: {error}", provider=_SYSTEM, name=name)
        except OSError as error:
            problem = self._told(error, name)
        raise problem  # out here, so that the file system's error is not carried along

    async def change(self, name: str | None, change: Callable[[Store], Store]) -> Store:
        """Change the file when it is our turn. Raises UnavailableError if that is not within the lock's timeout.

        A cancellation ends no thread. So the thread makes sure of the change right before it is to be seen, and a
        cancellation gives it up: whichever is first.
        """
        decided = threading.Lock()
        try:
            return await self._change_in_turn(name, change, lambda: decided.acquire(blocking=False))
        except asyncio.CancelledError:
            if not decided.acquire(blocking=False):
                is_out()
            raise

    async def _change_in_turn(
        self, name: str | None, change: Callable[[Store], Store], is_wanted: Callable[[], bool]
    ) -> Store:
        """Each look at the lock is a short errand of a thread: those of the program are not ours to wait in."""
        clock, wait = running_loop().time, _FIRST_WAIT
        deadline = clock() + self._lock_timeout
        while (store := await self.do(name, lambda: self._try_change(change, is_wanted))) is None:
            if clock() >= deadline:
                message = f"local: another process has held the lock of {self.path} for {self._lock_timeout:g} s"
                raise UnavailableError(message, provider=_SYSTEM, name=name)
            await asyncio.sleep(wait)
            wait = min(2 * wait, _LONGEST_WAIT)
        return store

    # From here on in a thread

    def _parse(self, data: bytes) -> Store:
        return parse_store(data, origin=str(self.path))

    def _try_change(self, change: Callable[[Store], Store], is_wanted: Callable[[], bool]) -> Store | None:
        """Read, change and write the file, or return None: somebody else is about it."""
        self._check()
        with try_locked(self.path) as is_ours:
            return self._changed(change, is_wanted) if is_ours else None

    def _changed(self, change: Callable[[Store], Store], is_wanted: Callable[[], bool]) -> Store:
        old = self._parse(read_regular(self.path))
        new = change(old)
        if new is not old:
            replace_file(self.path, render_within(new, MAX_BYTES, origin=str(self.path)), is_wanted)
        return new

    def _told(self, error: OSError, name: str | None) -> AsyncSecretsError:
        if isinstance(error, PermissionError):
            place = error.filename or self.path
            problem = f"local: no permission to use {place}; check the owner and mode of it and of its folder"
            return AccessDeniedError(problem, provider=_SYSTEM, name=name)
        if lasting := _LASTING.get(error.errno or 0):
            return UnsupportedOperationError(f"local: {self.path} {lasting}")
        message = f"local: {self.path} cannot be used: {os.strerror(error.errno or 0)}"
        return UnavailableError(message, provider=_SYSTEM, name=name)
