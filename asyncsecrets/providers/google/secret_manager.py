"""GoogleSecretManagerProvider: Google Secret Manager, global and regional secrets."""

from __future__ import annotations

import builtins
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Final, Self

from asyncsecrets.boundary import configuring
from asyncsecrets.errors import (
    AccessDeniedError,
    ConfigError,
    ProviderError,
    RateLimitedError,
    SecretNotFoundError,
    UnavailableError,
    UnsupportedOperationError,
)
from asyncsecrets.providers.base import SecretMetadata, VersionInfo
from asyncsecrets.providers.call import fault
from asyncsecrets.providers.google.checksums import Checksums
from asyncsecrets.providers.google.connection import Connection
from asyncsecrets.providers.google.documents import (
    CLAIM,
    absent,
    bytes_of,
    moment,
    names_of,
    new_secret,
    state_of,
    versions_of,
)
from asyncsecrets.providers.google.names import LATEST, SYSTEM, Names, Target, is_number, version_word
from asyncsecrets.providers.google.operations import Answer, Operations
from asyncsecrets.providers.google.services import SECRET_MANAGER
from asyncsecrets.providers.google.settings import PROJECT, GoogleSettings
from asyncsecrets.providers.google.swap import Swap
from asyncsecrets.providers.guarded import guarded
from asyncsecrets.providers.sdk import SdkProvider
from asyncsecrets.secret import Payload, Secret

__all__ = ["GoogleSecretManagerProvider"]

_PAGE: Final = 400  # with 16 KiB of annotations each, these are less than the largest answer that is taken


