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

    Three attributes and a method are optional:

    * ``concurrency``, an ``int`` that is read once the provider is open: how many operations are begun at once (100
      without it). Give it where there are fewer connections, because the time of an operation that waits for one runs.
      Each operation may make one request after another.
    * ``tells_sending``, a ``bool``: the provider tells when a write is really sent. In the task that calls it, it calls
      ``asyncsecrets.sending.is_out()`` right before a request that may change something, and ``is_settled()`` once an
      answer says that nothing was changed. A write that is given up before ``is_out()`` is known not to be applied.
      Without this, a write is taken to be sent when it is called.
    * ``remarks``, a tuple of sentences: what is served and yet not as it should be, such as answers without a checksum.
      ``client.status()`` shows them. It is read at any time, from any thread; never a value is in it.
    * ``spelled(name) -> str``: how the manager spells a name, where that is not as it is given. ``client.explain()``
      shows it. Without I/O. Raises InvalidNameError.
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

    Where a secret has several names, such as a name and an ARN, these let a write be seen under each of them:

    * ``same_secret(name, other) -> bool``: whether two names may be the same secret. Cheap and without I/O.
    * ``spellings(name) -> Collection[str]``: two names that may be the same secret have one of these in common.

    A ``put`` may be sent and not answered. These help to find out what became of it:

    * ``idempotent_writes = True``: the manager knows a write again by its token. A ``put`` without ``cas`` is then made
      again as it is.
    * ``guards_writes = True``: the manager may apply a request long after it was given up. ``put`` is then given the
      version that it replaces, where that is known, although nobody asked for a compare-and-set. For a manager that has
      no tokens, and compare-and-set at no cost.
    * ``previous_version``: the label of the version that was current before, where versions are no numbers. There, a
      version that is the write's token is the write's own.
    * ``attempt_timeout``: for how many seconds after it was begun a request may still arrive.
    * ``can_name(name) -> bool``: whether a secret can be created by this name. Without I/O. So ``VirtualKeys`` gives a
      key the name that was asked for, and escapes only what cannot be one.
    * ``deletes_for_good = True``: what ``delete`` takes cannot be restored, and whoever makes the secret anew begins
      with its first version.
    * ``check_value(name, payload)``: raises, without I/O, what ``put`` would for a value that the manager cannot keep.
      So it is known before anything else depends on it, such as a database that has a new password already.
    * ``as_kept(text) -> str``: what will be read, where the manager keeps another text than it was given, such as the
      members of an object in another order. Raises DecodeError for what it would not keep.
    """

    async def put(self, name: str, payload: Payload, *, cas: str | None = None, token: str = "") -> Secret:
        """Create the secret or add a version; return it with its new version.

        * ``cas``: write only if this is the current version (``"0"``: only if there is none). Raises ConflictError, or
          UnsupportedOperationError where the manager has no compare-and-set.
        * ``token``: of this write, and the same on every retry. For managers that have idempotency tokens.
        """

    async def delete(self, name: str) -> None:
        """Delete the secret's current value, so that it can be restored where the manager can do that. Absent is not
        an error."""


@runtime_checkable
class Lister(Provider, Protocol):
    """A provider that can list names.

    ``lists_deleted = True``: deleted secrets are among them, as long as the manager keeps something of them.
    """

    async def list(self, prefix: str = "") -> list[str]:
        """Return the full names of all secrets that start with ``prefix``, sorted. Nothing there: an empty list."""


@dataclass(frozen=True, slots=True)
class VersionInfo:
    """One version of a secret, without its value. ``state`` is ``enabled``, or one of ``errors.NotFoundReason``."""

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
    """What a manager keeps about a secret besides its values. Durations are as it spells them, such as ``1h0m0s``.

    None is what the manager has no such setting for.
    """

    current_version: str | None
    versions: tuple[VersionInfo, ...]
    created: datetime | None
    updated: datetime | None
    max_versions: int | None = None
    cas_required: bool | None = None
    delete_version_after: str | None = None
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
    """A provider of a key service: it makes the ciphertext that it also reads."""

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
    """A provider of a manager with several nodes, of which one knows better than the others what is current."""

    async def get_current(self, name: str, version: str | None = None) -> Secret:
        """Fetch one secret from the node that takes the writes, or in the state that they left: one attempt.

        Where the manager cannot be asked for that, it is the same as ``Provider.get``.
        """

    async def may_lag(self) -> bool:
        """Whether ``get_current`` may still be answered by a node that is behind an acknowledged write."""
