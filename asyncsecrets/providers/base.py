"""What a provider is: the protocols that every secret manager's adapter implements.

A provider speaks to one secret manager and does **one attempt per call**. It knows nothing of caches, retries,
references or config files. The contract, checked by ``asyncsecrets.testing.conformance``:

* Constructing one does no I/O, starts nothing, binds to no event loop, and reads nothing but its arguments.
* ``Provider.open`` binds it to the running loop (sessions, credentials). Blocking work in it runs in a thread. It
  *may* be called again after ``aclose``, on another loop, any number of times.
* A call *must* raise only ``asyncsecrets.errors`` classes and ``asyncio.CancelledError``; the error is translated
  in one function, names the secret and the remedy, and holds no value, header or body. A foreign exception never rides
  along as ``__cause__`` or ``__context__``: several of them hold the payload or the credentials.
* *Absent* is ``SecretNotFoundError``. A missing mount, vault, project or region is not
  absent: it is a ``ConfigError``.
* A name that the manager cannot have is refused with ``InvalidNameError`` before any I/O. Two
  different names never reach the same secret.
* A payload comes back exactly as stored: never stripped, decoded or converted.
* Cancelling a call leaves the provider usable. Any number of calls may run at once.
* After ``aclose``, calls raise ``ClosedError``; closing twice is harmless.
* A write that was sent and not answered raises an error with ``outcome_unknown`` set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Protocol, runtime_checkable

from asyncsecrets.errors import ProviderError
from asyncsecrets.secret import Payload, Secret

__all__ = [
    "BatchReader",
    "CurrentReader",
    "Destroyer",
    "Encrypter",
    "Lister",
    "MetadataKeeper",
    "Patcher",
    "Provider",
    "Restorer",
    "Rotator",
    "SecretMetadata",
    "VersionDeleter",
    "VersionInfo",
    "VersionLister",
    "Writer",
]


@runtime_checkable
class Provider(Protocol):
    """Reads secrets of one manager.

    One that sends only so many requests at once says so with an ``int`` attribute ``concurrency``, read once it is
    open (without it: 100): no more operations are begun than that, for the time of one that waits for a connection
    would run. Each may make one request after another.

    One that tells when a write is really sent says so with a true ``tells_sending``. In the task that calls it, it
    calls ``asyncsecrets.sending.is_out()`` right before a request that may change something, and ``is_settled()``
    once an answer says that nothing was. A write that is given up before the first is not of unknown outcome. Without
    it a write is taken to be sent when it is called.
    """

    system: ClassVar[str]
    """The manager's ``key_management_system`` name, used in errors: ``hashicorp_vault``."""

    default_field: str | None
    """The member of a JSON object payload that is a secret's value, or None where the payload is the value."""

    async def open(self) -> None:
        """Bind to the running event loop. Raises ConfigError, MissingDependencyError."""

    async def get(self, name: str, version: str | None = None) -> Secret:
        """Fetch one secret, its current version by default: one attempt."""

    async def aclose(self) -> None:
        """Close what ``open`` made, and nothing that was handed in."""

    def abandon(self) -> None:
        """Forget what belongs to a loop that is gone or to the parent of a fork: no I/O, no await, no warning."""


