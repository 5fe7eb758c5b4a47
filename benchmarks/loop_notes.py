"""How long a piece of our work kept somebody's event loop, noted in a file that another process reads.

Each stretch of it is four durations in seconds, from what a clock on the wall says down to what is ours alone:

========  ==========================================================================================================
wall      by the clock, with whatever else the machine did in the meantime
kept      that, less the time for which the thread could have run while the kernel had given the processor to others:
          what the thread did, and what it waited for
ours      that, less what other threads of the process than ours used of the processor meanwhile: they had Python's
          lock, which is taken from whoever has had it for 5 ms, and that happens to be us. What is left is what we
          did, what our own threads did, and any wait in which nobody did anything, as for an answer
busy      the thread's own time on the processor
========  ==========================================================================================================
"""

from __future__ import annotations

import json
import os
import threading
import time
from pathlib import Path
from typing import NamedTuple

__all__ = ["NOTES", "Stretch", "Timing", "stretches"]

NOTES = "BENCH_NOTES"
"""The variable with the path of the file in which stretches are noted, one a line."""


class Stretch(NamedTuple):
    """One time that ``part`` of ours kept the loop. ``when`` it ended: seconds since the epoch."""

    part: str
    process: int
    when: float
    wall: float
    kept: float
    ours: float
    busy: float


def stretches(notes: Path) -> list[Stretch]:
    """All that were noted so far."""
    return [Stretch(*json.loads(line)) for line in notes.read_text().splitlines()] if notes.exists() else []


class _Here(threading.local):
    """Files of one thread of one process: the child of a fork has its parent's, which tell of its parent."""

    process = -1
    kernel = -1
    notes = -1

    def opened(self) -> _Here:
        if self.process != os.getpid():
            self.process = os.getpid()
            self.notes = os.open(os.environ[NOTES], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            self.kernel = _open_schedstat()
        return self

    def queued(self) -> float:
        """Seconds for which this thread could have run and did not. Linux tells; elsewhere it is 0."""
        return 0.0 if self.kernel < 0 else int(os.pread(self.kernel, 64, 0).split()[1]) / 1e9


def _open_schedstat() -> int:
    try:
        return os.open("/proc/thread-self/schedstat", os.O_RDONLY)
    except OSError:
        return -1


_here = _Here()


class Timing:
    """Notes how long its block keeps the loop. What the looks at the clocks cost is counted as ours."""

    def __init__(self, part: str) -> None:
        self._part = part

    def __enter__(self) -> None:
        here = _here.opened()
        self._began = time.perf_counter()
        self._threads = _our_threads()
        self._before = self._looked(here)

    def __exit__(self, *_: object) -> None:
        spent = [after - before for after, before in zip(self._looked(_here), self._before, strict=True)]
        wall = time.perf_counter() - self._began
        busy, queued, others = spent
        kept = wall - queued
        ours = kept - min(max(others, 0.0), max(kept - busy, 0.0))
        noted = Stretch(self._part, os.getpid(), time.time(), wall, kept, ours, busy)
        os.write(_here.notes, json.dumps(noted).encode() + b"\n")

    def _looked(self, here: _Here) -> tuple[float, float, float]:
        """Seconds so far on the processor, in the queue for it, and of threads that are not ours on the processor."""
        busy = time.thread_time()
        others = time.process_time() - busy - sum(map(_spent, self._threads))
        return busy, here.queued(), others


def _spent(clock: int) -> float:
    try:
        return time.clock_gettime(clock)
    except OSError:  # the thread has ended
        return 0.0


def _our_threads() -> list[int]:
    """The clocks of the threads that asyncsecrets has in this process."""
    return [
        time.pthread_getcpuclockid(thread.ident)
        for thread in threading.enumerate()
        if thread.name.startswith("asyncsecrets") and thread.ident is not None
    ]
