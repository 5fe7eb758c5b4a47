"""Every value that there ever was in the tests of this process: what must not be shown, and is looked for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

from asyncsecrets.redaction.known import Known
from asyncsecrets.redaction.parts import SHORTEST, parts
from asyncsecrets.secret import MASK, Payload

__all__ = ["Held", "held"]

_PIECE: Final = 12
"""Characters of a value that give away what pytest has cut, or wrapped."""


class Held:
    """Values, with the names of the secrets that had them. Shorter ones than ``SHORTEST`` are not looked for."""

    def __init__(self) -> None:
        self._known, self._words, self._lines = Known(), Known(), Known()
        self._names: dict[Payload, dict[str, None]] = {}

    def __bool__(self) -> bool:
        return bool(self._names)

    def add(self, value: Payload, name: str = "") -> None:
        """Know ``value`` from now on."""
        if len(value) < SHORTEST:
            return
        for part in parts(value):
            self._names.setdefault(part, {})[name] = None
            pieces = self._words if len(part.split()) == 1 else self._lines
            for piece in _pieces(part):
                pieces.add(piece)
        self._known.add(value)

    def names_in(self, text: str | bytes) -> list[str]:
        """Of which secrets there is a value in ``text``, in any of the forms that logs are looked through for."""
        found = (self._names.get(form.part.value, ()) for form in self._known.found(text))
        return sorted({name for names in found for name in names})

    def hidden(self, text: str) -> str:
        """``text`` without them. Where a piece of one is left, the word that it stands in is hidden, or the line, of a
        value of several words."""
        text = self._known.mask(text)
        if self._words.found(text):
            text = "".join(MASK if self._words.found(word) else word for word in re.split(r"(\s+)", text))
        if self._lines.found(text):
            text = "\n".join(MASK if self._lines.found(line) else line for line in text.split("\n"))
        return text


def _pieces(value: Payload) -> Iterable[Any]:
    if len(value) < 2 * _PIECE or value.lstrip()[:1] in {"{", "[", b"{", b"["}:  # a document's members are parts
        return []
    return [value[at : at + _PIECE] for at in range(0, len(value) - _PIECE + 1, _PIECE)]


held: Final = Held()
"""Those of this process."""
