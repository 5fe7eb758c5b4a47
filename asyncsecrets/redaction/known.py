"""The values to be masked, and the text without them.

A value that is handed out is remembered with all that may be taken from it: see ``parts``. Each part is found by its
plain form and by its base64; where it stands is looked up only once it is found (``spelling``).
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import Final, TypeVar

from asyncsecrets.redaction import spelling
from asyncsecrets.redaction.grams import Grams, Needle
from asyncsecrets.redaction.heard import listen, warm
from asyncsecrets.redaction.parts import SHORTEST, parts
from asyncsecrets.redaction.plain import Plain, as_json, encoded, flat, plain, plains
from asyncsecrets.redaction.wrapped import Lines, unwrapped
from asyncsecrets.secret import MASK, Payload, Secret

__all__ = ["Known", "known", "watch"]

_LIMIT: Final = 10_000
_PARTS: Final = 4  # parts that are remembered per value, on an average
_BOTH_WAYS: Final = 1 << 16  # bytes of text up to which what escapes seem to swallow is looked for as well
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_ESCAPES: Final = (b"%", b"\\", b"&")
_NUMBERED: Final = (b"\\u", b"\\x", b"\\U")

Text = TypeVar("Text", str, bytes)


class _Spelled(Needle):
    """A form of a part: its plain form, or a core of its base64; ``base64`` is that core."""

    __slots__ = ("base64", "is_odd", "part")

    def __init__(self, data: bytes, part: _Part, base64: bytes | None = None) -> None:
        super().__init__(data)
        self.part = part
        self.base64 = base64
        self.is_odd = len(data) < SHORTEST

    def pattern(self) -> re.Pattern[bytes]:
        """What finds the places."""
        part, what = self.part, self.base64 or self.is_odd
        if what not in part.patterns:
            part.patterns[what] = (
                spelling.base64_pattern(self.base64) if self.base64 else spelling.pattern(part.value, odd=self.is_odd)
            )
        return part.patterns[what]


class _Part:
    """Something to be masked, and for how many of the remembered values."""

    __slots__ = ("forms", "patterns", "users", "value")

    def __init__(self, value: Payload) -> None:
        self.value = value
        self.users = 0
        self.patterns: dict[bytes | bool, re.Pattern[bytes]] = {}
        core = value.strip()
        self.forms = [_Spelled(data, self) for data in plains(core)]
        cores = (spelling.base64_cores(encoded(written)) for written in as_json(core))
        for written in {written for three in cores for written in three}:
            alphabets = {written, written.translate(_URL_SAFE)}
            self.forms += [_Spelled(plain(data), self, written) for data in alphabets]


class Known:
    """The newest values that were handed out. Written to under a lock by any thread; read without one."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.clear()

    def clear(self) -> None:
        """Know nothing, and remember nothing until the next filter is made."""
        self.watching = False
        self._values: dict[Payload, list[_Part]] = {}
        self._parts: dict[Payload, _Part] = {}
        self._grams: list[Grams[_Spelled]] = [Grams(8, 8), Grams(4, 4), Grams(4, 2)]  # by the length that they ask for
        self._odd: tuple[_Spelled, ...] = ()  # next to nothing but escapes

    def __len__(self) -> int:
        return len(self._values)

    def add(self, value: Payload) -> None:
        """Remember ``value``; it is the newest."""
        with self.lock:
            if value in self._values:
                self._values[value] = self._values.pop(value)
                return
            self._values[value] = [self._part(part) for part in parts(value)]
            while len(self._values) > _LIMIT or len(self._parts) > _PARTS * _LIMIT:
                self._forget(next(iter(self._values)))

    def _part(self, value: Payload) -> _Part:
        part = self._parts.get(value)
        if part is None:
            part = self._parts[value] = _Part(value)
            for form in part.forms:
                self._index(form)
        part.users += 1
        return part

    def _index(self, form: _Spelled) -> None:
        grams = self._grams_for(form)
        if grams is not None:
            grams.add(form)
        elif not form.base64:
            self._odd = (*self._odd, form)

    def _forget(self, value: Payload) -> None:
        for part in self._values.pop(value):
            part.users -= 1
            if not part.users:
                del self._parts[part.value]
                for form in part.forms:
                    self._unindex(form)

    def _unindex(self, form: _Spelled) -> None:
        grams = self._grams_for(form)
        if grams is not None:
            grams.remove(form)
        else:
            self._odd = tuple(other for other in self._odd if other is not form)

    def _grams_for(self, form: _Spelled) -> Grams[_Spelled] | None:
        return None if form.is_odd else next(grams for grams in self._grams if len(form.data) >= grams.shortest)

    def found(self, text: str | bytes) -> set[_Spelled]:
        """Return the forms of values that are in ``text``."""
        if not self._parts or len(text) < SHORTEST:
            return set()
        data = encoded(text)
        found = self._found(data, Plain(data))
        return found.union(*(self._found_in_lines(lines, Plain(lines.text)) for lines in unwrapped(data)))

    def _found(self, data: bytes, form: Plain) -> set[_Spelled]:
        found = {needle for view in _views(data, form) for grams in self._grams for needle in grams.found(view)}
        return found.union(one for one in self._odd if _has_odd(data, form, one))

    def _found_in_lines(self, lines: Lines, form: Plain) -> set[_Spelled]:
        return {one for one in self._found(lines.text, form) if one.base64 is not None}

    def _without_lines(self, data: bytes) -> bytes:
        """Mask what is found as base64 once the breaks of lines are gone."""
        spans: list[tuple[int, int]] = []
        for lines in unwrapped(data):
            form = Plain(lines.text)
            for one in self._found_in_lines(lines, form):
                spans += (lines.place(*span) for span in _places(lines.text, form, one))
        return _without(data, spans) if spans else data

    def mask(self, text: Text) -> Text:
        """Return ``text``, the very object if there is no value in it, with every form of every value masked;
        overlapping ones as one."""
        if not self._parts or len(text) < SHORTEST:
            return text
        data = encoded(text)
        masked = self._without_lines(data)
        form = Plain(masked)
        if found := self._found(masked, form):
            masked = _masked(masked, form, found)
        if masked == data:
            return text
        if isinstance(text, bytes):
            return masked
        return masked.decode("utf-8", "replace" if b"\xef" in data else "surrogatepass")


