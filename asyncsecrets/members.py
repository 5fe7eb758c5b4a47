"""The members of a JSON text: which of them a *field* means, and what its text is.

=================  ==================================================================================================
``port``           the member of this name
``/db/port``       a path (RFC 6901): ``port`` of the member ``db``. ``/hosts/0`` is an item of a list; within a name
                   ``~1`` is a slash and ``~0`` a tilde, so that ``/~1db`` is the member ``/db``
``json:FIELD``     what FIELD means, as its JSON text, whatever it is; ``json:`` alone is the whole
=================  ==================================================================================================

Where a path, or what follows ``json:``, leads nowhere, the member that is called exactly so is meant. A text is itself,
a number or a boolean its JSON text, digit for digit. Null, lists and objects have no text but the one that ``json:``
asks for; it is a piece of the payload as it stands there.

Nothing here raises: what is wrong comes back as a ``Flaw``, so that no frame with a payload in it reaches a caller.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from asyncsecrets import exact
from asyncsecrets.exact import PRESENTABLE, TOO_DEEP, Flaw

__all__ = ["Document", "parse"]

WHOLE: Final = "json:"
"""What a field begins with that asks for JSON text."""

_MOST_NAMES: Final = 12
_LONGEST_FIELD: Final = 80
_POINTER: Final = re.compile(r"(?:/(?:[^/~]|~[01])*)+")
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,8}")
_BLANKS: Final = re.compile(r"[ \t\n\r]*")
_NOWHERE: Final = object()


class Document:
    """A JSON object, by its members, and the ``text`` that they were read from."""

    __slots__ = ("_root", "_text")

    def __init__(self, root: dict[str, Any], text: str) -> None:
        self._root = root
        self._text = text

    def names(self) -> list[str]:
        """The members' names, in their order."""
        return list(self._root)

    def has(self, field: str) -> bool:
        """Whether ``field`` leads to a member, of whatever kind."""
        return self._find(field) is not None

    def read(self, field: str) -> str | Flaw:
        """The text of what ``field`` means."""
        found = self._root.get(field)  # nearly always it is the name of a text
        if type(found) is str and not field.startswith(("/", WHOLE)):
            return found
        place = self._find(field)
        if place is None:
            return Flaw(f"has no field {_shown(field)}{self._instead(field)}")
        tokens, whole = place
        if whole:
            return _piece(self._text.removeprefix(exact.BOM), tokens)
        text = _text_of(_at(self._root, tokens))
        return Flaw(self._no_text(field, tokens)) if text is None else text

    def read_any(self, field: str) -> str | Flaw:
        """The same, or the JSON text of what has no other."""
        place = self._find(field)
        if place is None or place[1] or _text_of(_at(self._root, place[0])) is not None:
            return self.read(field)
        return _piece(self._text.removeprefix(exact.BOM), place[0])

    def _find(self, field: str) -> tuple[tuple[str, ...], bool] | None:
        """The way to what ``field`` means, and whether its JSON text is asked for."""
        if field == WHOLE:
            return (), True
        if field.startswith(WHOLE) and (tokens := self._way(field.removeprefix(WHOLE))) is not None:
            return tokens, True
        tokens = self._way(field)
        return None if tokens is None else (tokens, False)

    def _way(self, field: str) -> tuple[str, ...] | None:
        ways = (_tokens(field), (field,)) if _POINTER.fullmatch(field) else ((field,),)
        return next((way for way in ways if _at(self._root, way) is not _NOWHERE), None)

    def _instead(self, field: str) -> str:
        """What there is in its place."""
        field = field.removeprefix(WHOLE)
        for path in (field.split("."), field.split("/")):
            if _at(self._root, path) is not _NOWHERE:
                return f"; did you mean {_shown(_pointer(path))}?"
        way = _tokens(field) if _POINTER.fullmatch(field) else (field,)
        while _at(self._root, way) is _NOWHERE:
            way = way[:-1]
        return f"; {_shown(_pointer(way)) if way else 'it'} {_content(_at(self._root, way))}"

    def _no_text(self, field: str, tokens: tuple[str, ...]) -> str:
        value = _at(self._root, tokens)
        kind = "null" if value is None else "a list" if isinstance(value, list) else "an object"
        inside = "0" if isinstance(value, list) else next(filter(PRESENTABLE.fullmatch, value or ()), "")
        path = f"; a member of it has a path, such as {_shown(_pointer((*tokens, inside)))}" if value and inside else ""
        asked = WHOLE + (field if len(tokens) == 1 else _pointer(tokens))
        return f"has no text in the field {_shown(field)}, but {kind}{path}; its JSON text is the field {_shown(asked)}"


