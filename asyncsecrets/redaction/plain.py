"""The plain form of text: what it is once every escape is undone, so that all ways of writing a value look alike.

Percent-encoding of any sort, JSON, ``repr``, ``ascii`` and HTML, also over one another, all come to the same bytes. The
form is for comparing only, and it forgets: ``+`` and a blank are the same, a line feed is the ``n`` of its escape, a
percent sign that escapes nothing is gone. Values are brought to it like the text in which they are looked for. A record
may be large, so every step is one of the interpreter's own.
"""

from __future__ import annotations

import json
import re
from typing import Final

__all__ = ["encoded", "flat", "plain", "plains"]

_LAYERS: Final = 4  # of escapes over one another
_NUMBERED: Final = re.compile(rb"\\[uUx]")

# What a backslash escapes by a letter is that letter in the plain form; a plus is a blank in forms and queries.
_SAME: Final = bytes.maketrans(b"+\n\r\t\b\f", b" nrtbf")

_MARKUP: Final = (("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&#34;", '"'), ("&#39;", "'"))


def encoded(text: str | bytes) -> bytes:
    """Return text as UTF-8, lone surrogates included, and bytes as they are."""
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")


def flat(data: bytes) -> bytes:
    """Return ``data`` as ``plain`` would without undoing any escape."""
    if data.isascii():
        return data.translate(_SAME, b"\0")
    return data.decode("latin-1").encode().translate(_SAME, b"\0")


def plain(data: bytes) -> bytes:
    """Return the plain form of ``data``."""
    if b"%" not in data and b"&" not in data and not _NUMBERED.search(data):
        return flat(data.replace(b"\\", b""))
    text = data.decode("latin-1")
    for _ in range(_LAYERS):
        if "%" not in text and "\\" not in text:
            break
        text = _unescaped(text)
    if "&" in text:
        text = _unmarked(text)
    return text.encode("utf-8", "surrogatepass").translate(_SAME, b"\0")


def plains(value: str | bytes) -> set[bytes]:
    """Return the plain forms of a value: of text that is not ASCII, escapes name characters, some or all, or
    else its bytes."""
    if isinstance(value, bytes) or value.isascii():
        return {plain(encoded(value))}
    return {plain(encoded(text)) for text in (value, repr(value)[1:-1], ascii(value)[1:-1], json.dumps(value)[1:-1])}


def _unescaped(text: str) -> str:
    """Undo one layer. Only the escapes by number are left for the codec; backslashes before anything else just go."""
    if "\\" in text:
        text = text.replace("\0", "").replace("\\u", "\0u").replace("\\U", "\0U").replace("\\x", "\0x")
        text = text.replace("\\", "").replace("\0", "\\")
    return text.replace("%", "\\x").encode("latin-1", "backslashreplace").decode("unicode_escape", "ignore")


def _unmarked(text: str) -> str:
    for written, instead in (*_MARKUP, ("&#x27;", "'")):
        text = text.replace(written, instead)
    return text
