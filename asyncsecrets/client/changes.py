"""Changes other than a put: each made until it is known to be applied, and seen by the next read.

Like every write (``asyncsecrets.client.writes``) a change runs in a task of its own, after what was begun before for
the same name. What was sent and not answered is made again, once, where making it twice is making it once; otherwise,
and when that does not decide it either, WriteOutcomeUnknownError says so and readers keep what is cached, to be renewed
as soon as may be.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from asyncsecrets.client.known import Known
from asyncsecrets.client.outcomes import is_undecided, undecided
from asyncsecrets.client.patches import Patch
from asyncsecrets.client.source import Source
from asyncsecrets.client.swaps import swapped
from asyncsecrets.client.views import remember
from asyncsecrets.client.writes import sealed
from asyncsecrets.errors import (
    ConfigError,
    ConflictError,
    DecodeError,
    ProviderError,
    UnsupportedOperationError,
)
from asyncsecrets.providers.base import (
    Destroyer,
    Encrypter,
    MetadataKeeper,
    Patcher,
    Provider,
    Restorer,
    Rotator,
    SecretMetadata,
    VersionDeleter,
)
from asyncsecrets.secret import Secret

__all__ = [
    "MANAGERS",
    "chosen",
    "delete_versions",
    "destroy",
    "encrypt",
    "metadata",
    "patch",
    "restore",
    "rotate",
    "sealed_changes",
    "write_metadata",
]

T = TypeVar("T")

_LOOKS: Final = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)  # seconds between looks at a rotation

MANAGERS: Final[Mapping[type, tuple[str, ...]]] = {
    VersionDeleter: ("hashicorp_vault", "local", "memory"),
    Restorer: ("aws_secret_manager", "hashicorp_vault", "local", "memory"),
    Destroyer: ("aws_secret_manager", "hashicorp_vault", "local", "memory"),
    Patcher: ("hashicorp_vault",),
    Rotator: ("aws_secret_manager",),
    MetadataKeeper: ("hashicorp_vault",),
    Encrypter: ("aws_kms",),
}
"""Which of the built-in managers can do what, for the message of a provider that cannot."""


def chosen(versions: Iterable[str] | None) -> list[str] | None:
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


def sealed_changes(name: str, changes: object) -> Secret | DecodeError:
    """Return a patch as one Secret that holds its JSON, or the error to raise: see
    ``sealed``."""
    if not isinstance(changes, Mapping) or not all(isinstance(member, str) for member in changes):
        return DecodeError(f"the changes of {name!r} must be a mapping of member names to values, None removes one")
    if not changes:
        return DecodeError(f"no changes of {name!r} given")
    text = _json(dict(changes))
    if text is None:
        return DecodeError(f"the changes of {name!r} hold what JSON has no form for")
    patch = sealed(name, text)
    if isinstance(patch, Secret):
        for value in changes.values():
            if isinstance(value, str):
                remember(Secret(value, name=name))
    return patch


def _json(changes: dict[str, Any]) -> str | None:
    try:
        return json.dumps(changes, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError):  # some of these hold what they are about
        return None


async def delete_versions(source: Source, name: str, versions: Sequence[str]) -> None:
    """Delete these versions."""

    async def remove(provider: Provider) -> None:
        if not isinstance(provider, VersionDeleter):
            raise _cannot(provider, VersionDeleter, "cannot delete versions one by one; delete the secret as a whole")
        await provider.delete_versions(name, versions)

    await _forgotten(source, name, remove, lambda known: known.versions_removed(name, versions), taken=versions)


async def restore(source: Source, name: str, versions: Sequence[str] | None) -> None:
    """Bring back what was deleted."""

    async def bring_back(provider: Provider) -> None:
        if not isinstance(provider, Restorer):
            raise _cannot(provider, Restorer, "cannot restore what was deleted")
        await provider.restore(name, versions)

    await _forgotten(source, name, bring_back, lambda known: known.restored(name, versions), taken=())


async def destroy(source: Source, name: str, versions: Sequence[str] | None) -> None:
    """Remove for good."""

    async def remove(provider: Provider) -> None:
        if not isinstance(provider, Destroyer):
            raise _cannot(provider, Destroyer, "cannot destroy secrets beyond deleting them")
        await provider.destroy(name, versions)

    def note(known: Known) -> None:
        if versions is None:
            known.removed(name, for_good=True)
        else:
            known.versions_removed(name, versions)

    await _forgotten(source, name, remove, note, taken=versions)


async def rotate(source: Source, name: str) -> str:
    """Have the manager begin a rotation; what is cached is served until the manager has made the new version."""
    token = secrets.token_hex(16)

    async def begin(provider: Provider) -> str:
        if not isinstance(provider, Rotator):
            raise _cannot(provider, Rotator, "cannot be told to rotate a secret; put a new value instead")
        return await provider.rotate(name, token=token)

    async def change() -> str:
        version = await _made(source, name, begin, again=False)
        source.operations.begin(partial(_follow, source, name, version))
        return version

    return await source.operations.write(name, change)


async def _follow(source: Source, name: str, version: str) -> None:
    """Look ever more seldom whether a rotation has come to its end, as long as anybody has the value warm."""
    for pause in _LOOKS:
        await asyncio.sleep(pause)
        current = source.peek(name)
        if current is None or current.version == version:
            return
        source.effects.doubt(name)


async def patch(source: Source, name: str, changes: Secret, cas: str | None) -> Secret:
    """Merge ``changes`` into the secret, and return it as it then is."""

    async def merge(provider: Provider) -> str:
        return await _patcher(provider).patch(name, json.loads(changes.reveal()))

    async def change() -> Secret:
        try:
            if cas is None:
                version = await _made(source, name, merge)
            else:
                version = await swapped(source, Patch(name, changes, cas, _patcher))
        except ConflictError:
            # Whoever reads again must not get the old value.
            source.effects.changed(name, lambda known: known.replaced(name, cas))
            raise
        source.effects.changed(name, lambda known: known.written(name, version))
        return source.effects.written(name, await _patched(source, name, version))

    return await source.operations.write(name, change)


async def _patched(source: Source, name: str, version: str) -> Secret:
    """Read back what a patch made, and nothing else. A failure says that the patch itself is done."""
    try:
        secret = await source.current((name, version))
    except ProviderError as error:
        error.message = f"{name!r} was patched (version {version}) and then could not be read: {error.message}"
        raise
    remember(secret)
    return secret


async def metadata(source: Source, name: str) -> SecretMetadata:
    """Return a secret's metadata."""

    async def ask(provider: Provider) -> SecretMetadata:
        return await _keeper(provider).metadata(name)

    return await source.operations.run(partial(source.calls.call, name, ask))


