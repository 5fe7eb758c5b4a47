"""The clock that entries age by."""

from __future__ import annotations

import time

__all__ = ["boot_time"]

_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", 0))


def boot_time() -> float:
    """Seconds since boot, counting suspension where the system can tell: a monotonic clock that a laptop's lid does
    not stop."""
    return time.clock_gettime(_CLOCK)
