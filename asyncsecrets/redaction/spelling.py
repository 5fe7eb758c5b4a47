"""Where a value stands in text as it is written: one pattern per value for all ways of escaping it, and for base64.

Used only once a value is known to be in a text; patterns are made then, and kept with the value.
"""

from __future__ import annotations

import base64
import re
import string
from typing import Final

from asyncsecrets.redaction.plain import encoded

__all__ = ["base64_cores", "base64_pattern", "pattern"]

_NEVER_ESCAPED: Final = frozenset(string.ascii_letters + string.digits + "._-")

_LETTERS: Final = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f", "\0": "0", "\v": "v", "\a": "a"}
_MARKUP: Final = {"<": "lt|", ">": "gt|", '"': "quot|", "'": "apos|"}
_AMPERSAND: Final = rb"&(?:amp;|#0*38;|#[xX]0*26;)*"


def pattern(value: str | bytes) -> re.Pattern[bytes]:
    """Return what finds ``value`` in UTF-8 text, with or without the blanks that it is stored with."""
    core = value.strip()
    before, after = value[: len(value) - len(value.lstrip())], value[len(value.rstrip()) :]
    return re.compile(_maybe(before) + _spelled(core) + _maybe(after), re.DOTALL)


def _maybe(blanks: str | bytes) -> bytes:
    return b"(?:%b)?" % _spelled(blanks) if blanks else b""  # a pattern that begins with its text is a faster one


def _spelled(value: str | bytes) -> bytes:
    return _bytewise(value) if isinstance(value, bytes) else b"".join(_units(value))


def _units(value: str) -> list[bytes]:
    units: list[bytes] = []
    for character in value:
        if character == "\\" and units and units[-1] == _BACKSLASHES:
            continue
        units.append(_unit(character))
    return units


_BACKSLASHES: Final = rb"(?:\\|%(?:25)*5[cC]|\\+u005[cC]|\\+x5[cC])+"


def _unit(character: str) -> bytes:
    if character in _NEVER_ESCAPED:
        return re.escape(character.encode())
    if character == "\\":
        return _BACKSLASHES
    code = ord(character)
    ways = [_bytewise(encoded(character)), *_by_number(character)]
    if code < 128:
        ways.insert(0, rb"\\*+" + re.escape(character.encode()))
    if letter := _LETTERS.get(character):
        ways.append(rb"\\+" + letter.encode())
    names = _MARKUP.get(character, "").encode()
    ways.append(_AMPERSAND + rb"(?:%b#0*%d|#[xX]0*(?i:%x));" % (names, code, code))
    ways += {" ": [rb"\+"], "&": [_AMPERSAND], "%": [rb"%(?:25)*"]}.get(character, [])
    return b"(?:" + b"|".join(ways) + b")" + (b"?" if character == "\0" else b"")


def _by_number(character: str) -> list[bytes]:
    code = ord(character)
    if code > 0xFFFF:
        pair = character.encode("utf-16-be").hex()
        return [rb"\\+u(?i:%b)\\+u(?i:%b)" % (pair[:4].encode(), pair[4:].encode()), rb"\\+U(?i:%08x)" % code]
    ways = [rb"\\+u(?i:%04x)" % code]
    return [*ways, rb"\\+x(?i:%02x)" % code] if code < 256 else ways


def _bytewise(data: bytes) -> bytes:
    return b"".join(
        rb"(?:%b|%%(?:25)*(?i:%02x)|\\+x(?i:%02x))" % (re.escape(data[i : i + 1]), data[i], data[i])
        if chr(data[i]) not in _NEVER_ESCAPED
        else re.escape(data[i : i + 1])
        for i in range(len(data))
    )


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
