"""AzureKeyVaultProvider: the secrets of an Azure Key Vault."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, Self

from asyncsecrets.boundary import configuring
from asyncsecrets.errors import (
    AccessDeniedError,
    ConfigError,
    ConflictError,
    SecretNotFoundError,
    UnsupportedOperationError,
)
from asyncsecrets.providers.azure.connection import Connection
from asyncsecrets.providers.azure.documents import MARK, Facts, text_of
from asyncsecrets.providers.azure.names import SYSTEM, Place, is_name, is_version, may_be_same, place_of, spellings
from asyncsecrets.providers.azure.operations import Operations
from asyncsecrets.providers.azure.settings import AzureSettings
from asyncsecrets.providers.base import VersionInfo
from asyncsecrets.providers.call import check_whole
from asyncsecrets.providers.guarded import guarded
from asyncsecrets.providers.sdk import SdkProvider
from asyncsecrets.secret import Payload, Secret

__all__ = ["AzureKeyVaultProvider"]

_LIMBO: Final = 5.0  # seconds: less than the six that an attempt at a write has by default, with its login
_PAUSES: Final = (0.1, 1.0)  # seconds: the first one, and the longest
_MOST_TAGS: Final = 14  # of 15, one is ours


@guarded
class AzureKeyVaultProvider(SdkProvider):
    """Reads and writes the secrets of a vault.

    A name is any text: see ``asyncsecrets.providers.azure.names`` for what it is in the vault, and when two names would
    be one there. A version is 32 hexadecimal digits. ``put`` creates what is not there; each version gets the tags,
    content type and dates of ``settings``. Azure has no compare-and-set. ``clock`` is in monotonic seconds, ``now`` in
    those of the epoch; ``sleep`` waits for what Azure takes to delete and to recover.
    """

    system: ClassVar[str] = SYSTEM
    can_name = staticmethod(is_name)
    same_secret = staticmethod(may_be_same)
    spellings = staticmethod(spellings)

    @configuring
    def __init__(
        self,
        settings: AzureSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        if len(settings.tags) > _MOST_TAGS or MARK in settings.tags:
            text = f"tags: a secret has 15, of which asyncsecrets takes one, {MARK}: give {_MOST_TAGS} others at most"
            raise ConfigError(f"{SYSTEM}: {text}")
        if 0 < settings.ttl <= settings.valid_after:
            raise ConfigError(f"{SYSTEM}: with that ttl a secret expires before it is valid: valid_after must be less")
        connection = Connection(SYSTEM, settings)
        super().__init__(settings, connection, clock)
        self.settings = settings
        self._operations = Operations(connection, self._pages, settings, clock, now)
        self._clock, self._now, self._sleep = clock, now, sleep

    @classmethod
    @configuring
    def from_settings(cls, settings: Mapping[str, Any], environ: Mapping[str, str]) -> Self:
        """Build from ``key_management_settings`` and an environment. Raises ConfigError."""
        return cls(AzureSettings.from_mapping(SYSTEM, settings, environ))

    def spelled(self, name: str) -> str:
        """What a secret is called in the vault."""
        return place_of(name).spelled

    def check_value(self, name: str, payload: Payload) -> None:
        """Raise what ``put`` would for a value that a vault cannot keep: one of bytes, or of more than 25 KiB."""
        text_of(place_of(name), payload)

    # -- reading

    async def get(self, name: str, version: str | None = None) -> Secret:
        """Read one version, the newest by default.

        SecretNotFoundError is also what is disabled, has expired or is not valid yet, by its ``reason``.
        """
        place = place_of(name)
        if version is not None and not is_version(version):
            text = f"no version can be called {version[:80]!a}: it is 32 hexadecimal digits"
            raise place.error(SecretNotFoundError, text)
        facts, secret = await self._operations.value(place, version)
        facts.check_owner(place, SecretNotFoundError)
        facts.check_dates(place, self._now())
        return secret

    async def list(self, prefix: str = "") -> builtins.list[str]:
        """Return the names that start with ``prefix``: those that secrets were created by here, and Azure's for others.

        Azure does not search: 25 names take a call. A list that did not come to its end goes on where it stopped if it
        is asked for again within 30 seconds.
        """
        return sorted({name for name in await self._operations.names() if name.startswith(prefix)})

    async def versions(self, name: str) -> builtins.list[VersionInfo]:
        """Return every version, oldest first. Of those of one second nobody tells the order, but which is current."""
        place = place_of(name)
        found = sorted(await self._operations.versions(place), key=lambda facts: facts.age)
        if not found:
            raise place.error(SecretNotFoundError, "there is no such secret")
        found[-1].check_owner(place, SecretNotFoundError)
        if len(found) > 1 and found[-2].age == found[-1].age:
            current = await self._current(place)
            found.sort(key=lambda facts: (facts.age, facts.version == current if current else not facts.enabled))
        now, last = self._now(), found[-1]
        return [VersionInfo(facts.version, facts.created, facts.state(now), facts is last) for facts in found]

    async def _current(self, place: Place) -> str | None:
        """The version that is read if none is named; None where it is handed out to nobody, and so not told."""
        try:
            return (await self._operations.value(place))[0].version
        except SecretNotFoundError as error:
            if error.reason == "absent":
                raise
        return None

    # -- writing

    async def put(self, name: str, payload: Payload, *, cas: str | None = None, token: str = "") -> Secret:  # noqa: ARG002  # Azure has none
        """Add a version; create the secret if it is not there.

        Raises UnsupportedOperationError for ``cas``, ConflictError where a deleted secret has that name (unless it is
        to be recovered, by the setting ``recover_deleted``), and InvalidNameError where a secret was created here by
        another name that Azure does not tell apart.
        """
        place = place_of(name)
        text = text_of(place, payload)
        if cas is not None:
            says = "Azure has no compare-and-set, nor a way to create only; put without cas"
            raise place.error(UnsupportedOperationError, says)
        limbo = self._limbo(place)
        while (facts := await self._put(place, text)) is None:
            if self.settings.recover_deleted:
                await self._recovered(place, limbo)
            await limbo.wait("it is being deleted or recovered")
        return Secret(payload, name=name, version=facts.version, created=facts.created, expires=self._end_of(facts))

    async def _put(self, place: Place, text: str) -> Facts | None:
        owner = await self._operations.owner(place)
        return await self._operations.set(place, text, place.name if owner is None else owner)

    def _end_of(self, facts: Facts) -> datetime | None:
        """When it is served no longer: at once, if it is not valid yet."""
        now = self._now()
        return datetime.fromtimestamp(now, UTC) if facts.state(now) == "not_yet_valid" else facts.expires

    async def delete(self, name: str) -> None:
        """Delete the secret with all its versions, for as many days as the vault keeps what is deleted."""
        await self._delete(place_of(name))

    async def _delete(self, place: Place) -> bool:
        """Whether there was anything to delete."""
        return await self._operations.owner(place) is not None and await self._operations.delete(place)

    async def restore(self, name: str, versions: Sequence[str] | None = None) -> None:
        """Recover the deleted secret with all its versions, and wait until it can be read.

        Raises SecretNotFoundError where there is none, ConflictError where it takes long, and UnsupportedOperationError
        for ``versions``.
        """
        check_whole(SYSTEM, name, versions, "Azure recovers")
        place = place_of(name)
        limbo = self._limbo(place)
        if not await self._recovered(place, limbo):
            if await self._operations.newest(place) is None:
                raise place.error(SecretNotFoundError, "there is no such secret, neither deleted nor not")
            return
        with contextlib.suppress(AccessDeniedError):  # who may not read it cannot tell
            while await self._operations.newest(place) is None:
                await limbo.wait("it is being recovered")

    async def destroy(self, name: str, versions: Sequence[str] | None = None) -> None:
        """Delete the secret, if it is not deleted, and purge it.

        Raises UnsupportedOperationError for ``versions``, and where the vault does not let it be purged: it is deleted;
        ConflictError where it is not yet, and that takes long.
        """
        check_whole(SYSTEM, name, versions, "Azure purges")
        place = place_of(name)
        is_deleted, limbo = await self._delete(place), self._limbo(place)
        while True:
            found = await self._operations.deleted(place)
            if found is not None and not found.purgeable:
                text = "it is deleted, and the vault has purge protection: Azure purges it when its days are over"
                raise place.error(UnsupportedOperationError, text)
            if (found is not None or not is_deleted) and await self._operations.purge(place) is not None:
                return
            await limbo.wait("it is being deleted, and not purged yet")

    async def _recovered(self, place: Place, limbo: Limbo) -> bool:
        """Recover what is deleted; whether there was anything."""
        while True:
            found = await self._operations.deleted(place)
            if found is None and await self._operations.newest(place) is not None:
                return False
            if (begun := await self._operations.recover(place)) is not None:
                return begun
            await limbo.wait("it is being deleted")

    def _limbo(self, place: Place) -> Limbo:
        return Limbo(place, self._clock, self._sleep)


class Limbo:
    """Waits, ever longer, for what Azure takes some seconds for; but not for longer than whoever asks has time."""

    def __init__(self, place: Place, clock: Callable[[], float], sleep: Callable[[float], Awaitable[object]]) -> None:
        self._place, self._clock, self._sleep = place, clock, sleep
        self._ends = clock() + _LIMBO
        self._pause, self._longest = _PAUSES

    async def wait(self, what: str) -> None:
        """Wait for a moment. Raises ConflictError where there is no time left: the vault is well, and answers."""
        if self._clock() + self._pause > self._ends:
            text = f"{what}, for longer than {_LIMBO:g} s; try again in a moment"
            raise self._place.error(ConflictError, text)
        await self._sleep(self._pause)
        self._pause = min(2 * self._pause, self._longest)
