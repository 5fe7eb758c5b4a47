"""The three standard streams, as they may be met: closed, full, or with nobody at the other end.

Python has None for a stream that was closed when it started.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TextIO

from asyncsecrets.cli.exits import OutputError
from asyncsecrets.errors import ConfigError

__all__ = ["fill_closed", "open_output", "read_input", "written"]

_STANDARD: Final = 3
"""Standard input, output and error are the first this many descriptors."""


def fill_closed() -> None:
    """Open those of the three that are closed on nothing, so that no file or socket of ours becomes one of them.

    A command that this process becomes finds them closed all the same: they are not handed on.
    """
    for number in range(_STANDARD):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free, which is this one


def open_output(stream: TextIO | None) -> TextIO:
    """``stream``. Raises OSError, as writing to it would, if it is closed."""
    if stream is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return stream


def read_input(stream: TextIO | None, limit: int) -> bytes:
    """The bytes of standard input, at most ``limit`` of them. Raises ConfigError if there is none to be read."""
    problem = "it is closed"
    if stream is not None:
        try:
            return stream.buffer.read(limit)
        except OSError as error:  # a folder, or open for writing only
            problem = os.strerror(error.errno or 0)
    raise ConfigError(f"standard input cannot be read: {problem}; pipe something in, or name a file")


@contextmanager
def written() -> Iterator[None]:
    """Raise OutputError for what keeps output from being written, unless it is that its reader went away."""
    problem = None
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        problem = "standard output is closed" if error.errno == errno.EBADF else os.strerror(error.errno or 0)
    if problem is not None:
        raise OutputError(f"the output could not be written: {problem}")