@guarded
class GoogleSecretManagerProvider(SdkProvider):
    """Reads and writes the secrets of a project, or of one of its locations.

    A name is any text, spelled in the characters that Google has (``litellm/a`` is ``litellm-x2F-a`` there), or a
    resource name, ``projects/P/secrets/ID``, also of another project. A version is a number or an alias. A value is
    text where it is UTF-8. ``put`` creates what is not there, with the labels, annotations, replicas, key and lifetimes
    of ``settings``; its ``cas`` is a number. ``clock`` is in monotonic seconds, ``now`` in those of the epoch.
    """

    system: ClassVar[str] = SYSTEM
    deletes_for_good: ClassVar[bool] = True

    _connection: Connection

    @configuring
    def __init__(
        self,
        settings: GoogleSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        if settings.location and settings.replica_regions:
            raise ConfigError(f"{SYSTEM}: secrets of a location have no replicas elsewhere: leave replica_regions out")
        super().__init__(settings, Connection(SECRET_MANAGER, SYSTEM, settings), clock)
        self.settings = settings
        self._names = Names(settings.project, settings.location)
        self._checksums = Checksums(SYSTEM)
        self._operations = Operations(self._connection, self._pages, self._checksums, clock)
        self._now = now

    @classmethod
    @configuring
    def from_settings(cls, settings: Mapping[str, Any], environ: Mapping[str, str]) -> Self:
        """Build from ``key_management_settings`` and an environment. Raises ConfigError."""
        return cls(GoogleSettings.from_mapping(SYSTEM, settings, environ))

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is served although it could not be checked."""
        return self._checksums.remarks

    def can_name(self, name: str) -> bool:
        """Whether a secret can be created by this name."""
        return self._names.has(name)

    def spelled(self, name: str) -> str:
        """The id that Google has for a secret's name."""
        return self._names.target(name).id

    def same_secret(self, name: str, other: str) -> bool:
        """Whether ``name`` and ``other`` may be two spellings of one secret's name: plain, or a resource name."""
        return self._names.may_be_same(name, other)

    def spellings(self, name: str) -> frozenset[str]:
        """What else the secret may be called: two spellings of one secret's name have one of these in common."""
        return self._names.spellings(name)

    def check_value(self, name: str, payload: Payload) -> None:
        """Raise what ``put`` would for a value that Google cannot keep: an empty one, or of more than 64 KiB."""
        bytes_of(name, payload)

    # -- reading

    async def get(self, name: str, version: str | None = None) -> Secret:
        """Read one version, the one that was added last by default.

        Google tells late which that is. So what this process has seen is remembered for an hour, and where the answer
        contradicts it, what is there by its number decides.
        """
        return await self._read(name, version, self._operations.latest)

    async def get_current(self, name: str, version: str | None = None) -> Secret:
        """As ``get``, whatever lags: where no version is given, each number is asked for until there is no more."""
        return await self._read(name, version, self._operations.current)

    async def may_lag(self) -> bool:
        """No: see ``get_current``."""
        return False

    async def list(self, prefix: str = "") -> builtins.list[str]:
        """Return the names that start with ``prefix``, in the project and location of the settings.

        A secret that no plain name leads to is listed by its resource name. 400 names take a call; a list that did not
        come to its end goes on where it stopped if it is asked for again within 30 seconds.
        """
        nowhere = Target("", await self._project(), self.settings.location, "")
        wanted = {"parent": nowhere.parent, "filter": self._names.filter(prefix), "page_size": _PAGE}
        found = await self._operations.all("ListSecrets", nowhere, wanted, partial(names_of, nowhere, self._names))
        return sorted({name for name in found if name.startswith(prefix)})

    async def versions(self, name: str) -> builtins.list[VersionInfo]:
        """Return every version, oldest first, the destroyed ones included; the one that was added last is current."""
        target = await self._target(name)
        wanted = {"parent": target.resource, "page_size": _PAGE}
        found = await self._operations.all("ListSecretVersions", target, wanted, partial(versions_of, target))
        found.sort(key=lambda version: int(version.version))
        return [*found[:-1], *(replace(last, current=True) for last in found[-1:])]

    async def metadata(self, name: str) -> SecretMetadata:
        """Return what is known of a secret. ``custom`` are its annotations."""
        secret, versions = await self._operations.secret(await self._target(name)), await self.versions(name)
        if secret is None:
            raise _not_found(name, _NOWHERE)
        return SecretMetadata(
            current_version=versions[-1].version if versions else None,
            versions=tuple(versions),
            created=moment(secret.create_time),
            updated=versions[-1].created if versions else None,
            custom={key: text for key, text in secret.annotations.items() if key != CLAIM},
        )

    async def _read(self, name: str, version: str | None, newest: Callable[[Target], Awaitable[Answer]]) -> Secret:
        target, word = await self._target(name), version_word(version)
        if word is None:
            text = f"no version can be called {str(version)[:80]!a}: it is a number or an alias"
            raise _not_found(name, text)
        await self._look_for_end(target)
        answer = await (newest(target) if word == LATEST else self._operations.value(target, word))
        if isinstance(answer, SecretNotFoundError):
            raise await self._explained(target, answer)
        return answer

    async def _explained(self, target: Target, error: SecretNotFoundError) -> SecretNotFoundError:
        """The error of a version that is disabled, or is to be destroyed: Google says the same of both."""
        if error.reason != "disabled" or error.version is None:
            return error
        try:
            version = await self._operations.version(target, error.version)
        except ProviderError:  # who may read values may not always look at versions
            return error
        if version is None or state_of(version) != "pending_deletion":
            return error
        return absent(target.name, "pending_deletion", error.version, moment(version.create_time))

    # -- writing

    async def put(self, name: str, payload: Payload, *, cas: str | None = None, token: str = "") -> Secret:
        """Add a version; create the secret if it is not there.

        With ``cas``, the number of a version, only if that one was added last; ``"0"``: only if there is none. See
        ``asyncsecrets.providers.google.swap``: it takes more permissions and calls.
        """
        data = bytes_of(name, payload)
        target = await self._target(name)
        await self._look_for_end(target)
        made = partial(new_secret, self.settings, target.location)
        if cas is None:
            number = await self._add(target, data, made)
        else:
            number = await Swap(self._operations, target, data, cas, token, made, self._now).apply()
        return self._operations.secret_of(target, data, number)

    async def delete(self, name: str) -> None:
        """Delete the secret with all its versions, for good.

        Nothing less would do: a disabled version can be restored, and goes on being charged for (``delete_versions``).
        """
        await self._operations.delete(await self._target(name))

    async def delete_versions(self, name: str, versions: Sequence[str]) -> None:
        """Disable these versions."""
        await self._change("DisableSecretVersion", name, versions)

    async def restore(self, name: str, versions: Sequence[str] | None = None) -> None:
        """Enable these versions, or the one that was added last, also if it is to be destroyed.

        Raises SecretNotFoundError for what is destroyed, and for a secret that was deleted.
        """
        target = await self._target(name)
        if versions is None:
            answer = await self._operations.current(target)
            if isinstance(answer, Secret):
                return
            if answer.reason != "disabled":
                raise answer
            versions = [str(answer.version)]
        for number in _numbers(name, versions):
            found = await self._operations.version(target, number)
            if found is None:
                raise _not_found(name, f"there is no version {number}, or the secret was deleted, which is for good")
            if state_of(found) == "destroyed":
                raise absent(name, "destroyed", number, moment(found.create_time))
        for number in versions:
            if not await self._operations.change("EnableSecretVersion", target, number):
                raise absent(name, "destroyed", number)

    async def destroy(self, name: str, versions: Sequence[str] | None = None) -> None:
        """Destroy these versions, after their secret's ``version_destroy_ttl``; or delete the secret."""
        if versions is None:
            await self.delete(name)
        else:
            await self._change("DestroySecretVersion", name, versions)

    async def write_metadata(
        self,
        name: str,
        *,
        custom: Mapping[str, str] | None = None,
        delete_version_after: str | None = None,
        max_versions: int | None = None,
        cas_required: bool | None = None,
    ) -> None:
        """Replace the annotations by ``custom``. Raises UnsupportedOperationError for the rest."""
        target = await self._target(name)
        if (delete_version_after, max_versions, cas_required) != (None, None, None):
            text = "Google keeps custom metadata (annotations) of a secret and none of those settings"
            raise fault(UnsupportedOperationError, SYSTEM, name, text)

        async def change(annotations: dict[str, str]) -> Mapping[str, str] | None:
            claim = {key: text for key, text in annotations.items() if key == CLAIM}
            return None if custom is None else {**custom, **claim}

        if not await self._operations.annotate(target, change):
            raise _not_found(name, _NOWHERE)

    async def _add(self, target: Target, data: bytes, made: Callable[[Mapping[str, str]], Mapping[str, Any]]) -> str:
        number = await self._operations.add(target, data)
        if number is None:
            await self._operations.create(target, made({}))  # or somebody else has, in between
            number = await self._operations.add(target, data)
        if number is None:
            text = "the secret was created, and Google does not know it everywhere yet, or it was deleted at once"
            raise fault(UnavailableError, SYSTEM, target.name, text)
        return number

    async def _change(self, operation: str, name: str, versions: Sequence[str]) -> None:
        target = await self._target(name)
        for number in _numbers(name, versions):
            await self._operations.change(operation, target, number)

    # -- inside

    async def _target(self, name: str) -> Target:
        target = self._names.target(name)
        return target if target.project else replace(target, project=await self._project(name))

    async def _project(self, name: str | None = None) -> str:
        project = self.settings.project or await self._connection.project(name)
        if not PROJECT.fullmatch(project):
            text = "the credentials (or GOOGLE_CLOUD_PROJECT) do not say of which project they are"
            raise ConfigError(f"{SYSTEM}: {text}: set GOOGLE_SECRET_MANAGER_PROJECT_ID")
        return project

    async def _look_for_end(self, target: Target) -> None:
        """Where new secrets are given an end, know that of this one. Who may not look serves it without.

        So does who looks at too many at once: Google lets values be read 150 times as often as what is about them.
        """
        if not self.settings.ttl:
            return
        known = self._operations.ends.get(target.resource)
        if known is None or (known[0] is not None and known[0].timestamp() <= self._now()):
            try:
                await self._operations.secret(target)
            except AccessDeniedError:
                self._operations.ends.note(target.resource, (None,))
            except RateLimitedError:
                return  # it is looked at again with the next read


_not_found: Final = partial(fault, SecretNotFoundError, SYSTEM)
_NOWHERE: Final = "there is no such secret"


def _numbers(name: str, versions: Sequence[str]) -> Sequence[str]:
    """Versions that are a list of numbers: under an alias another version may be found than was meant."""
    if isinstance(versions, str) or not all(is_number(version) for version in versions):
        text = "versions that are to be changed are a list of numbers"
        raise fault(UnsupportedOperationError, SYSTEM, name, text)
    return versions