def parse(text: str) -> dict[str, Any] | Flaw:
    """Read the members of a JSON object, one that begins with a byte order mark too."""
    root = exact.read(text)
    if isinstance(root, dict) or (isinstance(root, Flaw) and root is not exact.NO_JSON):
        return root
    return _NO_OBJECT


_NO_OBJECT: Final = Flaw("is not a JSON object, so it has no fields")
_next: Final = json.JSONDecoder(parse_int=str, parse_float=str).raw_decode


def _tokens(pointer: str) -> tuple[str, ...]:
    return tuple(token.replace("~1", "/").replace("~0", "~") for token in pointer.split("/")[1:])


def _pointer(tokens: Iterable[str]) -> str:
    return "".join("/" + token.replace("~", "~0").replace("/", "~1") for token in tokens)


def _at(value: Any, tokens: Sequence[str]) -> Any:
    for token in tokens:
        if isinstance(value, dict):
            value = value.get(token, _NOWHERE)
        elif isinstance(value, list) and _INDEX.fullmatch(token) and int(token) < len(value):
            value = value[int(token)]
        else:
            return _NOWHERE
    return value


def _text_of(value: Any) -> str | None:
    if isinstance(value, str):
        return str(value)
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else None


def _content(value: Any) -> str:
    """What can be named in a value, for an error."""
    if isinstance(value, dict):
        return f"has {_listed(list(value))}"
    if isinstance(value, list):
        return f"is a list of {len(value)}"
    return "is neither an object nor a list"


def _listed(names: list[str]) -> str:
    shown = [repr(name) for name in names if PRESENTABLE.fullmatch(name)][:_MOST_NAMES]
    rest = len(names) - len(shown)
    if not names:
        return "no members"
    listed = ", ".join(shown) + (f"{' and ' if shown else ''}{rest}{' more' if shown else ' members'}" if rest else "")
    return f"{listed} (name one by field=, --field or ?field=)"


def _shown(field: str) -> str:
    return repr(field if len(field) <= _LONGEST_FIELD else field[:_LONGEST_FIELD] + "...")


def _piece(text: str, tokens: Iterable[str]) -> str | Flaw:
    """The piece of ``text``, which was parsed before, that ``tokens`` lead to."""
    try:
        at = _skip(text, 0)
        for token in tokens:
            at = _inside(text, at, token)
        return text[at : _next(text, at)[1]]
    except RecursionError:  # further down the stack than it was parsed at
        return TOO_DEEP


def _inside(text: str, at: int, token: str) -> int:
    """Where the member or item ``token`` begins of what begins at ``at``."""
    is_list, index, name = text[at] == "[", 0, ""
    at = _skip(text, at + 1)
    while True:
        if is_list:
            name, index = str(index), index + 1
        else:
            name, at = _next(text, at)
            at = _skip(text, _skip(text, at) + 1)  # the colon
        if name == token:
            return at
        at = _skip(text, _skip(text, _next(text, at)[1]) + 1)  # the comma


def _skip(text: str, at: int) -> int:
    blanks = _BLANKS.match(text, at)
    return blanks.end() if blanks else at
