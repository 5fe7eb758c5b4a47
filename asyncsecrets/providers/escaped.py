"""Names of any characters for a manager that has few: what it cannot have is escaped, and two names never meet.

A character that the manager cannot have stands as ``-xHH-`` for each byte of its UTF-8 form: ``litellm/key`` as
``litellm-x2F-key``. A name that the manager can have is itself, unless it holds what reads as such an escape: then the
hyphen that this begins with is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

__all__ = ["Escaping"]

_ESCAPE: Final = re.compile(r"-x([0-9A-F]{2})-")
_OPEN_END: Final = re.compile(r"-(?:x[0-9A-F]{0,2})?\Z")
_HYPHEN: Final = "-x2D-"


class Escaping:
    """Spells names in the ``alphabet`` of a manager. It holds ASCII only, and whatever an escape is made of."""

    def __init__(self, alphabet: Collection[str]) -> None:
        self._alphabet = frozenset(alphabet)

    def encode(self, name: str) -> str:
        """How ``name`` is spelled there. Raises UnicodeEncodeError for a lone surrogate."""
        text = ""
        for character in reversed(name):  # from the end: whether a hyphen begins an escape is told by what follows it
            text = self._spelled(character) + text
            if character == "-" and _ESCAPE.match(text):
                text = _HYPHEN + text[1:]
        return text

    def _spelled(self, character: str) -> str:
        if character in self._alphabet:
            return character
        return "".join(f"-x{byte:02X}-" for byte in character.encode())

    def decode(self, text: str) -> str | None:
        """The name that ``text`` spells, or None where no name is spelled so."""
        literals, codes = _ESCAPE.split(text)[::2], _ESCAPE.findall(text)
        data = literals[0].encode()
        for code, literal in zip(codes, literals[1:], strict=True):
            data += bytes.fromhex(code) + literal.encode()
        try:
            name = data.decode()
        except UnicodeDecodeError:
            return None
        return name if self.encode(name) == text else None

    def beginning(self, prefix: str) -> str:
        """What the spelling of every name that begins with ``prefix`` begins with.

        Whether hyphens near the end of it are escaped depends on what follows, so these are left out.
        """
        return _OPEN_END.sub("", self.encode(prefix))
