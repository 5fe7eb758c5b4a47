"""A command that runs beside us, and ends when it likes: it gets the signals that we get, and we end as it does."""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import Process
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["run_beside"]

_HANDED_ON: Final = ("SIGINT", "SIGQUIT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")
_TYPED: Final = frozenset({signal.SIGINT, signal.SIGQUIT})
"""What a terminal sends to all that runs in it: by Ctrl-C and Ctrl-backslash."""

_BY_SIGNAL: Final = 128
"""What shells add to the number of the signal by which a command ended."""


async def run_beside(command_line: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run a command to its end and return its exit code, as a shell says it. A system with signals of Unix only.

    Raises OSError, and ValueError for a NUL in an argument, where it cannot be started.
    """
    hands = _Hands()
    loop = asyncio.get_running_loop()
    numbers = [signal.Signals[name] for name in _HANDED_ON]
    for number in numbers:
        loop.add_signal_handler(number, hands.give, number)
    try:
        process = await asyncio.create_subprocess_exec(*command_line, env=environment)
        hands.take(process)
        code = await process.wait()
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
    return code if code >= 0 else _BY_SIGNAL - code


class _Hands:
    """Hands signals on to a process, those that come before it has started when it has."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._early: list[signal.Signals] = []

    def take(self, process: Process) -> None:
        self._process = process
        for number in self._early:
            self.give(number)

    def give(self, number: signal.Signals) -> None:
        if self._process is None:
            self._early.append(number)
        elif not (number in _TYPED and _shares_terminal()):
            with suppress(ProcessLookupError):  # it has ended, and we are about to hear of it
                self._process.send_signal(number)


def _shares_terminal() -> bool:
    """Whether what is typed goes to us and the command alike: we are in the terminal's foreground."""
    try:
        with Path("/dev/tty").open("rb", buffering=0) as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except OSError:  # there is no terminal
        return False