@runtime_checkable
class Writer(Provider, Protocol):
    """A provider that writes.

    One at which a secret has several names (such as a name and an ARN) offers ``same_secret(name, other) -> bool``,
    whether two of them may be the same secret, cheap and without I/O: a write is then seen under each of them. It also
    offers ``spellings(name) -> Collection[str]``: two names that may be the same secret have one of these in common.

    One whose manager may apply a request long after it was given up, and has no idempotency tokens, but compare-and-set
    for nothing, sets ``guards_writes = True``: then ``put`` is given the version that a write replaces, where it is
    known, although nobody asked for a compare-and-set. One whose manager knows a write again by its token sets
    ``idempotent_writes = True``: then a ``put`` without ``cas`` whose outcome is unknown is made again as it is.

    A ``put`` with ``cas`` that was not answered is decided by the version that followed: where versions are no numbers,
    ``previous_version`` names the label of the one that was current before, and a version that is the write's token
    is ours. ``attempt_timeout`` is how many seconds after it was begun a request may still arrive. One whose manager
    keeps another text than it was given, such as the members of an object in their order, offers
    ``as_kept(text) -> str``: what is read then. Raises DecodeError for what it would not keep.
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
class VersionDeleter(Provider, Protocol):
    """A provider that can delete versions one by one."""

    async def delete_versions(self, name: str, versions: Sequence[str]) -> None:
        """Delete these versions; ``Restorer.restore`` brings them back. Absent ones are not an error."""


@runtime_checkable
class Restorer(Provider, Protocol):
    """A provider whose manager can bring back what was deleted."""

    async def restore(self, name: str, versions: Sequence[str] | None = None) -> None:
        """Bring back the given versions, or what the last ``Writer.delete`` took. Nothing to bring back: no error.

        Raises SecretNotFoundError where the secret is gone for good or never was, and UnsupportedOperationError for
        ``versions`` where deleting is a matter of the secret as a whole.
        """


@runtime_checkable
class Destroyer(Provider, Protocol):
    """A provider that can remove for good what ``Writer.delete`` would leave recoverable."""

    async def destroy(self, name: str, versions: Sequence[str] | None = None) -> None:
        """Remove the values of the given versions for good, or the secret with everything that is known of it.

        Absent is not an error. Raises UnsupportedOperationError for ``versions`` where they cannot be removed one by
        one.
        """


@runtime_checkable
class Patcher(Provider, Protocol):
    """A provider that can change some members of a JSON object without being sent the others."""

    async def patch(self, name: str, changes: Mapping[str, Any], *, cas: str | None = None) -> str:
        """Merge ``changes`` into the current version as RFC 7396 says (None removes a member); return the new version.

        ``cas`` as for ``Writer.put``. Raises SecretNotFoundError, ConflictError.
        """


@runtime_checkable
class Rotator(Provider, Protocol):
    """A provider whose manager can be told to rotate a secret by itself."""

    async def rotate(self, name: str, *, token: str = "") -> str:
        """Have a rotation begin now; return the version that it will make. ``token`` as for ``Writer.put``."""


@dataclass(frozen=True, slots=True)
class SecretMetadata:
    """What a manager keeps about a secret besides its values. Durations are as it spells them, such as ``1h0m0s``."""

    current_version: str | None
    versions: tuple[VersionInfo, ...]
    created: datetime | None
    updated: datetime | None
    max_versions: int = 0
    cas_required: bool = False
    delete_version_after: str = "0s"
    custom: Mapping[str, str] = field(default_factory=dict)


@runtime_checkable
class MetadataKeeper(Provider, Protocol):
    """A provider whose manager keeps metadata that can be read and written."""

    async def metadata(self, name: str) -> SecretMetadata:
        """Return a secret's metadata. Raises SecretNotFoundError."""

    async def write_metadata(
        self,
        name: str,
        *,
        custom: Mapping[str, str] | None = None,
        delete_version_after: str | None = None,
        max_versions: int | None = None,
        cas_required: bool | None = None,
    ) -> None:
        """Change a secret's metadata; what is None stays. ``delete_version_after`` is a duration such as ``720h``."""


@runtime_checkable
class Encrypter(Protocol):
    """A key service's other half: it makes what its provider reads."""

    system: ClassVar[str]

    async def encrypt(self, plaintext: Payload) -> str:
        """Return ``plaintext`` encrypted, as text to put into the environment variable of a secret's name."""


@runtime_checkable
class BatchReader(Provider, Protocol):
    """A provider whose manager answers for many names in one call."""

    batch_size: ClassVar[int]
    """The most names that one call may carry."""

    async def get_many(self, names: Sequence[str]) -> Mapping[str, Secret | ProviderError]:
        """Fetch the current version of up to ``batch_size`` names in one attempt.

        A name that the mapping leaves out was not answered for: it is asked for on its own.
        """


@runtime_checkable
class CurrentReader(Provider, Protocol):
    """A provider whose manager can be asked for more than what any of its nodes happens to know."""

    async def get_current(self, name: str, version: str | None = None) -> Secret:
        """Fetch one secret from where writes are made, or in the state that they left: one attempt.

        As ``Provider.get``, and nothing more than that where the manager cannot be told so.
        """

    async def may_lag(self) -> bool:
        """Whether ``get_current`` may still be answered by a node that is behind an acknowledged write."""
