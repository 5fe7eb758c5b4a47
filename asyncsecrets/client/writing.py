"""How a client changes what a manager holds: every change that it offers, and what is made of each at the source.

A change runs in a task of its own (``asyncsecrets.client.tasks``), after what was begun before for the same name. What
was sent and not answered is made again, once, where making it twice is making it once; otherwise, and when that does
not decide it either, WriteOutcomeUnknownError says so, and readers keep what is cached, to be renewed as soon as may
be. How a put and a delete are made is in ``asyncsecrets.client.puts``; a patch, in ``asyncsecrets.client.patches``.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from asyncsecrets.boundary import afresh
from asyncsecrets.client import patches, puts
from asyncsecrets.client.known import Known
from asyncsecrets.client.outcomes import made
from asyncsecrets.client.parts import Parts
from asyncsecrets.client.source import Source
from asyncsecrets.errors import ConfigError, DecodeError
from asyncsecrets.providers.base import (
    Destroyer,
    Encrypter,
    MetadataKeeper,
    Provider,
    Restorer,
    Rotator,
    SecretMetadata,
    VersionDeleter,
)
from asyncsecrets.registry import unable
from asyncsecrets.secret import Payload, Secret

__all__ = ["Writing", "metadata", "restore", "write_metadata"]

T = TypeVar("T")

_LOOKS: Final = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)  # seconds between looks at a rotation


class Writing(Parts):
    """The part of ``SecretsClient`` that changes secrets.

    Each method raises AccessModeError before anything is sent, UnsupportedOperationError (naming the managers that can)
    where the source's manager has no such operation, and WriteOutcomeUnknownError where a change was sent and not
    answered, and making it again did not decide it or would have changed more. The next read, anywhere in this process,
    sees what was changed.
    """

    @afresh
    async def put(self, name: str, value: Payload, *, cas: str | None = None, source: str | None = None) -> Secret:
        """Create or update a secret, and return it. The next read, anywhere in this process, sees the new value.

        ``name`` is a name, or a reference to a secret as a whole. With ``cas``, it is written only if this version is
        current (``"0"``: only if there is none), where the manager can do that.

        Raises AccessModeError before anything is sent; DecodeError for what is neither text nor bytes; ConflictError if
        another version is current; WriteOutcomeUnknownError if it was not answered and may have been applied.
        """
        sealed = puts.sealed(name, value)
        del value  # what raises from here on has it in no local variable
        if isinstance(sealed, DecodeError):
            raise sealed
        self._check_open()
        _check_cas(cas)
        target, entry = self._router.writable(name, source)
        return await puts.put_at_home(target, entry, sealed, cas)

    @afresh
    async def delete(self, name: str, *, versions: Iterable[str] | None = None, source: str | None = None) -> None:
        """Delete a secret, or these versions of it. Where the manager keeps it, ``restore`` brings it back.

        Deleting what does not exist is not an error. Raises UnsupportedOperationError for ``versions`` where the
        manager cannot delete single ones; ConfigError for an empty list.
        """
        listed = _listed(versions)
        if listed is not None:
            await self._change(name, source, partial(_delete_versions, versions=listed))
            return
        self._check_open()
        target, entry = self._router.writable(name, source)
        await puts.delete_at_home(target, entry)

    @afresh
    async def restore(self, name: str, *, versions: Iterable[str] | None = None, source: str | None = None) -> None:
        """Bring back the given versions, or what the last ``delete`` took. Nothing to bring back is not an error.

        Raises SecretNotFoundError where the secret is gone for good or never was; UnsupportedOperationError for
        ``versions`` where only whole secrets are deleted; ConfigError for an empty list.
        """
        await self._change(name, source, partial(restore, versions=_listed(versions)))

    @afresh
    async def destroy(self, name: str, *, versions: Iterable[str] | None = None, source: str | None = None) -> None:
        """Remove for good: the values of the given versions, or the secret with everything that is known of it.

        Nothing can bring it back. Destroying what does not exist is not an error. Raises UnsupportedOperationError for
        ``versions`` where they cannot be removed one by one; ConfigError for an empty list.
        """
        await self._change(name, source, partial(_destroy, versions=_listed(versions)))

    @afresh
    async def rotate(self, name: str, *, source: str | None = None) -> str:
        """Have the manager rotate a secret by its own means, beginning now. Return the version that it will make.

        The manager takes its time, and readers have the old value until the new one is there. It is looked for at once,
        after 1, 2, 4, … seconds for some minutes, and then at the refresh interval. Raises SecretNotFoundError.
        """
        return await self._change(name, source, _rotate, repeatable=False)

    @afresh
    async def patch(
        self, name: str, members: Mapping[str, Any], *, cas: str | None = None, source: str | None = None
    ) -> Secret:
        """Merge ``members`` into a secret that is a JSON object, and return the whole object as it then is.

        It is a merge as in RFC 7396: a member that is None is removed, an object is merged, anything else is replaced.
        Members that are not named stay, and are not sent. ``cas`` is as for ``put``. The secret is read back, so the
        source needs ``access_mode: read_and_write``.

        Raises SecretNotFoundError, ConflictError, and DecodeError for ``members`` that are no mapping, or an empty one.
        """
        sealed = patches.sealed_changes(name, members)
        del members  # as in put()
        if isinstance(sealed, DecodeError):
            raise sealed
        _check_cas(cas)
        make = partial(patches.patch, changes=sealed, cas=cas)
        return await self._change(name, source, make, reads=True, repeatable=cas is None)

    @afresh
    async def metadata(self, name: str, *, source: str | None = None) -> SecretMetadata:
        """Return what the manager keeps about a secret besides its values. Raises SecretNotFoundError."""
        self._check_open()
        target, entry = self._router.versions_of(name, source)
        return await target.home.run(partial(metadata, target, entry))

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

        * ``custom``: replaces the custom metadata as a whole. It is not secret.
        * ``delete_version_after``: a duration as the manager spells it, such as ``720h``. ``0s``: never.
        * ``max_versions``: how many versions are kept. 0: as the mount says.
        * ``cas_required``: whether a write must name the version that it replaces.

        Raises ConfigError when nothing is given.
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
        await self._change(name, source, partial(write_metadata, changes=wanted))

    @afresh
    async def encrypt(self, value: Payload, *, source: str | None = None) -> str:
        """Return ``value`` as ciphertext, in the form in which a key service reads it from an environment variable.

        Nothing is stored, so no ``access_mode`` forbids it. Raises DecodeError for what is neither text nor bytes.
        """
        sealed = puts.sealed("plaintext", value)
        del value  # as in put()
        if isinstance(sealed, DecodeError):
            raise sealed
        self._check_open()
        target = self._router.source(source)
        return await target.home.run(partial(_encrypt, target, sealed))

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


def _check_cas(cas: object) -> None:
    if cas is not None and not isinstance(cas, str):
        raise ConfigError(f'cas is a version as text, such as "3", not {type(cas).__name__}')


def _listed(versions: Iterable[str] | None) -> list[str] | None:
    """Return ``versions`` as a list without repetitions, or None for the secret as a whole.

    Raises ConfigError for none at all: it must never come to mean all of them.
    """
    if versions is None:
        return None
    if isinstance(versions, str):
        raise ConfigError("versions is a list of versions, not one string")
    listed = list(dict.fromkeys(versions))
    if not listed:
        raise ConfigError("no versions given; leave versions out for the secret as a whole")
    for version in listed:
        if not isinstance(version, str) or not version:
            raise ConfigError(f'a version is text, such as "3", not {type(version).__name__ if version else version!r}')
    return listed


# -- what is made of them at the source's home


async def _delete_versions(source: Source, name: str, versions: Sequence[str]) -> None:
    async def remove(provider: Provider) -> None:
        if not isinstance(provider, VersionDeleter):
            what = "cannot delete versions one by one; delete the secret as a whole"
            raise unable(provider, VersionDeleter, what)
        await provider.delete_versions(name, versions)

    await _forgotten(source, name, remove, lambda known: known.versions_removed(name, versions), taken=versions)


async def restore(source: Source, name: str, versions: Sequence[str] | None = None) -> None:
    """Bring back what was deleted, at the source's home."""

    async def bring_back(provider: Provider) -> None:
        if not isinstance(provider, Restorer):
            raise unable(provider, Restorer, "cannot restore what was deleted")
        await provider.restore(name, versions)

    await _forgotten(source, name, bring_back, lambda known: known.restored(name, versions), taken=())


