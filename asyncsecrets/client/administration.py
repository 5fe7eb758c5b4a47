"""What a client does to secrets besides reading, putting and deleting them: the rarer operations, as methods."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeVar

from asyncsecrets.boundary import afresh
from asyncsecrets.client import changes
from asyncsecrets.client.routing import Router
from asyncsecrets.client.source import Source
from asyncsecrets.client.writes import sealed
from asyncsecrets.errors import ConfigError, DecodeError
from asyncsecrets.providers.base import SecretMetadata
from asyncsecrets.secret import Payload, Secret

__all__ = ["Administration"]

T = TypeVar("T")


class Administration:
    """The part of ``SecretsClient`` that administers secrets.

    Each method raises AccessModeError before anything is sent, UnsupportedOperationError (naming the managers that can)
    where the source's manager has no such operation, and WriteOutcomeUnknownError where a change was sent and not
    answered, and making it again did not decide it or would have changed more. The next read, anywhere in this process,
    sees what was changed.
    """

    _router: Router

    def _check_open(self) -> None:
        raise NotImplementedError

    @afresh
    async def restore(self, name: str, *, versions: Iterable[str] | None = None, source: str | None = None) -> None:
        """Bring back the given versions, or what the last ``delete`` took. Nothing to bring back is not an error.

        Raises SecretNotFoundError where the secret is gone for good or never was, UnsupportedOperationError for
        ``versions`` where deleting is a matter of the secret as a whole, ConfigError for no versions at all.
        """
        listed = changes.chosen(versions)
        await self._change(name, source, lambda target, entry: changes.restore(target, entry, listed))

    @afresh
    async def destroy(self, name: str, *, versions: Iterable[str] | None = None, source: str | None = None) -> None:
        """Remove for good: the values of the given versions, or the secret with everything that is known of it.

        Nothing can bring it back. Destroying what is absent is not an error. Raises UnsupportedOperationError for
        ``versions`` where they cannot be removed one by one, ConfigError for no versions at all.
        """
        listed = changes.chosen(versions)
        await self._change(name, source, lambda target, entry: changes.destroy(target, entry, listed))

    @afresh
    async def rotate(self, name: str, *, source: str | None = None) -> str:
        """Have the manager rotate a secret by its own means, beginning now; return the version that it will make.

        The manager takes its time: readers have the old value until the new one is read, which is tried at once, after
        1, 2, 4, … seconds for some minutes, and then at the refresh interval. Raises SecretNotFoundError.
        """
        return await self._change(name, source, changes.rotate, repeatable=False)

    @afresh
    async def patch(
        self, name: str, members: Mapping[str, Any], *, cas: str | None = None, source: str | None = None
    ) -> Secret:
        """Merge ``members`` into a secret that is a JSON object, and return the whole object as it then is.

        As RFC 7396 has it: a member that is None is removed, an object is merged, anything else is put in its place;
        members that are not named stay, and are not sent. ``cas`` as for ``put``. The secret is read back, so the
        source needs ``access_mode: read_and_write``. Raises SecretNotFoundError, ConflictError, and DecodeError for
        ``members`` that are no mapping, or an empty one.
        """
        sealed_members = changes.sealed_changes(name, members)
        del members  # what raises from here on has them in no local variable
        if isinstance(sealed_members, DecodeError):
            raise sealed_members
        if cas is not None and not isinstance(cas, str):
            raise ConfigError(f'cas is a version as text, such as "3", not {type(cas).__name__}')
        return await self._change(
            name,
            source,
            lambda target, entry: changes.patch(target, entry, sealed_members, cas),
            reads=True,
            repeatable=cas is None,
        )

    @afresh
    async def metadata(self, name: str, *, source: str | None = None) -> SecretMetadata:
        """Return what the manager keeps about a secret besides its values. Raises SecretNotFoundError."""
        self._check_open()
        target, entry = self._router.versions_of(name, source)
        return await target.home.run(partial(changes.metadata, target, entry))

    @afresh
    async def write_metadata(
        self,
        name: str,
        *,
        custom: Mapping[str, str] | None = None,
        delete_version_after: str | None = None,
        max_versions: int | None = None,
        cas_required: bool | None = None,
        source: str | None = None,
    ) -> None:
        """Change a secret's metadata; what is None stays as it is.

        ``custom`` takes the place of the custom metadata as a whole; it is not secret. ``delete_version_after`` is a
        duration as the manager spells it, such as ``720h`` (``0s``: never); ``max_versions`` is how many are kept (0:
        as the mount says). Raises ConfigError when nothing is given.
        """
        given = {
            "custom": custom,
            "delete_version_after": delete_version_after,
            "max_versions": max_versions,
            "cas_required": cas_required,
        }
        wanted = {key: value for key, value in given.items() if value is not None}
        if not wanted:
            raise ConfigError(f"no metadata given; say at least one of {', '.join(given)}")
        if custom is not None and not all(isinstance(text, str) for pair in dict(custom).items() for text in pair):
            raise ConfigError("custom metadata is a mapping of text to text")
        await self._change(name, source, lambda target, entry: changes.write_metadata(target, entry, wanted))

    @afresh
    async def encrypt(self, value: Payload, *, source: str | None = None) -> str:
        """Return ``value`` as ciphertext, in the form in which a key service reads it from an environment variable.

        Nothing is stored, so no ``access_mode`` forbids it. Raises DecodeError for what is neither text nor bytes.
        """
        sealed_value = sealed("plaintext", value)
        del value  # as in put()
        if isinstance(sealed_value, DecodeError):
            raise sealed_value
        self._check_open()
        target = self._router.source(source)
        return await target.home.run(partial(changes.encrypt, target, sealed_value))

    async def _change(
        self,
        name: str,
        source: str | None,
        make: Callable[[Source, str], Awaitable[T]],
        *,
        reads: bool = False,
        repeatable: bool = True,
    ) -> T:
        self._check_open()
        target, entry = self._router.writable(name, source)
        if reads:
            self._router.readable(target.name)
        return await target.home.run(partial(make, target, entry), repeatable=repeatable)
