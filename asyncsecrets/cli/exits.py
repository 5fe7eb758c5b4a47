"""Exit codes: one per family of faults, the same for every command, and stable."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Final

from asyncsecrets.errors import (
    AccessDeniedError,
    AccessModeError,
    AsyncSecretsError,
    AuthenticationError,
    ConfigError,
    ConflictError,
    DecodeError,
    InsecureTransportError,
    IntegrityError,
    InvalidNameError,
    MalformedResponseError,
    PartialRotationError,
    ResolveError,
    SecretNotFoundError,
    TransientError,
    UnsupportedOperationError,
    WriteOutcomeUnknownError,
)

__all__ = ["BROKEN_PIPE", "INTERRUPTED", "NOT_EXECUTABLE", "NO_COMMAND", "Family", "OutputError", "family_of", "worst"]

INTERRUPTED: Final = 130
"""Ended by Ctrl-C, as shells say it."""

BROKEN_PIPE: Final = 141
"""Whoever read our output went away, as shells say it."""

NOT_EXECUTABLE: Final = 126
"""``run``: the command is there and cannot be executed, as shells say it."""

NO_COMMAND: Final = 127
"""``run``: there is no such command, as shells say it."""


class Family(Enum):
    """What went wrong, by who can mend it. The value is the exit code."""

    OK = 0
    INTERNAL = 1
    """A bug of asyncsecrets, or a promise of the demo that did not hold."""
    CONFIG = 2
    """The command line or the configuration is wrong."""
    NOT_FOUND = 3
    DENIED = 4
    """Credentials are missing, wrong, or not allowed to."""
    UNAVAILABLE = 5
    """The manager is down, throttles or is too slow: the same command may succeed later."""
    CONFLICT = 6
    """A compare-and-set was lost, or a write's outcome is unknown."""
    REFUSED = 7
    """The operation is not possible, not allowed here, or not safe; nothing was changed."""
    BAD_DATA = 8
    """What the manager stores or answers cannot be used."""
    OUTPUT = 9
    """What the command had to say could not be written: the disk is full."""

    @property
    def word(self) -> str:
        """The family in JSON: ``not_found``."""
        return self.name.lower()


class OutputError(AsyncSecretsError):
    """Standard output cannot be written to, and not because its reader went away."""


# The first that fits holds: the more specific class stands first.
_FAMILIES: Final[tuple[tuple[type[BaseException], Family], ...]] = (
    (OutputError, Family.OUTPUT),
    (AccessModeError, Family.REFUSED),
    (ConfigError, Family.CONFIG),
    (SecretNotFoundError, Family.NOT_FOUND),
    (AuthenticationError, Family.DENIED),
    (AccessDeniedError, Family.DENIED),
    (TransientError, Family.UNAVAILABLE),
    (ConflictError, Family.CONFLICT),
    (WriteOutcomeUnknownError, Family.CONFLICT),
    (PartialRotationError, Family.CONFLICT),
    (InvalidNameError, Family.REFUSED),
    (InsecureTransportError, Family.REFUSED),
    (UnsupportedOperationError, Family.REFUSED),
    (MalformedResponseError, Family.BAD_DATA),
    (IntegrityError, Family.BAD_DATA),
    (DecodeError, Family.BAD_DATA),
)

# A fault that somebody has to mend outranks one that waiting may cure.
_SEVERITY: Final = (
    Family.INTERNAL,
    Family.OUTPUT,
    Family.CONFIG,
    Family.DENIED,
    Family.NOT_FOUND,
    Family.REFUSED,
    Family.BAD_DATA,
    Family.CONFLICT,
    Family.UNAVAILABLE,
    Family.OK,
)


def family_of(error: BaseException) -> Family:
    """The family of an error; of several in a ResolveError, the worst."""
    if isinstance(error, ResolveError):
        return worst(family_of(failure) for failure in error.failures.values())
    return next((family for kind, family in _FAMILIES if isinstance(error, kind)), Family.INTERNAL)


def worst(families: Iterable[Family]) -> Family:
    """The gravest of several families; OK for none."""
    return min(families, key=_SEVERITY.index, default=Family.OK)
