r"""The grammar of ``.env`` files, as far as every reader of them agrees, and not a step further.

====================  ===========================================================================================
``NAME=value``        up to the end of the line; blanks around the value do not belong to it
``NAME=value # why``  a ``#`` after a blank starts a comment; a ``#`` inside a word belongs to the value
``NAME='value'``      as it stands, over several lines if need be; ``\'`` and ``\\`` are quote and backslash
``NAME="value"``      the same, with the escapes ``\n \r \t \a \b \f \v \" \' \\``; any other backslash is itself
``NAME=``             the empty value
``export NAME=…``     the same as without ``export``
``# why``             a comment; empty lines mean nothing
``${NAME}``           outside single quotes: the variable of the environment, else what an earlier line gave NAME
``${NAME:-text}``     the same, and ``text`` (up to the ``}``) where neither has it
====================  ===========================================================================================

A name is a letter or ``_``, then letters, digits and ``_ . -``. The last of several lines for one name holds.
Nothing is run: ``$HOME`` and ``$(id)`` are those characters. What readers understand differently is a fault, with the
remedy to quote it: a bare value that starts with ``#``, text behind a closing quote, and outside single quotes any
other ``${…``, one behind a backslash, and one of a variable that nobody has set, which others take for empty.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from asyncsecrets.boundary import configuring
from asyncsecrets.errors import ConfigError

__all__ = ["MAX_FAULTS", "Fault", "parse_dotenv", "read_dotenv"]

MAX_FAULTS: Final = 100
"""The most faults that are told of one file."""

_MAX_EXPANDED: Final = 1024 * 1024  # characters of all values with a variable in them: each may double the one before

_NOTHING: Final = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|\Z)")

_NAME: Final = r"[ \t]*+ (?: export [ \t]++ )?+ (?P<name> [A-Za-z_][A-Za-z0-9_.-]*+ ) [ \t]*+"

_ASSIGNMENT: Final = re.compile(
    _NAME
    + r"""
    = [ \t]*+
    (?: (?: '(?P<single> (?: [^'\\] | \\. )*+ )' | "(?P<double> (?: [^"\\] | \\. )*+ )" ) (?: [ \t]++ \#[^\n]*+ )?+
      | (?P<bare> [^\s'"\#][^\n]*+ )?+
    )
    [ \t]*+ (?: \n | \Z )
    """,
    re.VERBOSE | re.DOTALL,
)
_BEGINNING: Final = re.compile(_NAME + r"(?: (?P<equals> = ) | (?: \# [^\n]*+ )?+ (?: \n | \Z ) )", re.VERBOSE)

_COMMENT: Final = re.compile(r"(?<=[ \t])#")  # looking back: matching the blanks would be quadratic in them
_ESCAPED_SINGLE: Final = re.compile(r"\\([\\'])")
_ESCAPED_DOUBLE: Final = re.compile(r"\\([\\'\"abfnrtv])")
_CONTROLS: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}

_PAIR: Final = re.compile(r"\\(.)", re.DOTALL)
_VARIABLE: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_.]*+)(?::-((?:[^}$]|\$(?!\{))*+))?\}")

_NO_ASSIGNMENT: Final = "not NAME=value; put a value with quotes or a leading # in quotes"
_NO_VALUE: Final = "a name without a value; write NAME= for an empty one"
_NO_TEXT: Final = "not UTF-8 text"
_UTF_16: Final = "not UTF-8 text but UTF-16; save the file as UTF-8"
_NO_VARIABLE: Final = (
    "a ${ that not every reader takes for the same; put the value in single quotes to mean it as it is"
)
_NOT_SET: Final = "a ${variable} that is not set; set it, or put the value in single quotes to mean it as it is"
_TOO_LARGE: Final = "values that grow too much through their ${variables}"


class Fault(NamedTuple):
    """A line that cannot be used, from 1, and why. It never quotes the file."""

    line: int
    problem: str


class _Refused(Exception):  # noqa: N818  # never leaves this module
    """The value is not used; the argument says why."""


@configuring
def parse_dotenv(data: bytes, *, origin: str, environ: Mapping[str, str] = MappingProxyType({})) -> dict[str, str]:
    """Return the names and values of a ``.env`` file (UTF-8, any line ends), of which every line must be right.

    ``environ`` has the variables that values may refer to. Raises ConfigError with ``origin`` and the line; it never
    quotes the file.
    """
    values, faults = read_dotenv(data, environ)
    if faults:
        raise ConfigError(f"{origin}, line {faults[0].line}: {faults[0].problem}")
    return values


@configuring
def read_dotenv(data: bytes, environ: Mapping[str, str]) -> tuple[dict[str, str], list[Fault]]:
    """Return what can be used of a ``.env`` file, and what cannot: at most ``MAX_FAULTS`` of it.

    A name whose last line cannot be used is not there: an earlier line was not the last word.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return {}, [Fault(1, _UTF_16)]
    text = data.decode("utf-8-sig", "surrogateescape").replace("\r\n", "\n").replace("\r", "\n")
    values: dict[str, str] = {}
    faults: list[Fault] = []
    expander = _Expander(environ, values)
    for line, beginning, match in _statements(text):
        try:
            name, value = _entry(match, beginning, expander)
        except _Refused as refused:
            if beginning is not None:
                values.pop(beginning["name"], None)
            if len(faults) < MAX_FAULTS:
                faults.append(Fault(line, str(refused)))
        else:
            values[name] = value
    return values, faults


def _statements(text: str) -> Iterator[tuple[int, re.Match[str] | None, re.Match[str] | None]]:
    """Every statement: its line, how it begins if that is with a name, and the whole of it if that is an assignment."""
    position, line = 0, 1
    while position < len(text):
        found = _NOTHING.match(text, position)
        if found is None:
            beginning, match = _BEGINNING.match(text, position), _ASSIGNMENT.match(text, position)
            yield line, beginning, match
            found = match
        end = found.end() if found else (text.find("\n", position) + 1 or len(text))
        line += text.count("\n", position, end)
        position = end


def _entry(match: re.Match[str] | None, beginning: re.Match[str] | None, expander: _Expander) -> tuple[str, str]:
    if match is None:
        raise _Refused(_NO_ASSIGNMENT if beginning is None or beginning["equals"] else _NO_VALUE)
    value = _value(match, expander)
    if "\0" in value or any("\ud800" <= char <= "\udfff" for char in value):
        raise _Refused(_NO_TEXT)
    return match["name"], value


def _value(match: re.Match[str], expander: _Expander) -> str:
    if (single := match["single"]) is not None:
        return _ESCAPED_SINGLE.sub(r"\1", single)
    if (double := match["double"]) is not None:
        if any(pair[1] == "$" and double.startswith("{", pair.end()) for pair in _PAIR.finditer(double)):
            raise _Refused(_NO_VARIABLE)
        return expander.expand(_ESCAPED_DOUBLE.sub(lambda escape: _CONTROLS.get(escape[1], escape[1]), double))
    bare = _COMMENT.split(match["bare"] or "", maxsplit=1)[0].rstrip(" \t")
    if "\\${" in bare:
        raise _Refused(_NO_VARIABLE)
    return expander.expand(bare)


class _Expander:
    """Puts variables in the place of ``${…}``: of ``environ``, or else ``earlier`` ones."""

    def __init__(self, environ: Mapping[str, str], earlier: Mapping[str, str]) -> None:
        self._environ = environ
        self._earlier = earlier
        self._left = _MAX_EXPANDED

    def expand(self, text: str) -> str:
        """Return ``text`` with every variable replaced; what takes its place is not looked at again."""
        parts, done = [], 0
        while (start := text.find("${", done)) >= 0:
            variable = _VARIABLE.match(text, start)
            if variable is None:
                raise _Refused(_NO_VARIABLE)
            parts += [text[done:start], self._get(variable[1], variable[2])]
            done = variable.end()
        return "".join([*parts, text[done:]])

    def _get(self, name: str, default: str | None) -> str:
        value = self._environ.get(name, self._earlier.get(name, default))
        if value is None:
            raise _Refused(_NOT_SET)
        self._left -= len(value)
        if self._left < 0:
            raise _Refused(_TOO_LARGE)
        return value
