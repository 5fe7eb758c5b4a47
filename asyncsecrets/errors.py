"""Everything asyncsecrets raises: one closed tree, the same class for the same fault at every provider.

::

    AsyncSecretsError
    ├── ConfigError                  the configuration is wrong; nothing was sent anywhere
    │   ├── MissingDependencyError   names the extra to install                     (an ImportError)
    │   └── AccessModeError          the source's access_mode forbids the operation
    ├── ProviderError                what a secret manager said                     .provider .name .attempts
    │   ├── SecretNotFoundError      .reason: absent, deleted, destroyed, …         (a LookupError)
    │   ├── InvalidNameError         this manager cannot have such a name           (a ValueError)
    │   ├── AuthenticationError      who are you: no, wrong or expired credentials
    │   ├── AccessDeniedError        you may not                                    (a PermissionError)
    │   ├── ConflictError            a compare-and-set was lost, or the name is taken
    │   ├── WriteOutcomeUnknownError the write may or may not have been applied
    │   ├── PartialRotationError     .created: the new secret exists, the old one is intact
    │   ├── MalformedResponseError   the answer makes no sense: shape, type, size
    │   ├── IntegrityError           a checksum does not match
    │   ├── InsecureTransportError   TLS failed, a redirect was refused, http where https is required
    │   └── TransientError           the same call may succeed later                .retry_after: seconds, or None
    │       ├── RateLimitedError
    │       ├── UnavailableError     connection, 5xx, sealed
    │       └── DeadlineExceededError
    ├── ResolveError                 several names failed; .failures: name → error
    ├── DecodeError                  not UTF-8, not JSON, no such field
    ├── UnsupportedOperationError    this provider cannot do that
    └── ClosedError                  used after close, or closed while waiting

The first split says who is at fault, the second whether waiting can help: ``transient`` is one class attribute, read
by the retry and the cache and decided nowhere else. A message names the secret and the remedy; it never holds a
value, a header or a response body. Every error survives ``copy.copy`` and pickle, which is how each waiter of a
failed flight gets an instance of its own.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, Literal, Self

__all__ = [
    "AccessDeniedError",
    "AccessModeError",
    "AsyncSecretsError",
    "AuthenticationError",
    "ClosedError",
    "ConfigError",
    "ConflictError",
    "DeadlineExceededError",
    "DecodeError",
    "InsecureTransportError",
    "IntegrityError",
    "InvalidNameError",
    "MalformedResponseError",
    "MissingDependencyError",
    "NotFoundReason",
    "PartialRotationError",
    "ProviderError",
    "RateLimitedError",
    "ResolveError",
    "SecretNotFoundError",
    "TransientError",
    "UnavailableError",
    "UnsupportedOperationError",
    "WriteOutcomeUnknownError",
]

NotFoundReason = Literal["absent", "deleted", "destroyed", "disabled", "expired", "not_yet_valid", "pending_deletion"]


class AsyncSecretsError(Exception):
    """Base of everything asyncsecrets raises."""

    transient: ClassVar[bool] = False

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # Constructors take keyword-only arguments, which BaseException's own reduction would lose.
        return _rebuild, (type(self), self.message, dict(self.__dict__))


def _rebuild(cls: type[AsyncSecretsError], message: str, attributes: dict[str, Any]) -> AsyncSecretsError:
    error = cls.__new__(cls, message)
    error.args = (message,)
    error.__dict__.update(attributes)
    return error


class ConfigError(AsyncSecretsError):
    """The configuration is wrong. Raised before anything is sent."""


class MissingDependencyError(ConfigError, ImportError):
    """A provider needs a package that is not installed.

    ``extra`` is the extra to install: ``pip install "asyncsecrets[<extra>]"``.
    """

    def __init__(self, message: str, *, extra: str) -> None:
        super().__init__(message)
        self.extra = extra


class AccessModeError(ConfigError):
    """The source's ``access_mode`` (or its prefix) forbids the operation. Nothing was sent."""


