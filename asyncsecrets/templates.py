"""Texts with references in them: ``postgres://app:${url:secret://team/db?field=password}@db.example.com/app``.

======================  ===========================================================================================
``${REFERENCE}``        the value of ``os.environ/NAME`` or ``secret://SOURCE/NAME?version=V&field=F``, as it is
``${url:REFERENCE}``    the same, percent-encoded, for a part of a URL: a password may have an ``@`` in it
======================  ===========================================================================================

Within ``${…}`` a reference has ASCII letters, digits and ``-._~/@:=+,!%?&`` only; a name with anything else in it is
written as ``secret:///NAME``, percent-encoded. What begins like one of these and is none, or has a reference behind
another word (``${quote:os.environ/NAME}``), is an error, and never handed on as it stands. Any other ``${…}`` is
somebody else's, and left alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote

from asyncsecrets.errors import ConfigError
from asyncsecrets.references import is_reference
from asyncsecrets.secret import MASK

__all__ = ["filled", "is_template", "mapped", "references_in"]

# Not ${SECRET:-text}, ${SECRET:?text} and ${URL:0:4}, which are a shell's and Docker Compose's.
_BEGINNING: Final = re.compile(
    r"\$\{(?:\s*+(?:os\.environ|(?:secrets?|url)\s*+:\s*+(?![-+?=0-9]))|[^{}]{1,80}?(?:os\.environ/|secret://))",
    re.IGNORECASE,
)
_PLACE: Final = re.compile(
    r"\$\{(?P<url>url:)?(?P<reference>(?:os\.environ/|secret://)[A-Za-z0-9._~/@:=+,!%?&-]++)\}", re.ASCII
)
_HOW: Final = (
    "write ${os.environ/NAME} or ${secret://SOURCE/NAME?version=V&field=F}, its name percent-encoded, "
    "and within a URL ${url:os.environ/NAME}"
)


def is_template(text: str) -> bool:
    """Whether there are references within ``text``, well-formed or not, and it is not one as a whole."""
    return "${" in text and not is_reference(text) and _BEGINNING.search(text) is not None


def references_in(text: str) -> list[str]:
    """The references of a template, in order; of any other text, itself if it is one. Raises ConfigError without the
    text."""
    if not is_template(text):
        return [text] if is_reference(text) else []
    return [place["reference"] for place in _places(text)]


def filled(text: str, values: Mapping[str, str]) -> str:
    """``text`` with the values in the place of its references. A value is put in as it is, and never looked at for
    references itself. Raises KeyError for a reference without a value, ConfigError as ``references_in``."""
    if not is_template(text):
        return values[text] if is_reference(text) else text
    return _replaced(text, lambda place: _written(place, values[place["reference"]]))


def mapped(text: str, change: Callable[[str], str]) -> str:
    """``text`` with every reference in it as ``change`` has it."""
    if not is_template(text):
        return change(text)
    return _replaced(text, lambda place: f"${{{place['url'] or ''}{change(place['reference'])}}}")


def _written(place: re.Match[str], value: str) -> str:
    return quote(value, safe="") if place["url"] and value != MASK else value


def _replaced(text: str, written: Callable[[re.Match[str]], str]) -> str:
    pieces, shown = [], 0
    for place in _places(text):
        pieces += [text[shown : place.start()], written(place)]
        shown = place.end()
    return "".join([*pieces, text[shown:]])


def _places(text: str) -> list[re.Match[str]]:
    places, position = [], 0
    while beginning := _BEGINNING.search(text, position):
        place = _PLACE.match(text, beginning.start())
        if place is None:
            raise ConfigError(f"a reference within a text is not written as one: {_HOW}")
        places.append(place)
        position = place.end()
    return places
