"""Which secret the key of an alias is: prefix and alias, as LiteLLM composes it, wherever the manager can have that.

What it cannot have, and what would be taken for something of ours, is escaped: see ``asyncsecrets.providers.escaped``.
Two aliases never meet in one name, and every name that is composed here leads back to its alias.
"""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Final

from asyncsecrets.errors import InvalidNameError
from asyncsecrets.providers.escaped import Escaping

__all__ = ["RECORDS", "Names"]

RECORDS: Final = ".rotation/"
"""What stands between the prefix and the alias in the name of a record."""

_ESCAPING: Final = Escaping(string.ascii_letters + string.digits + "_-")
_SHOWN: Final = 80


class Names:
    """The names of keys under ``prefix`` at the manager ``system``, which ``can_name`` them or not."""

    def __init__(self, prefix: str, system: str, can_name: Callable[[str], bool]) -> None:
        self.prefix = prefix
        self._system = system
        self._can_name = can_name

    def of(self, alias: str) -> str:
        """The name of the key. Raises InvalidNameError where there can be none, before anything is sent."""
        return self.prefix + self._text(alias)

    def record(self, alias: str) -> str:
        """The name of the record that goes with it. Raises as ``of``."""
        return f"{self.prefix}{RECORDS}{self._text(alias)}"

    def record_of(self, name: str) -> str:
        """The name of the record that goes with the key of this name."""
        return f"{self.prefix}{RECORDS}{name.removeprefix(self.prefix)}"

    def alias(self, name: str) -> str | None:
        """The alias of a key that has this name; None of a record, and of what was not named here."""
        text = name.removeprefix(self.prefix)
        return None if text == name or text.startswith(RECORDS) else self._read(text)

    def alias_of_record(self, name: str) -> str | None:
        """The alias that a record is about; None of what is no record."""
        text = name.removeprefix(self.prefix + RECORDS)
        return None if text == name else self._read(text)

    def in_full(self, name: str) -> str:
        """The alias in a name that was composed by somebody else, as LiteLLM does. Raises InvalidNameError."""
        alias = name.removeprefix(self.prefix) if isinstance(name, str) else name
        if alias == name:
            raise self._refusal(name, f"it does not begin with the prefix of virtual keys, {self.prefix!r}")
        return alias

    def _read(self, text: str) -> str | None:
        alias = _ESCAPING.decode(text) or text
        try:
            return alias if self._text(alias) == text else None
        except InvalidNameError:
            return None

    def _text(self, alias: str) -> str:
        if not isinstance(alias, str) or not alias:
            raise self._refusal(alias, "an alias is text that is not empty")
        try:
            escaped = _ESCAPING.encode(alias)
        except UnicodeEncodeError:
            escaped = ""
        if not escaped:
            raise self._refusal(alias, "it has characters that are no text (lone surrogates)")
        if self._is_free(alias) and self._fits(alias):
            return alias
        if not self._fits(escaped):
            raise self._refusal(alias, f"with {self.prefix!r} before it, it is too long for {self._system}")
        return escaped

    def _is_free(self, alias: str) -> bool:
        """Whether it reads as nothing else: neither as an escaped alias nor as something beside the keys."""
        return not alias.startswith(".") and _ESCAPING.decode(alias) in {None, alias}

    def _fits(self, text: str) -> bool:
        return self._can_name(self.prefix + text) and self._can_name(f"{self.prefix}{RECORDS}{text}")

    def _refusal(self, alias: object, why: str) -> InvalidNameError:
        shown = ascii(alias if not isinstance(alias, str) or len(alias) <= _SHOWN else alias[:_SHOWN] + "…")
        name = alias if isinstance(alias, str) else None
        return InvalidNameError(
            f"{shown} cannot be the alias of a virtual key: {why}", provider=self._system, name=name
        )