async def _destroy(source: Source, name: str, versions: Sequence[str] | None) -> None:
    async def remove(provider: Provider) -> None:
        if not isinstance(provider, Destroyer):
            raise unable(provider, Destroyer, "cannot destroy secrets beyond deleting them")
        await provider.destroy(name, versions)

    def note(known: Known) -> None:
        if versions is None:
            known.removed(name, for_good=True)
        else:
            known.versions_removed(name, versions)

    await _forgotten(source, name, remove, note, taken=versions)


async def _forgotten(
    source: Source,
    name: str,
    work: Callable[[Provider], Awaitable[None]],
    note: Callable[[Known], None],
    *,
    taken: Collection[str] | None,
) -> None:
    """Make a change after which nothing that is cached of ``name`` holds; ``note`` tells what is known of it now.

    ``taken``: the versions that it takes away, or None for all of them.
    """

    async def change() -> None:
        await made(source, name, work)
        served = source.peek(name)
        gone = taken is None or (served is not None and served.version in taken)
        source.effects.changed(name, note, gone=gone)  # no await since it was made: the next read sees it

    await source.tasks.write(name, change)


async def _rotate(source: Source, name: str) -> str:
    """Have the manager begin a rotation; what is cached is served until the manager has made the new version."""
    token = secrets.token_hex(16)

    async def begin(provider: Provider) -> str:
        if not isinstance(provider, Rotator):
            raise unable(
                provider,
                Rotator,
                "cannot be told to rotate a secret; asyncsecrets.rotating.rotate does it, and the command's --generate",
            )
        return await provider.rotate(name, token=token)

    async def change() -> str:
        version = await made(source, name, begin, again=False)
        source.tasks.begin(partial(_follow, source, name, version))
        return version

    return await source.tasks.write(name, change)


