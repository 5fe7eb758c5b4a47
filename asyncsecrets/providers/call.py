"""One call of a manager's operation, for what errors say about it."""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, TypeVar

from asyncsecrets.errors import AsyncSecretsError, MalformedResponseError, ProviderError, UnsupportedOperationError

__all__ = ["Call", "check_whole", "fault", "is_write", "malformed", "named"]

E = TypeVar("E", bound=AsyncSecretsError)

_READING: Final = re.compile(r"Access|BatchGet|Decrypt|Encrypt|Get|List|[a-z]|\Z")  # or no operation of a manager's


@cache
def is_write(operation: str) -> bool:
    """Whether ``operation``, as its manager spells it, may change something: each may that is not known to read."""
    return _READING.match(operation) is None


@dataclass(slots=True)  # not frozen: each read makes one
class Call:
    """An operation, as its manager spells it (``GetSecretValue``), of the provider ``system``, about ``name``.

    Never changed.
    """

    system: str
    operation: str
    name: str | None = None

    @property
    def writes(self) -> bool:
        """Whether it may have been applied although no answer came."""
        return is_write(self.operation)

    def says(self, text: str) -> str:
        """A message about this call."""
        return f"{self.system}: {self.name!r}: {text}" if self.name is not None else f"{self.system}: {text}"

    def error(self, kind: type[E], text: str, *, unknown: bool = False, **facts: Any) -> E:
        """An error of class ``kind`` about this call. ``unknown``: as a write it may have been applied; ``facts`` are
        what else such an error tells."""
        if not issubclass(kind, ProviderError):
            return kind(self.says(text))
        error = kind(self.says(text), provider=self.system, name=self.name, **facts)
        error.outcome_unknown = unknown and self.writes
        return error


def fault(kind: type[E], system: str, name: str | None, text: str, **facts: Any) -> E:
    """An error of class ``kind`` of the provider ``system`` about the secret ``name``, where nothing was asked."""
    return Call(system, "", name).error(kind, text, **facts)


def check_whole(system: str, name: str, versions: object, does: str) -> None:
    """Raise UnsupportedOperationError for single ``versions``: the manager ``does`` that to a secret as a whole."""
    if versions is not None:
        text = f"{does} a secret as a whole, with all its versions; leave the versions out"
        raise fault(UnsupportedOperationError, system, name, text)


def malformed(system: str, asks: str, name: str | None, text: str, *, written: bool = False) -> MalformedResponseError:
    """The error for an answer that is not one of the manager's; ``asks`` what to look at. ``name`` None: it is about no
    one secret. Where something was ``written``, its outcome is unknown then."""
    error = fault(MalformedResponseError, system, name, f"{text}; {asks}")
    error.outcome_unknown = written
    return error


def named(error: AsyncSecretsError, call: Call) -> AsyncSecretsError:
    """``error``, saying which secret it is about where it does not yet: credentials know nothing of secrets."""
    if not isinstance(error, ProviderError) or error.name == call.name:
        return error
    telling = copy.copy(error)
    telling.message = call.says(error.message.removeprefix(f"{call.system}: "))
    telling.provider, telling.name = call.system, call.name
    return telling
