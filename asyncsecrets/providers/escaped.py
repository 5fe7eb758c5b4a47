"""Names of any characters for a manager that has few: what it cannot have is escaped, and two names never meet.

Characters in a row that the manager cannot have stand as ``-xHH…-``, two digits for each byte of their UTF-8 form:
``litellm/key`` as ``litellm-x2F-key``. A name that the manager can have is itself, unless it holds what reads as such
an escape: then the hyphen that this begins with is escaped.
"""

from __future__ import annotations

import re
from collections.abc import Collection

__all__ = ["Escaping"]


class Escaping:
    """Spells names in the ``alphabet`` of a manager. It holds ASCII only, and whatever an escape is made of.

    ``caseless``: the manager takes capitals for small letters. Then there are none in the alphabet, nor in what is
    spelled.
    """

    def __init__(self, alphabet: Collection[str], *, caseless: bool = False) -> None:
        legal = "".join(map(re.escape, sorted(alphabet)))
        digit = "[0-9a-f]" if caseless else "[0-9A-F]"
        self._legal = re.compile(f"[{legal}]*")
        self._parts = re.compile(f"([{legal}])|[^{legal}]+")
        self._escape = re.compile(f"-x((?:{digit}{{2}})+)-")
        self._open_end = re.compile(rf"-(?:x{digit}*)?\Z")
        self._is_caseless = caseless

    def encode(self, name: str) -> str:
        """How ``name`` is spelled there. Raises UnicodeEncodeError for a lone surrogate."""
        if self._legal.fullmatch(name) and not self._escape.search(name):  # as nearly all names
            return name
        text = ""
        for part in reversed([*self._parts.finditer(name)]):  # from the end: what follows a hyphen makes it an escape's
            text = (part[1] or self._escaped(part[0])) + text
            if part[1] == "-" and self._escape.match(text):
                text = self._escaped("-") + text[1:]
        return text

    def _escaped(self, characters: str) -> str:
        digits = characters.encode().hex()
        return f"-x{digits if self._is_caseless else digits.upper()}-"

    def decode(self, text: str) -> str | None:
        """The name that ``text`` spells, or None where no name is spelled so."""
        if self._is_caseless:
            text = text.lower()
        literals, codes = self._escape.split(text)[::2], self._escape.findall(text)
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

        Whether hyphens near the end of it are escaped, and where an escape ends, depends on what follows: these are
        left out.
        """
        return self._open_end.sub("", self.encode(prefix))
