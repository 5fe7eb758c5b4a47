"""How long a piece of our work kept somebody's event loop, noted in a file that another process reads.

Each stretch of it is four durations in seconds, from what a clock on the wall says down to what is ours alone:

========  ==========================================================================================================
wall      by the clock, with whatever else the machine did in the meantime
kept      that, less the time for which the thread could have run while the kernel had given the processor to others:
          what the thread did, and what it waited for
ours      that, less what it waited while threads of the process that are not ours ran, or could have run: they had
          Python's lock, which is taken from whoever has had it for 5 ms, and that happens to be us. What is left is
          what we did, what our own threads did, and any wait in which nobody did anything, as for an answer
busy      the thread's own time on the processor
========  ==========================================================================================================

Linux tells the kernel's part; elsewhere ``kept`` and ``ours`` are ``wall``.
"""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

__all__ = ["NOTES", "Stretch", "Timing", "stretches"]

NOTES = "BENCH_NOTES"
"""The variable with the path of the file in which stretches are noted, one a line."""

_TASKS = Path("/proc/self/task")


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


class Timing:
    """Notes how long its block keeps the loop."""

    def __init__(self, part: str) -> None:
        self._part = part

    def __enter__(self) -> None:
        self._tasks = _tasks()
        self._others = self._tasks.others()
        self._began = time.perf_counter()
        self._queued, self._busy = self._tasks.queued(threading.get_native_id()), time.thread_time()

    def __exit__(self, *_: object) -> None:
        busy = time.thread_time() - self._busy
        queued = self._tasks.queued(threading.get_native_id()) - self._queued
        wall = time.perf_counter() - self._began
        kept = wall - queued
        waited = max(kept - busy, 0.0)
        others = sum(spent - self._others.get(task, 0.0) for task, spent in self._tasks.others().items())
        ours = kept - min(others, waited)
        noted = Stretch(self._part, os.getpid(), time.time(), wall, kept, ours, busy)
        os.write(self._tasks.notes, json.dumps(noted).encode() + b"\n")


class _Tasks:
    """The threads of this process, as the kernel tells of them."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.notes = os.open(os.environ[NOTES], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._files: dict[int, int] = {}

    def queued(self, task: int) -> float:
        """Seconds for which a thread could have run and did not."""
        try:
            if task not in self._files:
                self._files[task] = os.open(_TASKS / str(task) / "schedstat", os.O_RDONLY)
            return int(os.pread(self._files[task], 64, 0).split()[1]) / 1e9
        except OSError:  # it has ended, or this is no Linux
            return 0.0

    def others(self) -> dict[int, float]:
        """Of threads that are neither this one nor ours: seconds for which they have run, or could have."""
        left_out = {thread.native_id for thread in threading.enumerate() if thread.name.startswith("asyncsecrets")}
        left_out.add(threading.get_native_id())
        tasks = [int(name) for name in os.listdir(_TASKS)] if _TASKS.exists() else []  # noqa: PTH208  # quicker
        return {task: _ran(task) + self.queued(task) for task in tasks if task not in left_out}


def _ran(task: int) -> float:
    """Seconds for which a thread has run: its clock, as Linux numbers it. What schedstat says of it is a tick old."""
    with suppress(OSError):
        return time.clock_gettime((~task << 3) | 6)
    return 0.0


_of: dict[int, _Tasks] = {}


def _tasks() -> _Tasks:
    """Of this process: the child of a fork has its parent's files, which tell of its parent."""
    if os.getpid() not in _of:
        _of.clear()
        _of[os.getpid()] = _Tasks()
    return _of[os.getpid()]
