"""Base64 in lines, as MIME and PEM write it: the stretches of a text in which there is some, without the breaks.

A break stands after a full line, and is a line feed as it is, as JSON and ``repr`` write it, or percent-encoded, with
the carriage return before and the blanks after it. What one cannot be without is looked for first, single bytes before
all else, so that text in which nothing is wrapped costs next to nothing.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate, chain, pairwise
from typing import Final

__all__ = ["Lines", "unwrapped"]

_LONGEST: Final = 1_000  # bytes of a line: no mail may have longer ones (RFC 5322, 2.1.1)

# The last twenty characters of a line, or, where some may be escaped, the first of the next one. Patterns begin with
# what is looked for, which the interpreter finds soonest.
_ALPHABET: Final = rb"-A-Za-z0-9+/_"
_RAW: Final = rb"\n(?:(?<=[%b]{20}\n)|(?<=[%b]{20}\r\n))[ \t]*(?=[%b])"
_WRITTEN: Final = rb"\\(?<=[%b]\\)(?<=[%b\\]{20}\\)\\*(?:r\\+)?n[ \t]*(?=[%b\\])"
_QUOTED: Final = rb"(?:[-A-Za-z0-9/_]|%%(?:25)*2[bBfF])"
_PERCENT: Final = (
    rb"%%(?:25)*0(?:[dD]%%(?:25)*0)?[aA](?=" + _QUOTED + rb"{20}|" + _QUOTED + rb"{1,19}(?![-A-Za-z0-9/_+]|%%(?:25)*2))"
)
_BREAKS: Final = tuple(
    (first, signs, re.compile(pattern % ((_ALPHABET,) * pattern.count(b"[%b"))))
    for first, signs, pattern in (
        (b"\n", (b"\n",), _RAW),
        (b"\\", (b"\\n",), _WRITTEN),
        (b"%", (b"0A", b"0a"), _PERCENT),
    )
)


class Lines:
    """A stretch of a text; ``text`` is what is left of it without its breaks."""

    def __init__(self, data: bytes, start: int, end: int, breaks: list[tuple[int, int]]) -> None:
        bounds = [start, *chain.from_iterable(breaks), end]
        self._lines = list(zip(bounds[::2], bounds[1::2], strict=True))
        self._starts = [0, *accumulate(until - since for since, until in self._lines)]
        self.text = b"".join(data[since:until] for since, until in self._lines)

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Return where in the whole text that is which is at ``start`` to ``end`` in this one."""
        return self._place(start), self._place(end - 1) + 1

    def _place(self, at: int) -> int:
        line = bisect_right(self._starts, at) - 1
        return self._lines[line][0] + at - self._starts[line]


def unwrapped(data: bytes) -> Iterator[Lines]:
    """Yield the stretches of ``data`` in which base64 may be wrapped, without the breaks."""
    breaks = _breaks(data)
    parted = [at for at, (one, other) in enumerate(pairwise(breaks), 1) if other[0] - one[1] > _LONGEST]
    for first, last in pairwise([0, *parted, len(breaks)] if breaks else []):
        near = breaks[first:last]
        yield Lines(data, max(near[0][0] - _LONGEST, 0), min(near[-1][1] + _LONGEST, len(data)), near)


def _breaks(data: bytes) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for first, signs, pattern in _BREAKS:
        if first in data and any(sign in data for sign in signs):
            found += (match.span() for match in pattern.finditer(data))
    return sorted((start - data.startswith(b"\r", start - 1), end) for start, end in found)
