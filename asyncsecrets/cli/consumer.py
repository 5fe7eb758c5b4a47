"""The command that sets a new value at its consumer: it gets the value by its stdin, and in no other way."""

from __future__ import annotations

import asyncio
import shlex
import shutil
from collections.abc import Awaitable, Callable
from contextlib import suppress

from asyncsecrets.errors import ConfigError
from asyncsecrets.secret import Secret

__all__ = ["ConsumerError", "hook"]

_STDERR = 2


class ConsumerError(Exception):
    """The command failed."""


def hook(text: str) -> Callable[[Secret, Secret], Awaitable[None]]:
    """What runs the command in ``text``, which is split as a shell would and run without one. Raises ConfigError."""
    words = _words(text)

    async def set_at_consumer(_: Secret, new: Secret) -> None:
        # What it prints goes to stderr: stdout is for our result.
        process = await asyncio.create_subprocess_exec(*words, stdin=asyncio.subprocess.PIPE, stdout=_STDERR)
        try:
            await process.communicate(new.reveal_bytes())
        except asyncio.CancelledError:
            with suppress(ProcessLookupError):
                process.terminate()
            await process.wait()
            raise
        if process.returncode:
            raise ConsumerError

    return set_at_consumer


def _words(text: str) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError:
        words = []
    if not words:
        raise ConfigError("--exec takes a command, quoted as for a shell")
    if shutil.which(words[0]) is None:
        raise ConfigError(f"--exec: there is no command {words[0][:80]!a} that can be run")
    return words