def _has_odd(data: bytes, form: Plain, odd: _Spelled) -> bool:
    places = form.around(odd.data) if odd.data else []
    if not odd.data or len(data) <= _BOTH_WAYS:
        places = [(0, len(data))]
    return any(odd.pattern().search(data, *place) for place in places)


def _views(data: bytes, form: Plain) -> Iterator[bytes]:
    """What is looked through: the plain form; in text of a usual size also the form in which no escape is undone, and
    that in which backslashes are none, for what looks like one may be none: the first letter of a value after it."""
    yield form.text
    if len(data) > _BOTH_WAYS:
        return
    if (raw := flat(data)) != form.text:
        yield raw
    if any(sign in data for sign in _NUMBERED):
        yield plain(data.translate(None, b"\\"))


def _masked(data: bytes, form: Plain, found: Iterable[_Spelled]) -> bytes:
    """Mask what was found, a stretch at a time."""
    stretches: list[tuple[int, int, set[_Spelled]]] = []
    around = [(*place, one) for one in found for place in (one.data and form.around(one.data)) or [(0, len(data))]]
    for start, end, one in sorted(around, key=itemgetter(0)):
        if stretches and start < stretches[-1][1]:
            before, until, others = stretches.pop()
            stretches.append((before, max(until, end), {*others, one}))
        else:
            stretches.append((start, end, {one}))
    pieces, shown = [], 0
    for start, end, ones in stretches:
        pieces += [data[shown:start], _without_those(data[start:end], ones)]
        shown = end
    return b"".join([*pieces, data[shown:]])


def _without_those(data: bytes, found: Iterable[_Spelled]) -> bytes:
    spans: list[tuple[int, int]] = []
    for form in found:
        spans += _matches(form.pattern(), data)
    masked = _without(data, spans)
    if any(sign in data for sign in _ESCAPES):
        left = plain(masked)
        if any(form.data in left for form in found):  # escaped in a way that the pattern does not know
            return MASK.encode()
    return masked


def _places(data: bytes, form: Plain, one: _Spelled) -> Iterator[tuple[int, int]]:
    for start, end in form.around(one.data):
        yield from ((start + at, start + until) for at, until in _matches(one.pattern(), data[start:end]))


def _matches(pattern: re.Pattern[bytes], data: bytes) -> list[tuple[int, int]]:
    places = []
    match = pattern.search(data)
    while match is not None:
        places.append(match.span())
        match = pattern.search(data, match.start() + 1)  # they may overlap
    return places


def _without(data: bytes, spans: list[tuple[int, int]]) -> bytes:
    pieces: list[bytes] = []
    shown = 0
    for start, end in sorted(spans):
        if start > shown or not pieces:
            pieces += [data[shown:start], MASK.encode()]
        shown = max(shown, end)
    return b"".join([*pieces, data[shown:]])


known = Known()


def watch() -> None:
    """Remember values from now on, beginning with those that are warm."""
    if not known.watching:
        known.watching = True
        listen(_remember)
        for secret in warm():
            _remember(taken(secret))


def taken(secret: Secret) -> Payload:
    """Return the payload, as it is stored."""
    return secret.reveal_bytes() if secret.is_binary else secret.reveal()


def _remember(value: Payload) -> None:
    if known.watching and len(value) >= SHORTEST:
        known.add(value)


def _after_fork() -> None:
    known.lock = threading.Lock()  # a thread that stayed in the parent may have held the old one


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