async def _follow(source: Source, name: str, version: str) -> None:
    """Look ever more seldom whether a rotation has come to its end, as long as anybody has the value warm."""
    for pause in _LOOKS:
        await asyncio.sleep(pause)
        current = source.peek(name)
        if current is None or current.version == version:
            return
        source.effects.doubt(name)


async def metadata(source: Source, name: str) -> SecretMetadata:
    """What the manager keeps about a secret, asked at the source's home."""

    async def ask(provider: Provider) -> SecretMetadata:
        return await _keeper(provider).metadata(name)

    return await source.tasks.run(partial(source.calls.call, name, ask))


async def write_metadata(source: Source, name: str, changes: Mapping[str, Any]) -> None:
    """Change that, at the source's home."""

    async def write(provider: Provider) -> None:
        await _keeper(provider).write_metadata(name, **changes)

    async def change() -> None:
        await made(source, name, write)
        source.effects.forget_others(name)  # fewer may be kept from now on; the current one is what it was

    await source.tasks.write(name, change)


def _keeper(provider: Provider) -> MetadataKeeper:
    if not isinstance(provider, MetadataKeeper):
        raise unable(provider, MetadataKeeper, "keeps no metadata of secrets")
    return provider


async def _encrypt(source: Source, value: Secret) -> str:
    async def ask(provider: Provider) -> str:
        if not isinstance(provider, Encrypter):
            raise unable(provider, Encrypter, "keeps secrets by itself and encrypts nothing; put the value")
        return await provider.encrypt(value.reveal_bytes() if value.is_binary else value.reveal())

    return await source.tasks.run(partial(source.calls.call, None, ask))
