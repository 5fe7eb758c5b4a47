"""What is read beside the process environment: what a configuration gives variables, and a ``.env`` file.

The file is read when it is first asked for a name, and again when it has changed. Of one that is named, every line must
be right. The ``.env`` of the working directory may be anybody's, for Docker Compose or another language: whatever of it
cannot be used is told once, with its line, and the rest is used. It may also be a pipe, which is read once.
"""

from __future__ import annotations

import logging
import os
import stat
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from asyncsecrets.credential import Credential
from asyncsecrets.errors import ConfigError
from asyncsecrets.journal import CONFIG, one_line, say
from asyncsecrets.providers.dotenv import Fault, read_dotenv
from asyncsecrets.providers.files import WatchedFile
from asyncsecrets.providers.pipes import read_pipe
from asyncsecrets.trust import FoundFile, UsualFile

__all__ = ["Additions"]

_TOLD: Final = 3
_ASK_AGAIN_AFTER: Final = 30.0  # seconds after which a pipe that nobody wrote to is opened again

Found = tuple[dict[str, str], list[Fault]]


class Additions:
    """The file at ``path``, and ``given``: what wins over the environment.

    A ``FoundFile`` is judged before it is read, and a ``UsualFile`` that has mistakes is used as far as it can be.
    ``environ`` has the variables that values of the file may refer to (default: the process's). It may be shared by
    providers, and read from several threads at once. ``pour`` reads a pipe; ``clock`` is monotonic seconds.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        given: Mapping[str, str] = MappingProxyType({}),
        environ: Mapping[str, str] | None = None,
        pour: Callable[[Path], bytes] = read_pipe,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = Path(path or "")
        self.has_file = path is not None
        self.is_usual = isinstance(path, UsualFile)
        self._given = Credential(dict(given))
        self._environ = None if environ is None else Credential(environ)
        self._check = path.check if isinstance(path, FoundFile) else lambda: None
        self._pour = pour
        self._clock = clock
        self._told = ""
        self._entries: Credential[dict[str, str]] = Credential({})
        self.abandon()
        self.forget()

    def __fspath__(self) -> str:
        return str(self.path)

    def abandon(self) -> None:
        """Start with a new lock: a thread of the parent process may have held the old one."""
        self._lock = threading.Lock()
        self._file = WatchedFile(self.path, self._parse)

    def forget(self) -> None:
        """Read a pipe anew when it is asked next."""
        self._piped: Found | None = None
        self._dry: tuple[float, str] | None = None

    def get(self, name: str, environ: Mapping[str, str]) -> str | None:
        """The value of ``name``, with ``environ`` in its place; of the file as ``read`` last saw it. No I/O."""
        given = self._given.reveal()
        return given[name] if name in given else environ.get(name, self._entries.reveal().get(name))

    @property
    def entries(self) -> dict[str, str]:
        """What can be used of the file, as ``read`` last saw it."""
        return dict(self._entries.reveal())

    def is_above(self, name: str, environ: Mapping[str, str]) -> bool:
        """Whether the file is not asked for ``name``."""
        return name in self._given.reveal() or name in environ

    @property
    def remark(self) -> str:
        """``; …``: what of the file is not used, for whoever misses a name; nothing where all of it is."""
        return f"; {self._told}" if self._told else ""

    def read(self) -> None:
        """Read the file if it changed. Blocks.

        Raises ConfigError for a file that others could have written; of one that is named, also for what is wrong in
        it, and OSError for what cannot be read.
        """
        if not self.has_file:
            return
        entries: dict[str, str] = {}
        told = ""
        with self._lock:
            try:
                os.lstat(self.path)  # where there is no file, as in most folders, nothing is to be judged
                self._check()
                entries, told = self._content()
            except FileNotFoundError:
                told = "" if self.is_usual else f"{self.path} is not there"
            except ConfigError as error:
                self._told = error.message
                raise
            finally:
                self._entries = Credential(entries)  # in one step: whoever looks meanwhile sees the file as it was
            if told not in {"", self._told}:
                say(CONFIG, logging.WARNING, "%s", one_line(told))
            self._told = told

    def _content(self) -> tuple[dict[str, str], str]:
        """What can be used, and what cannot."""
        try:
            entries, faults = self._poured() if stat.S_ISFIFO(self.path.stat().st_mode) else self._file.read()
        except FileNotFoundError:
            raise
        except ConfigError as error:
            problem = error.message
        except OSError as error:
            if not self.is_usual:
                raise
            problem = f"{self.path} cannot be read: {os.strerror(error.errno or 0)}"
        else:
            if not faults:
                return entries, ""
            problem = f"{self.path}, {_listed(faults)}"
            if self.is_usual:
                return entries, f"{problem}; {'the rest is used' if entries else 'nothing of it is used'}"
        if self.is_usual:
            return {}, f"{problem}; it is not used"
        raise ConfigError(problem)

    def _poured(self) -> Found:
        """What a pipe gave when it was first read; whoever asks again while nobody writes to it does not wait again."""
        if self._piped is None:
            if self._dry is not None and self._clock() < self._dry[0]:
                raise ConfigError(self._dry[1])
            try:
                self._piped = self._parse(self._pour(self.path))
            except ConfigError as error:
                self._dry = self._clock() + _ASK_AGAIN_AFTER, error.message
                raise
        return self._piped

    def _parse(self, data: bytes) -> Found:
        return read_dotenv(data, os.environ if self._environ is None else self._environ.reveal())


def _listed(faults: Sequence[Fault]) -> str:
    """``line 2: …; line 7: … and 3 more lines``."""
    told = "; ".join(f"line {fault.line}: {fault.problem}" for fault in faults[:_TOLD])
    return told + (f"; and {len(faults) - _TOLD} more" if len(faults) > _TOLD else "")
