"""What a provider is: the protocols that every secret manager's adapter implements.

A provider speaks to one secret manager and does **one attempt per call**. It knows nothing of caches, retries,
references or config files. The contract, checked by :mod:`asyncsecrets.testing.conformance`:

* Constructing one does no I/O, starts nothing, binds to no event loop, and reads nothing but its arguments.
* :meth:`Provider.open` binds it to the running loop (sessions, credentials). Blocking work in it runs in a thread. It
  *may* be called again after :meth:`~Provider.aclose`, on another loop, any number of times.
* A call *must* raise only :mod:`asyncsecrets.errors` classes and ``asyncio.CancelledError``; the error is translated
  in one function, names the secret and the remedy, and holds no value, header or body. A foreign exception never rides
  along as ``__cause__`` or ``__context__``: several of them hold the payload or the credentials.
* *Absent* is :class:`~asyncsecrets.errors.SecretNotFoundError`. A missing mount, vault, project or region is not
  absent: it is a :class:`~asyncsecrets.errors.ConfigError`.
* A name that the manager cannot have is refused with :class:`~asyncsecrets.errors.InvalidNameError` before any I/O. Two
  different names never reach the same secret.
* A payload comes back exactly as stored: never stripped, decoded or converted.
* Cancelling a call leaves the provider usable. Any number of calls may run at once.
* After :meth:`~Provider.aclose`, calls raise :class:`~asyncsecrets.errors.ClosedError`; closing twice is harmless.
* A write that was sent and not answered raises an error with ``outcome_unknown`` set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Protocol, runtime_checkable

from asyncsecrets.errors import ProviderError
from asyncsecrets.secret import Payload, Secret

__all__ = [
    "BatchReader",
    "Lister",
    "Provider",
    "VersionInfo",
    "VersionLister",
    "Writer",
]


@runtime_checkable
class Provider(Protocol):
    """Reads secrets of one manager."""

    system: ClassVar[str]
    """The manager's ``key_management_system`` name, used in errors: ``hashicorp_vault``."""

    default_field: str | None
    """The member of a JSON object payload that is a secret's value, or None where the payload is the value."""

    async def open(self) -> None:
        """Bind to the running event loop. Raises ConfigError, MissingDependencyError."""

    async def get(self, name: str, version: str | None = None) -> Secret:
        """Fetch one secret, its current version by default: one attempt."""

    async def aclose(self) -> None:
        """Close what :meth:`open` made, and nothing that was handed in."""

    def abandon(self) -> None:
        """Forget what belongs to a loop that is gone or to the parent of a fork: no I/O, no await, no warning."""


@runtime_checkable
class Writer(Provider, Protocol):
    """A provider that writes.

    One whose manager may apply a request long after it was given up, and has no idempotency tokens, but compare-and-set
    for nothing, sets ``guards_writes = True``: then ``put`` is given the version that a write replaces, where it is
    known, although nobody asked for a compare-and-set.
    """

    async def put(self, name: str, payload: Payload, *, cas: str | None = None, token: str = "") -> Secret:
        """Create the secret or add a version; return it with its new version.

        ``cas``: write only if this is the current version (``"0"``: only if there is none); raises ConflictError, or
        UnsupportedOperationError where the store has no compare-and-set. ``token`` identifies one logical write: it
        is the same on every retry, for stores that have idempotency tokens.
        """

    async def delete(self, name: str) -> None:
        """Delete the secret's current value, recoverably where the store can. Absent is not an error."""


@runtime_checkable
class Lister(Provider, Protocol):
    """A provider that can list names."""

    async def list(self, prefix: str = "") -> list[str]:
        """Return the full names of all secrets that start with ``prefix``, sorted. Nothing there: an empty list."""


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """One version of a secret, without its value. ``state``: ``enabled``, ``deleted``, ``destroyed``, ``disabled``."""

    version: str
    created: datetime | None = None
    state: str = "enabled"
    current: bool = False


@runtime_checkable
class VersionLister(Provider, Protocol):
    """A provider that keeps versions and can list them."""

    async def versions(self, name: str) -> list[VersionInfo]:
        """Return what is known of each version, oldest first. Raises SecretNotFoundError."""


@runtime_checkable
class BatchReader(Provider, Protocol):
    """A provider whose manager answers for many names in one call."""

    batch_size: ClassVar[int]
    """The most names that one call may carry."""

    async def get_many(self, names: Sequence[str]) -> Mapping[str, Secret | ProviderError]:
        """Fetch the current version of up to ``batch_size`` names in one attempt.

        A name that the mapping leaves out was not answered for: it is asked for on its own.
        """