class ProviderError(AsyncSecretsError):
    """What a secret manager said about one secret.

    ``provider`` is the manager (``hashicorp_vault``), ``name`` the secret's name there or None, ``attempts`` how many
    times it was asked. ``outcome_unknown`` is set on a failed *write* that may have been applied all the same.
    """

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        name: str | None = None,
        outcome_unknown: bool = False,
    ) -> None:
        super().__init__(message)
        self.provider = provider
        self.name = name
        self.attempts = 1
        self.outcome_unknown = outcome_unknown

    def after(self, attempts: int) -> Self:
        """The same error, saying that ``attempts`` attempts were made."""
        self.attempts = attempts
        return self


class SecretNotFoundError(ProviderError, LookupError):
    """The manager answered that there is no such secret, or no such version.

    ``reason``: ``absent`` (never existed), ``deleted`` (can be restored), ``destroyed``, ``disabled``, ``expired`` and
    ``not_yet_valid`` (by its dates), or ``pending_deletion``. ``version`` and ``created`` are those of the version that
    cannot be read, where the manager tells them.
    """

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        name: str | None = None,
        reason: NotFoundReason = "absent",
        version: str | None = None,
        created: datetime | None = None,
    ) -> None:
        super().__init__(message, provider=provider, name=name)
        self.reason: NotFoundReason = reason
        self.version = version
        self.created = created


class InvalidNameError(ProviderError, ValueError):
    """This manager cannot have a secret of such a name. Nothing was sent."""


class AuthenticationError(ProviderError):
    """The manager does not know who is asking: credentials are missing, wrong or expired."""


class AccessDeniedError(ProviderError, PermissionError):
    """The manager knows who is asking, and says no."""


class ConflictError(ProviderError):
    """A compare-and-set was lost, or the name is taken (also by a secret scheduled for deletion)."""


class WriteOutcomeUnknownError(ProviderError):
    """A write was sent and never answered, and reading back could not decide. It may or may not have been applied."""


class PartialRotationError(ProviderError):
    """A rotation stopped half-way. ``created`` names the new secret; the old one is intact."""

    def __init__(self, message: str, *, provider: str, name: str | None = None, created: str) -> None:
        super().__init__(message, provider=provider, name=name)
        self.created = created


class MalformedResponseError(ProviderError):
    """The manager's answer makes no sense: not JSON, wrong shape, wrong type, too large."""


class IntegrityError(ProviderError):
    """A checksum does not match what was received."""


class InsecureTransportError(ProviderError):
    """The transport is not safe: TLS failed, a redirect was refused, or http is used where https is required."""


class TransientError(ProviderError):
    """The same call may succeed later: not before ``retry_after`` seconds, where that is known."""

    transient = True
    retry_after: float | None = None


class RateLimitedError(TransientError):
    """The manager throttles."""

    def __init__(
        self,
        message: str,
        *,
        provider: str,
        name: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, provider=provider, name=name)
        self.retry_after = retry_after


class UnavailableError(TransientError):
    """The manager cannot be reached or cannot answer: connection, timeout of one attempt, 5xx, sealed."""


class DeadlineExceededError(TransientError):
    """The whole operation, logins and retries included, took longer than its deadline."""


class ResolveError(AsyncSecretsError):
    """Several secrets were asked for and not all could be read. ``failures`` maps each failed name to its error."""

    def __init__(self, failures: dict[str, AsyncSecretsError]) -> None:
        lines = "".join(f"\n  {_shown(name)}: {type(error).__name__}: {error}" for name, error in failures.items())
        count = f"{len(failures)} secret" + ("s" if len(failures) != 1 else "")
        super().__init__(f"{count} could not be read:{lines}")
        self.failures = failures


def _shown(name: str) -> str:
    """A name that may come from a file: what would forge a line of a log is escaped."""
    return name if name.isprintable() else ascii(name)


class DecodeError(AsyncSecretsError):
    """The payload is not what was asked for: not UTF-8, not JSON, no such field, a field that has no text."""


class UnsupportedOperationError(AsyncSecretsError):
    """The provider has no such operation."""


class ClosedError(AsyncSecretsError):
    """The client (or cache) was closed: before this call, or while it waited."""
