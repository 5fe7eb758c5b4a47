"""The plain form of text: what it is once every escape is undone, so that all ways of writing a value look alike.

Percent-encoding of any sort, JSON, ``repr``, ``ascii`` and HTML, also over one another, all come to the same bytes. The
form is for comparing only, and it forgets: ``+`` and a blank are the same, a line feed is the ``n`` of its escape, a
percent sign that escapes nothing is gone. Values are brought to it like the text in which they are looked for. A record
may be large, so every step is one of the interpreter's own.
"""

from __future__ import annotations

import json
import re
import string
import sys
from bisect import bisect_left, bisect_right
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Final

__all__ = ["Plain", "as_json", "encoded", "flat", "plain", "plains"]

_LAYERS: Final = 8  # of escapes over one another, those that a value has by itself among them
_NUMBERED: Final = (b"%", b"&", b"\\u", b"\\U", b"\\x")
_DIGITS: Final = bytes(0x30 if chr(code) in string.hexdigits else 0x25 if code == 0x25 else 0x2E for code in range(256))
_MASKS: Final = bytes(0 if code == 0x25 else 0xFF for code in range(256))
_KEPT: Final = bytes.maketrans(b"\0", b"\\")

_PIECE: Final = 1 << 13
_NEAR: Final = 256
# More characters than any escape has in all its layers (after `&`: `#0000000092;`, seven `amp;`, `#x00000041;`), and
# none that begins one, or escapes what does; or more backslashes than any number of layers puts before an escape.
_CALM: Final = re.compile(rb"(?:[^%\\&]|\\++[^uUx\\%&]|%(?!25|26|5[cC])[0-9a-fA-F]{2}){64}|\\{64}(?=\\)")

# What a backslash escapes by a letter is that letter in the plain form; a plus is a blank in forms and queries.
_SAME: Final = bytes.maketrans(b"+\n\r\t\b\f", b" nrtbf")

_MARKUP: Final = (("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&apos;", "'"))
_REFERENCE: Final = re.compile(r"&#([0-9]{1,10}|[xX][0-9a-fA-F]{1,8});")


def encoded(text: str | bytes) -> bytes:
    """Return text as UTF-8, lone surrogates included, and bytes as they are."""
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")


def flat(data: bytes) -> bytes:
    """Return ``data`` as ``plain`` would without undoing any escape."""
    data = data.translate(_SAME, b"\0\\")
    return data if data.isascii() else data.decode("latin-1").encode()


def plain(data: bytes) -> bytes:
    """Return the plain form of ``data``."""
    if not any(sign[-1:] in data and sign in data for sign in _NUMBERED):
        return flat(data)
    text = data.decode("latin-1")
    for _ in range(_LAYERS):
        before = text
        if "%" in text or "\\" in text:
            text = _unescaped(text)
        if "&" in text:
            text = _unmarked(text)
        if text == before:
            break
    return text.encode("utf-8", "surrogatepass").translate(_SAME, b"\0\\")


class Plain:
    """The plain form ``text`` of ``data``, made piece by piece, so that a place in it can be told in ``data``."""

    def __init__(self, data: bytes) -> None:
        self._cuts = _cuts(data)
        pieces = [plain(data[start:end]) for start, end in pairwise(self._cuts)]
        self._starts = [0, *accumulate(map(len, pieces))]
        self.text = b"".join(pieces)

    def around(self, form: bytes) -> list[tuple[int, int]]:
        """Return the stretches of ``data`` in which all is that comes to ``form``, and the character on each side."""
        found = []
        at = self.text.find(form)
        while at >= 0:
            first = max(bisect_right(self._starts, at - 1) - 1, 0)
            last = min(bisect_left(self._starts, at + len(form) + 1), len(self._cuts) - 1)
            found.append((self._cuts[first], self._cuts[last]))
            at = self.text.find(form, max(at + 1, self._starts[last] - len(form) + 1))
        return found


def _cuts(data: bytes) -> list[int]:
    """Where to cut: no escape reaches over that."""
    calm = (_CALM.search(data, at, at + _NEAR) for at in range(_PIECE, len(data), _PIECE))
    return [0, *sorted({match.end() for match in calm if match}), len(data)]


def plains(value: str | bytes) -> set[bytes]:
    """Return the plain forms of a value: of text that is not ASCII, escapes name characters, some or all, or
    else its bytes; and what looks like an escape in it may be one, or none."""
    raw = flat(encoded(value))
    if isinstance(value, bytes) or value.isascii():
        return {plain(encoded(value)), raw}
    texts = {value, value.replace("\\", "")}
    ways = {way for text in texts for way in (repr(text)[1:-1], ascii(text)[1:-1], *as_json(text))}
    return {*(plain(encoded(way)) for way in ways), raw}


def as_json(value: str | bytes) -> set[str | bytes]:
    """Return a value as it is, and as it stands in JSON: in ASCII, or with no more escaped than has to be."""
    if isinstance(value, bytes):
        return {value}
    return {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}


def _unescaped(text: str) -> str:
    """Undo one layer. Only the escapes by number are left for the codec; backslashes before anything else just go."""
    data = text.encode("latin-1", "backslashreplace")
    if b"\\" in data:
        data = data.translate(None, b"\0").replace(b"\\x", b"%")
        data = data.replace(b"\\u", b"\0u").replace(b"\\U", b"\0U").translate(_KEPT, b"\\")
    try:
        return data.replace(b"%", b"\\x").decode("unicode_escape")
    except UnicodeDecodeError:
        return _sound(data).replace(b"%", b"\\x").decode("unicode_escape", "ignore")


def _sound(data: bytes) -> bytes:
    """Leave out the percent signs that escape nothing: the codec passes over those one by one, slowly."""
    kept = data.translate(_DIGITS).replace(b"%00", b"...").translate(_MASKS)
    both = int.from_bytes(data) & int.from_bytes(kept)
    return both.to_bytes(len(data)).translate(None, b"\0")


def _unmarked(text: str) -> str:
    """Undo one layer of HTML: its names, then its numbers."""
    for written, instead in _MARKUP:
        text = text.replace(written, instead)
    if "&#" not in text:
        return text
    pieces = _REFERENCE.split(text)
    pieces[1::2] = map(_character, pieces[1::2])
    return "".join(pieces)


@lru_cache(1024)
def _character(number: str) -> str:
    code = int(number[1:], 16) if number[0] in "xX" else int(number)
    return chr(code) if code <= sys.maxunicode else ""
