"""Which of many strings are in a text, in time that depends on the text alone.

A text is cut into grams of a few bytes, most often without overlap, and each is looked up in one dict: the interpreter
does that in a single call, for a megabyte in some milliseconds. A string is found whatever its place, since a stretch
of it is indexed at each of the places where a cut can fall.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from itertools import compress
from typing import Final, Generic, Literal, TypeVar

__all__ = ["Grams", "Needle"]

_FEW: Final = 8


class Needle:
    """A string to be found. ``window`` is where the stretch begins by which it is recognised."""

    __slots__ = ("data", "window")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.window = 0


N = TypeVar("N", bound=Needle)


class _Crowd(Generic[N]):
    """Needles that share a gram: by how far into them it is and how long they are, and by themselves. However many
    there are, those that are at some place are looked up, not tried one by one."""

    __slots__ = ("count", "places")

    def __init__(self) -> None:
        self.count = 0
        self.places: dict[tuple[int, int], dict[bytes, tuple[N, ...]]] = {}

    def add(self, needle: N, gram: bytes) -> None:
        alike = self.places.setdefault(_place(needle, gram), {})
        alike[needle.data] = (*alike.get(needle.data, ()), needle)
        self.count += 1

    def remove(self, needle: N, gram: bytes) -> None:
        place = _place(needle, gram)
        rest = tuple(other for other in self.places[place].pop(needle.data) if other is not needle)
        if rest:
            self.places[place][needle.data] = rest
        elif not self.places[place]:
            del self.places[place]
        self.count -= 1

    def found(self, text: bytes, gram: bytes, start: int = 0, end: int = sys.maxsize) -> Iterator[N]:
        places = list(self.places.items())
        at = text.find(gram, start, end)
        while at >= 0:
            for (offset, size), alike in places:
                if at >= offset:
                    yield from alike.get(text[at - offset : at - offset + size], ())
            at = text.find(gram, at + 1, end)


def _place(needle: Needle, gram: bytes) -> tuple[int, int]:
    return needle.data.find(gram, needle.window), len(needle.data)


class Grams(Generic[N]):
    """Needles of at least ``width + stride - 1`` bytes, by the grams of ``width`` bytes in their windows.

    ``stride`` is the distance between the cuts. Written to by one thread at a time; read by any meanwhile.
    """

    def __init__(self, width: Literal[4, 8], stride: int) -> None:
        self._width = width
        self._stride = stride
        self._format: Literal["I", "Q"] = "Q" if width == 8 else "I"
        self._read = struct.Struct(f"={self._format}").unpack_from
        self.shortest = width + stride - 1
        self._owners: dict[int, N | _Crowd[N]] = {}
        self._few: tuple[N, ...] = ()  # all, as long as they are so few that it is sooner to look for each
        self._count = 0

    def add(self, needle: N) -> None:
        """Have ``needle`` found."""
        needle.window, grams = self._window(needle.data)
        if self._owners.keys().isdisjoint(grams):
            self._owners.update(dict.fromkeys(grams, needle))
        else:
            for gram in set(grams):
                self._add(gram, needle)
        self._count += 1
        self._few = (*self._few, needle) if self._count <= _FEW else ()

    def _add(self, gram: int, needle: N) -> None:
        owner = self._owners.get(gram)
        if owner is None:
            self._owners[gram] = needle
            return
        written = self._bytes(gram)
        if isinstance(owner, _Crowd):
            owner.add(needle, written)
            return
        crowd = _Crowd[N]()
        crowd.add(owner, written)
        crowd.add(needle, written)
        self._owners[gram] = crowd

    def remove(self, needle: N) -> None:
        """``needle`` is not looked for any more."""
        self._count -= 1
        self._few = tuple(other for other in self._few if other is not needle)
        for gram in set(self._grams(needle.data, needle.window)):
            owner = self._owners[gram]
            if isinstance(owner, _Crowd):
                owner.remove(needle, self._bytes(gram))
            if not isinstance(owner, _Crowd) or not owner.count:
                del self._owners[gram]

    def found(self, text: bytes) -> Iterator[N]:
        """Every needle that is in ``text``; some more than once."""
        few = self._few
        if few or not self._owners:
            yield from (needle for needle in few if needle.data in text)
            return
        for start in range(0, self._width, self._stride):
            end = len(text) - (len(text) - start) % self._width
            cut = memoryview(text)[start:end].cast(self._format)
            hits = self._owners.keys() & cut  # of any iterable, in one call
            if len(hits) <= _FEW:
                for gram in hits:
                    yield from self._at(gram, text)
            else:  # most of them by chance: to look around each costs less than to look for each
                for at in compress(range(start, end, self._width), map(hits.__contains__, cut)):
                    yield from self._around(at, text)

    def _around(self, at: int, text: bytes) -> Iterator[N]:
        """Those that have the gram at ``at``: of equal grams in a window, the first is the one that is known."""
        gram = text[at : at + self._width]
        owner = self._owners.get(self._read(gram)[0])
        start = max(0, at - self._stride)
        if isinstance(owner, _Crowd):
            yield from owner.found(text, gram, start, at + self._width)
        elif owner is not None and text.find(owner.data, max(0, start - owner.window), at + len(owner.data)) >= 0:
            yield owner

    def _at(self, gram: int, text: bytes) -> Iterator[N]:
        owner = self._owners.get(gram)
        if isinstance(owner, _Crowd):
            yield from owner.found(text, self._bytes(gram))
        elif owner is not None and owner.data in text:
            yield owner

    def _window(self, data: bytes) -> tuple[int, list[int]]:
        """Where few others have the grams, and those; preferably not at an end, where what stands beside may change
        them."""
        last = len(data) - self.shortest
        best, fewest = (0, [0]), sys.maxsize
        for window in (last // 2, last // 4, last, 0):
            grams = self._grams(data, window)
            shared = self._crowd(grams) + self._monotony(data, window)
            if shared < fewest:
                best, fewest = (window, grams), shared
            if shared < _FEW:
                break
        return best

    def _crowd(self, grams: list[int]) -> int:
        """How many others have the most common of ``grams``."""
        if self._owners.keys().isdisjoint(grams):
            return 0
        owners = [self._owners.get(gram) for gram in grams]
        return max(owner.count if isinstance(owner, _Crowd) else 1 for owner in owners)

    def _monotony(self, data: bytes, window: int) -> int:
        """More than any crowd, if a gram has next to nothing but one character: rules and padding are full of it."""
        enough = self._width // 4 + 1
        if len(set(data[window : window + self.shortest])) >= enough + self._stride:
            return 0
        grams = (data[at : at + self._width] for at in range(window, window + self._stride))
        return sys.maxsize // 2 if any(len(set(gram)) < enough for gram in grams) else 0

    def _grams(self, data: bytes, window: int) -> list[int]:
        return [self._read(data, at)[0] for at in range(window, window + self._stride)]

    def _bytes(self, gram: int) -> bytes:
        return gram.to_bytes(self._width, sys.byteorder)