async def write_metadata(source: Source, name: str, changes: Mapping[str, Any]) -> None:
    """Change a secret's metadata: what ``changes`` holds of the arguments of
    ``write_metadata``."""

    async def write(provider: Provider) -> None:
        await _keeper(provider).write_metadata(name, **changes)

    async def change() -> None:
        await _made(source, name, write)
        source.effects.forget_others(name)  # fewer may be kept from now on; the current one is what it was

    await source.operations.write(name, change)


async def encrypt(source: Source, value: Secret) -> str:
    """Return ``value`` as ciphertext that the source's provider decrypts."""

    async def ask(provider: Provider) -> str:
        if not isinstance(provider, Encrypter):
            raise _cannot(provider, Encrypter, "keeps secrets by itself and encrypts nothing; put the value")
        return await provider.encrypt(value.reveal_bytes() if value.is_binary else value.reveal())

    return await source.operations.run(partial(source.calls.call, None, ask))


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
        await _made(source, name, work)
        served = source.peek(name)
        gone = taken is None or (served is not None and served.version in taken)
        source.effects.changed(name, note, gone=gone)  # no await since it was made: the next read sees it

    await source.operations.write(name, change)


async def _made(source: Source, name: str, work: Callable[[Provider], Awaitable[T]], *, again: bool = True) -> T:
    """Make a change; one whose outcome is unknown a second time, if ``again`` says that this changes no more."""
    error: ProviderError | None = None
    for _ in range(2 if again else 1):
        try:
            return await source.calls.call(name, work, decide=again and error is None)
        except ProviderError as failure:
            if error is None and not is_undecided(failure):
                raise
            error = failure  # at the second time, whatever it is says nothing of the first
    if source.peek(name) is None:
        # There is no value to serve meanwhile, and that it was absent is not believed any more.
        source.effects.changed(name, lambda known: known.undecided(name))
    else:
        source.effects.doubt(name)
    raise undecided(source, name, error)


def _patcher(provider: Provider) -> Patcher:
    if not isinstance(provider, Patcher):
        raise _cannot(provider, Patcher, "cannot change single members; put the whole object instead")
    return provider


def _keeper(provider: Provider) -> MetadataKeeper:
    if not isinstance(provider, MetadataKeeper):
        raise _cannot(provider, MetadataKeeper, "keeps no metadata of secrets")
    return provider


def _cannot(provider: object, protocol: type, what: str) -> UnsupportedOperationError:
    system = getattr(provider, "system", type(provider).__name__)
    return UnsupportedOperationError(f"{system} {what} (managers that can: {', '.join(MANAGERS[protocol])})")
