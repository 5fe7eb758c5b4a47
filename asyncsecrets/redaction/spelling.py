"""Where a value stands in text as it is written: one pattern per value for all ways of escaping it, and for base64.

Used only once a value is known to be in a text; patterns are made then, and kept with the value.
"""

from __future__ import annotations

import base64
import re
import string
from itertools import pairwise
from typing import Final

from asyncsecrets.redaction.plain import encoded

__all__ = ["base64_cores", "base64_pattern", "pattern"]

_NEVER_ESCAPED: Final = frozenset(string.ascii_letters + string.digits + "._-")
_MANY: Final = frozenset("\\\0")  # how many of them are in a row is lost

_LETTERS: Final = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f", "\0": "0", "\v": "v", "\a": "a"}
_NAMES: Final = {"<": "lt", ">": "gt", '"': "quot", "'": "apos"}

# Of backslashes in a row a match begins at the first: to try each would take the square of their number.
_START: Final = rb"(?!(?<=\\)\\|(?:(?<=%5[cC])|(?<=%255[cC]))%(?:25)*5[cC])"


class _Signs:
    """How that is written which an escape consists of: the backslashes that may, or have to, stand before a character,
    and what stands around its number in HTML."""

    def __init__(self, ampersand: bytes, number: bytes, end: bytes) -> None:
        self.lead, self.escape = rb"\\*+", rb"\\++"
        self.ampersand = ampersand + rb"(?:(?:amp|%b(?:0*38|[xX]0*26))%b)*" % (number, end)
        self.number, self.end = number, end

    def reference(self, code: int, name: str = "") -> bytes:
        """A character by its number or its name."""
        number = rb"%b(?:0*%d|[xX]0*(?i:%x))" % (self.number, code, code)
        return self.ampersand + b"(?:" + b"|".join([*([name.encode()] if name else []), number]) + b")" + self.end


def _escaped(sign: str, backslashes: bytes = rb"\\*") -> bytes:
    written, code = re.escape(sign.encode()), ord(sign)
    return rb"(?:%b|%%(?:25)*(?i:%02x)|%b(?:u00|x)(?i:%02x))" % (written, code, backslashes, code)


_BACKSLASH: Final = rb"\\(?:(?:u00|x)5[cC])?|%(?:25)*5[cC]"
_USUAL: Final = _Signs(b"&", b"#", b";")
_ODD: Final = _Signs(_escaped("&", rb"\\?"), _escaped("#"), _escaped(";"))
_ODD.lead, _ODD.escape = (b"(?:%b|%b)%b" % (_BACKSLASH, _ODD.reference(92), times) for times in (b"*?", b"+"))


def pattern(value: str | bytes, *, odd: bool = False) -> re.Pattern[bytes]:
    """Return what finds ``value`` in UTF-8 text, with or without the blanks that it is stored with.

    Of an ``odd`` one the plain form has next to nothing. So every way of writing it is looked for, its letters by their
    numbers and escapes that are escaped among them; of others, those that are in use.
    """
    core = value.strip()
    before, after = value[: len(value) - len(value.lstrip())], value[len(value.rstrip()) :]
    made = _maybe(before) + _spelled(core, odd=odd) + _maybe(after)
    return re.compile(made if made[:1].isalnum() else _START + made, re.DOTALL)


def _maybe(blanks: str | bytes) -> bytes:
    return b"(?:%b)?" % _spelled(blanks) if blanks else b""  # a pattern that begins with its text is a faster one


def _spelled(value: str | bytes, *, odd: bool = False) -> bytes:
    if isinstance(value, bytes):
        return b"".join(_byte(code) for code in value)
    pairs = pairwise(["", *value])
    return b"".join(_unit(one, before, odd) for before, one in pairs if one not in _MANY or one != before)


def _unit(character: str, before: str, odd: bool) -> bytes:
    """Every way of writing ``character``; the backslashes of an escape may count to those ``before`` it."""
    signs, code = _ODD if odd else _USUAL, ord(character)
    if character in _NEVER_ESCAPED and not odd:
        return re.escape(character.encode())
    if character == "\\":
        return b"(?:" + _BACKSLASH + b"|" + signs.reference(code) + b")+"
    plainly = [*_by_bytes(character), signs.reference(code, _NAMES.get(character, ""))]
    plainly += {" ": [rb"\+"], "&": [signs.ampersand], "%": [rb"%(?:25)*"]}.get(character, [])
    escapes = _by_number(character, signs.escape)
    lead, escape = (b"", b"") if before == "\\" else (signs.lead, signs.escape)
    unit = b"(?:%b(?:%b)|%b(?:%b))" % (lead, b"|".join(plainly), escape, b"|".join(escapes))
    return unit + b"*" if character in _MANY else unit


def _by_bytes(character: str) -> list[bytes]:
    data = encoded(character)
    return [re.escape(data), b"".join(rb"%%(?:25)*(?i:%02x)" % code for code in data)]


def _by_number(character: str, escape: bytes) -> list[bytes]:
    """What follows the backslash, in JSON, in Python, and where they are bytes."""
    code, pair = ord(character), character.encode("utf-16-be", "surrogatepass").hex().encode()
    ways = [escape.join(rb"u(?i:%b)" % pair[at : at + 4] for at in range(0, len(pair), 4))]
    ways += [escape.join(rb"x(?i:%02x)" % byte for byte in encoded(character))]
    ways += [rb"x(?i:%02x)" % code] if 127 < code < 256 else []
    ways += [rb"U(?i:%08x)" % code] if code > 0xFFFF else []
    return [*ways, *(letter.encode() for letter in _LETTERS.get(character, ""))]


def _byte(code: int) -> bytes:
    if chr(code) in _NEVER_ESCAPED:
        return bytes([code])
    return rb"(?:%b|%%(?:25)*(?i:%02x)|\\+x(?i:%02x))" % (re.escape(bytes([code])), code, code)


def base64_cores(data: bytes) -> list[bytes]:
    """Return what base64 makes of ``data``, wherever in a longer text it stands: in each of three phases, the
    characters that depend on nothing else."""
    cores = []
    for phase in range(3):
        written = base64.b64encode(bytes(phase) + data)
        first = (8 * phase + 5) // 6
        cores.append(written[first : (8 * (phase + len(data))) // 6])
    return cores


def base64_pattern(core: bytes) -> re.Pattern[bytes]:
    """Return what finds a core of ``base64_cores`` in either alphabet, with the character on each side that depends on
    the value in part."""
    written = re.escape(core).replace(rb"\+", rb"(?:[+-]|%(?:25)*2[bB])").replace(b"/", rb"(?:[/_]|\\+/|%(?:25)*2[fF])")
    return re.compile(rb"[A-Za-z0-9+/_-]?" + written + rb"[A-Za-z0-9+/_-]?")
