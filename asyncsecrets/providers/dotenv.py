r"""The grammar of ``.env`` files, as far as every reader of them agrees, and not a step further.

====================  ===========================================================================================
``NAME=value``        up to the end of the line; blanks around the value do not belong to it
``NAME=value # why``  a ``#`` after a blank starts a comment; a ``#`` inside a word belongs to the value
``NAME='value'``      as it stands, over several lines if need be; ``\'`` and ``\\`` are quote and backslash
``NAME="value"``      the same, with the escapes ``\n \r \t \a \b \f \v \" \' \\``; any other backslash is itself
``NAME=``             the empty value
``export NAME=…``     the same as without ``export``
``# why``             a comment; empty lines mean nothing
====================  ===========================================================================================

A name is a letter or ``_``, then letters, digits and ``_ . -``. The last of several lines for one name holds.
Nothing is expanded and nothing is run: ``$HOME``, ``${HOME}`` and ``$(id)`` are those characters. What readers
understand differently is refused, with the remedy to quote it: a bare value that starts with ``#``, and text behind a
closing quote.
"""

from __future__ import annotations

import re
from typing import Final

from asyncsecrets.boundary import configuring
from asyncsecrets.errors import ConfigError

__all__ = ["parse_dotenv"]

_NOTHING: Final = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")

_ASSIGNMENT: Final = re.compile(
    r"""
    [ \t]*+ (?: export [ \t]++ )?+ (?P<name> [A-Za-z_][A-Za-z0-9_.-]*+ ) [ \t]*+ = [ \t]*+
    (?: (?: '(?P<single> (?: [^'\\] | \\. )*+ )' | "(?P<double> (?: [^"\\] | \\. )*+ )" ) (?: [ \t]++ \#[^\n]*+ )?+
      | (?P<bare> [^\s'"\#][^\n]*+ )?+
    )
    [ \t]*+ (?: \n | \Z )
    """,
    re.VERBOSE | re.DOTALL,
)

_COMMENT: Final = re.compile(r"(?<=[ \t])#")  # looking back: matching the blanks would be quadratic in them
_ESCAPED_SINGLE: Final = re.compile(r"\\([\\'])")
_ESCAPED_DOUBLE: Final = re.compile(r"\\([\\'\"abfnrtv])")
_CONTROLS: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


@configuring
def parse_dotenv(data: bytes, *, origin: str) -> dict[str, str]:
    """Return the names and values of a ``.env`` file (UTF-8, any line ends).

    Raises ConfigError with ``origin`` and the line; it never quotes the file.
    """
    text = _decoded(data, origin).replace("\r\n", "\n").replace("\r", "\n")
    values: dict[str, str] = {}
    position = 0
    while position < len(text):
        if match := _NOTHING.match(text, position):
            position = match.end()
            continue
        match = _ASSIGNMENT.match(text, position)
        if match is None:
            line = text.count("\n", 0, position) + 1
            raise ConfigError(
                f"{origin}, line {line}: not NAME=value; put a value with quotes or a leading # in quotes"
            )
        values[match["name"]] = _value(match)
        position = match.end()
    return values


def _decoded(data: bytes, origin: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"  # its error holds the file: raise ours outside this block
    if "\0" in text:
        raise ConfigError(f"{origin}: not UTF-8 text")
    return text


def _value(match: re.Match[str]) -> str:
    if (single := match["single"]) is not None:
        return _ESCAPED_SINGLE.sub(r"\1", single)
    if (double := match["double"]) is not None:
        return _ESCAPED_DOUBLE.sub(lambda escape: _CONTROLS.get(escape[1], escape[1]), double)
    return _COMMENT.split(match["bare"] or "", maxsplit=1)[0].rstrip(" \t")
