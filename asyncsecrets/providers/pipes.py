"""A named pipe in the place of a file: some password managers put one there, and answer whoever opens it to read.

Everything here blocks, but never for longer than was said: a pipe to which nobody writes would keep a reader for ever.
"""

from __future__ import annotations

import os
import select
import time
from pathlib import Path
from typing import Final

from asyncsecrets.errors import ConfigError
from asyncsecrets.providers.files import MAX_BYTES

__all__ = ["WITHIN", "read_pipe"]

WITHIN: Final = 5.0
"""How long somebody who is asked by his password manager may take to say yes, in seconds."""

_LOOK_AFTER: Final = 0.01  # seconds; how often a pipe is looked at that was opened and closed with nothing written


def read_pipe(path: Path, *, within: float = WITHIN) -> bytes:
    """Return what is written to the pipe until every writer has closed it.

    Raises ConfigError where that has no end ``within`` seconds, or is more than ``MAX_BYTES``, and OSError.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # returns without a writer, too
    try:
        return _drained(descriptor, path, within)
    finally:
        os.close(descriptor)


def _drained(descriptor: int, path: Path, within: float) -> bytes:
    data, until, poll = bytearray(), time.monotonic() + within, select.poll()
    poll.register(descriptor, select.POLLIN)
    while (left := until - time.monotonic()) > 0:
        chunk = _chunk(descriptor) if poll.poll(left * 1000) else None
        if chunk:
            data += chunk
            if len(data) > MAX_BYTES:
                raise ConfigError(f"{path} is larger than {MAX_BYTES} bytes")
        elif chunk is not None and data:
            return bytes(data)
        else:
            time.sleep(min(_LOOK_AFTER, left))
    problem = "what is written to this pipe did not end" if data else "nobody wrote to this pipe"
    raise ConfigError(f"{path}: {problem} within {within:g} s; see to the program that writes to it, and allow it to")


def _chunk(descriptor: int) -> bytes | None:
    try:
        return os.read(descriptor, 65_536)
    except BlockingIOError:  # another reader took it
        return None
