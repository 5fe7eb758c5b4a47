"""Go's notation for durations, which the API takes and gives: ``90``, ``"90"``, ``"1m30s"``, ``"7d"``."""

from __future__ import annotations

import re
from typing import Any

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?)(ns|us|µs|ms|s|m|h|d)")
_WHOLE = re.compile(r"[0-9]{1,15}")
_SIGNED = re.compile(rf"(-?)((?:{_PART.pattern})+)")


def parse_duration(value: Any) -> int:
    """Seconds, rounded down towards zero.

    Raises:
        ValueError: it is not a duration.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise ValueError("a duration is a number of seconds or text such as 1h30m")  # noqa: TRY004 - one class for callers
    if not isinstance(value, str):
        return int(value)
    text = value.strip()
    if _WHOLE.fullmatch(text.removeprefix("-")):
        return int(text)
    match = _SIGNED.fullmatch(text)
    if match is None:
        raise ValueError("a duration is a number of seconds or text such as 1h30m")
    total = sum(float(amount) * _UNITS[unit] for amount, unit in _PART.findall(match[2]))
    return int(-total if match[1] else total)


def format_duration(seconds: int) -> str:
    """``3600`` as ``1h0m0s``."""
    if seconds == 0:
        return "0s"
    sign, rest = ("-", -seconds) if seconds < 0 else ("", seconds)
    minutes, secs = divmod(rest, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{sign}{hours}h{minutes}m{secs}s"
    return f"{sign}{minutes}m{secs}s" if minutes else f"{sign}{secs}s"


def short_duration(seconds: int) -> str:
    """``3600`` as ``1h``: without the parts at its end that are zero."""
    return re.sub(r"(?<=[hm])0[ms](0s)?$", "", format_duration(seconds))
