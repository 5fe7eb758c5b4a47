"""Credential: a setting that lets in whoever has it, and does not show itself.

Settings are printed: by ``repr``, by ``dataclasses.asdict`` for a log of the start, by ``"{0.token}".format(settings)``
in somebody's template, by an error reporter that shows local variables. A field that is left out of one ``repr`` is in
all the others. So a credential is kept as a ``Credential`` wherever it is a setting: from the configuration that it is
read from to the object that shows it to its manager, which alone calls ``reveal``.

A settings class takes text, or a ``Credential``, and calls ``conceal`` when it is made. What is sent as it is (a token,
a key, an id) is looked at by ``usable`` before: as files, shells and other tools leave it, it may be something else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar, Final, Generic, NoReturn, TypeVar, final

from asyncsecrets.boundary import configuring
from asyncsecrets.errors import ConfigError

__all__ = ["BLANKS", "Credential", "conceal", "concealed", "is_quoted", "revealed", "shown_path", "usable"]

T = TypeVar("T")

_MASK: Final = "**********"

BLANKS: Final = " \t\r\n\v\f"
"""What shells, files and YAML leave around a credential, and is no part of it."""

_ONE_WORD: Final = re.compile(r"[\x21-\x7e]*", re.ASCII)
_ONE_LINE: Final = re.compile(r"[\x20-\x7e]*", re.ASCII)
_QUOTED: Final = re.compile(r"(['\"]).*\1|['\"]", re.ASCII)


@final
class Credential(Generic[T]):
    """A text, or an environment, that shows itself by ``reveal`` only: anything that prints it gets a mask.

    It is true where there is something in it, equal to another one and to what it holds, its own copy, and it
    refuses pickle.
    """

    __slots__ = ("__weakref__", "_reveal")
    __slotnames__: ClassVar[list[str]] = []  # for pickle, which would look at the slots
    _reveal: Callable[[], T]

    def __init__(self, value: T) -> None:
        # Not in a slot of its own: what walks through attributes comes to a function.
        self._reveal = lambda: value

    def reveal(self) -> T:
        """Return it."""
        return self._reveal()

    def __bool__(self) -> bool:
        return bool(self._reveal())

    def __eq__(self, other: object) -> bool:
        return bool(self._reveal() == (other.reveal() if isinstance(other, Credential) else other))

    def __hash__(self) -> int:
        return hash(self._reveal())

    def __repr__(self) -> str:
        return f"Credential({str(self)!r})"

    def __str__(self) -> str:
        return _MASK if self else ""

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __copy__(self) -> Credential[T]:
        return self

    def __deepcopy__(self, _: dict[int, Any]) -> Credential[T]:
        return self

    def __reduce_ex__(self, _: object) -> NoReturn:
        raise TypeError("a Credential refuses to be pickled: what is written down can be read")


@configuring
def usable(text: str, where: str, *, words: bool = False) -> str:
    """A credential that is sent as it is, without the ``BLANKS`` around it. Of nothing else nothing is left.

    Raises ConfigError for what can be none, and would be sent, or break a header, all the same: a line break, blank or
    unusual character inside, JSON, quotation marks around it. It names ``where``, a variable, setting or file, and
    shows nothing. ``words``: there may be several, as of a whole Authorization header.
    """
    text = text.strip(BLANKS)
    if text.startswith(("{", "[")):
        raise ConfigError(f"{where} holds JSON, and not the credential itself: take it out of there")
    if is_quoted(text):
        raise ConfigError(f"{where} stands in quotation marks, which would be sent too: leave them out")
    if not (_ONE_LINE if words else _ONE_WORD).fullmatch(text):
        raise ConfigError(f"{where} has {_oddity(text)} inside, which no credential has: copy it again, as one piece")
    return text


def is_quoted(text: str) -> bool:
    """Whether quotation marks, which a shell would have eaten, are around ``text``."""
    return _QUOTED.fullmatch(text) is not None


def shown_path(path: str) -> str:
    """How an error calls a file: by its path, in quotes; or that it looks like none, and then not.

    Where the path of a credential's file is to be, many a variable holds the credential itself. It errs by not showing.
    """
    parts = _SEPARATORS.split(path.strip("'\""))
    if not _NO_PATH.search(path) and (_SUFFIX.search(parts[-1]) or all(map(_is_wordy, parts))):
        return repr(path)
    return "(not shown, as it does not look like a path: is it what belongs into the file?)"


def _is_wordy(part: str) -> bool:
    """Whether it may be a name that somebody has thought of, or is shorter than any token."""
    return len(part) <= _SHORT or _WORDS.fullmatch(part) is not None


_SHORT: Final = 20
_SEPARATORS: Final = re.compile(r"[/\\]")
_SUFFIX: Final = re.compile(r"[^.]\.[a-z][a-z0-9]{1,5}\Z", re.ASCII)
_WORDS: Final = re.compile(r"[A-Za-z]{0,24}[0-9]{0,4}(?:[-_.@+ ][A-Za-z]{0,24}[0-9]{0,4})*", re.ASCII)
_NO_PATH: Final = re.compile(r"[\r\n{}]|-----|AGE-SECRET-KEY-|\A.{1025}", re.ASCII)


def _oddity(text: str) -> str:
    if "\n" in text or "\r" in text:
        return "a line break"
    return "a blank" if " " in text or "\t" in text else "a character that is not printable ASCII"


def conceal(settings: object, *names: str) -> None:
    """Have these attributes of ``settings``, which may be a frozen dataclass, each hold a Credential.

    Raises ConfigError for one that is neither text nor a Credential.
    """
    for name in names:
        value = getattr(settings, name)
        if not isinstance(value, str | Credential):
            raise ConfigError(f"{name} must be a text")
        object.__setattr__(settings, name, concealed(value))


def concealed(value: Any) -> Any:
    """A setting with every text in it, also of lists and mappings, as a Credential."""
    if isinstance(value, dict):
        return {key: concealed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [concealed(item) for item in value]
    return Credential(value) if isinstance(value, str) else value


def revealed(value: Any) -> Any:
    """The opposite of ``concealed``; what shows itself stays as it is."""
    if isinstance(value, dict):
        return {key: revealed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [revealed(item) for item in value]
    return value.reveal() if isinstance(value, Credential) else value
