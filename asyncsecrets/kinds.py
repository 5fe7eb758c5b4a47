"""What a setting may be: its type, the environment variables that stand in for it, and an environment as they are read.

Checked values stay text, lists of text and mappings of text; a boolean becomes the text ``true`` or ``false``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from asyncsecrets.boundary import configuring
from asyncsecrets.credential import BLANKS, Credential
from asyncsecrets.errors import ConfigError, InvalidNameError
from asyncsecrets.references import parse

__all__ = ["Kind", "Setting", "Tidied", "Value"]

Value = str | Credential[str] | list[str] | dict[str, str] | dict[str, Credential[str]]
"""A checked setting. A credential is text when it is checked, and a Credential as soon as it is kept."""


class Tidied(Mapping[str, str]):
    """An environment as settings are read from it: what is empty is not there, and blanks around are left out.

    docker compose, Helm and CI pass on as empty what is not set, and shells and files leave line breaks. Of several
    ``environs`` the first one that has a variable counts. They are looked at anew each time.
    """

    def __init__(self, *environs: Mapping[str, str]) -> None:
        self._environs = environs

    def __getitem__(self, name: str) -> str:
        for environ in self._environs:
            if value := environ.get(name, "").strip(BLANKS):
                return value
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        names = dict.fromkeys(name for environ in self._environs for name in environ)
        return (name for name in names if name in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


_TRUE: Final = frozenset({"true", "yes", "on"})
_FALSE: Final = frozenset({"false", "no", "off"})
_SECONDS: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII)
_COUNT: Final = re.compile(r"[0-9]{1,9}", re.ASCII)


class Kind(Enum):
    """The type of a setting; the value says in errors what is expected."""

    TEXT = "a text"
    BOOL = "true or false"
    SECONDS = "a number of seconds more than 0, such as 3600 or 0.5"
    SECONDS_OR_ZERO = "a number of seconds, 0 or more, such as 3600 or 0.5"
    COUNT = "a whole number from 1"
    LIST = "a list of texts"
    NAMES = "a list of secret names"
    MAPPING = "a mapping of texts"
    CHOICE = "one of"


@dataclass(frozen=True, slots=True)
class Setting:
    """One key: its ``kind``, the environment variables that stand in for it, and the ``choices`` of a CHOICE.

    ``may_be_empty``: an empty text in a configuration is a value of it, not the same as leaving it out.
    ``credential``: it lets in whoever has it, or says who that may be, and is shown nowhere.
    """

    kind: Kind = Kind.TEXT
    environ: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    may_be_empty: bool = False
    credential: bool = False

    @configuring
    def check(self, value: object, where: str) -> Value:
        """Return ``value`` checked. Raises ConfigError with ``where`` and what is expected, never with the value."""
        checked = _CHECKS[self.kind](self, value)
        if checked is None:
            raise ConfigError(f"{where} must be {self._expected}")
        return checked

    @configuring
    def from_environ(self, environ: Mapping[str, str]) -> Value | None:
        """The checked value of the first variable that is set, or None. Raises ConfigError naming the variable."""
        found = Tidied(environ)
        variable = next((name for name in self.environ if name in found), None)
        return None if variable is None else self.check(found[variable], f"the environment variable {variable}")

    @property
    def _expected(self) -> str:
        return self.kind.value + (f" {', '.join(self.choices)}" if self.choices else "")


def _text(_: Setting, value: object) -> Value | None:
    return value if isinstance(value, str) else None


def _bool(_: Setting, value: object) -> Value | None:
    word = value.strip().lower() if isinstance(value, str) else ""
    return "true" if word in _TRUE else "false" if word in _FALSE else None


def _seconds(setting: Setting, value: object) -> Value | None:
    value = value.strip() if isinstance(value, str) else ""
    if not _SECONDS.fullmatch(value):
        return None
    return value if float(value) > 0 or setting.kind is Kind.SECONDS_OR_ZERO else None


def _count(_: Setting, value: object) -> Value | None:
    value = value.strip() if isinstance(value, str) else ""
    return value if _COUNT.fullmatch(value) and int(value) > 0 else None


def _list(_: Setting, value: object) -> Value | None:
    return value if isinstance(value, list) and all(item and isinstance(item, str) for item in value) else None


def _names(setting: Setting, value: object) -> Value | None:
    # A name that is written as a reference means the name: `hosted_keys: [os.environ/KEY]`.
    if not isinstance(value, list) or _list(setting, value) is None:
        return None
    try:
        references = [parse(name) for name in value]
    except (ConfigError, InvalidNameError):  # it does not know where it is
        return None
    return [reference.name for reference in references] if all(one.is_plain for one in references) else None


def _mapping(_: Setting, value: object) -> Value | None:
    return value if isinstance(value, dict) and all(isinstance(item, str) for item in value.values()) else None


def _choice(setting: Setting, value: object) -> Value | None:
    value = value.strip() if isinstance(value, str) else ""
    return value if value in setting.choices else None


_CHECKS: Final = {
    Kind.TEXT: _text,
    Kind.BOOL: _bool,
    Kind.SECONDS: _seconds,
    Kind.SECONDS_OR_ZERO: _seconds,
    Kind.COUNT: _count,
    Kind.LIST: _list,
    Kind.NAMES: _names,
    Kind.MAPPING: _mapping,
    Kind.CHOICE: _choice,
}
