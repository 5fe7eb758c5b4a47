"""The operations of a vault on one secret: each one request, whose answer is looked at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeVar

from azure.core.rest import HttpRequest

from asyncsecrets.errors import (
    AsyncSecretsError,
    ConfigError,
    ConflictError,
    InvalidNameError,
    NotFoundReason,
    SecretNotFoundError,
)
from asyncsecrets.providers.azure.answers import Refusal
from asyncsecrets.providers.azure.connection import Connection
from asyncsecrets.providers.azure.documents import MARK, Facts, malformed, name_in, not_handed_out, version_in
from asyncsecrets.providers.azure.errors import Call
from asyncsecrets.providers.azure.names import Place
from asyncsecrets.providers.azure.settings import AzureSettings
from asyncsecrets.providers.pages import Pages
from asyncsecrets.providers.remembered import Remembered
from asyncsecrets.secret import Secret

__all__ = ["Operations"]

T = TypeVar("T")
Clock = Callable[[], float]

_KNOWN: Final = 300.0
"""For how many seconds it is remembered whose secret it is that a name leads to."""

_METHODS: Final = {
    "DeleteSecret": "DELETE",
    "PurgeDeletedSecret": "DELETE",
    "RecoverDeletedSecret": "POST",
    "SetSecret": "PUT",
}
_LIMBO: Final = dict.fromkeys(("ObjectIsBeingDeleted", "ObjectIsBeingRecovered"))
_ABSENT_OR_LIMBO: Final = {"SecretNotFound": False, "Conflict": None}  # whose inner code may be missing
_DELETED: Final = "ObjectIsDeletedButRecoverable"
_STATES: Final[Mapping[str, NotFoundReason]] = {
    "SecretDisabled": "disabled",
    "SecretExpired": "expired",
    "SecretNotYetValid": "not_yet_valid",
}


class Operations:
    """What is asked over ``connection`` of the vault of ``settings``. ``clock`` is in monotonic seconds, ``now`` in
    those of the epoch."""

    def __init__(self, connection: Connection, pages: Pages, settings: AzureSettings, clock: Clock, now: Clock) -> None:
        self._connection = connection
        self._settings = settings
        self._vault = settings.vault_uri.removesuffix(":443")
        self._now = now
        self._pages = pages
        self._owners: Remembered[str] = Remembered(_KNOWN, clock)

    # -- values

    async def value(self, place: Place, version: str | None = None) -> tuple[Facts, Secret]:
        """One version, the newest by default, whatever its dates are and whoever has created the secret."""

        def take(found: Mapping[str, Any]) -> tuple[Facts, Secret]:
            facts, value = Facts.of(self._vault, place, found, version), found.get("value")
            if not isinstance(value, str):
                raise malformed(place.name, "the answer has no value")
            made, ends = facts.created, facts.expires
            return facts, Secret(value, name=place.name, version=facts.version, created=made, expires=ends)

        path, meaning = f"/secrets/{place.spelled}/{version or ''}", partial(_not_handed_out, place, version)
        found: Any = await self._call("GetSecret", place, path, take, meaning=meaning)
        facts, secret = found
        if version is None:
            self._note(place, facts)
        return facts, secret

    async def set(self, place: Place, text: str, owner: str) -> Facts | None:
        """Add a version of ``place``, with the tag that says whose it is, unless ``owner`` is empty. None: what was
        deleted has that name, in limbo or, if that is to be recovered, for as long as it can be."""
        body = {"value": text, **self._described(owner)}
        take = partial(Facts.of, self._vault, place)
        unless = {**_LIMBO, _DELETED: None} if self._settings.recover_deleted else _LIMBO
        path = f"/secrets/{place.spelled}"
        facts = await self._call("SetSecret", place, path, take, body=body, unless=unless, meaning=_not_set)
        if facts is not None:
            self._note(place, facts)
        return facts

    def _described(self, owner: str) -> dict[str, Any]:
        """What a new version has beside its value, but for what is empty."""
        settings, now = self._settings, self._now()
        dates = {"nbf": settings.valid_after, "exp": settings.ttl}
        members = {
            "tags": {**settings.tags, MARK: owner} if owner else {**settings.tags},
            "contentType": settings.content_type,
            "attributes": {date: int(now + seconds) for date, seconds in dates.items() if seconds},
        }
        return {name: member for name, member in members.items() if member}

    # -- whose it is

    async def owner(self, place: Place) -> str | None:
        """The name that the secret was created by; empty for what was created elsewhere, and where no other name leads
        to it; None where there is no secret. Raises InvalidNameError if it is another name."""
        if not place.shared:
            return ""
        known = self._owners.get(place.key)
        if known in {"", place.name}:
            return known
        facts = await self.newest(place)
        return None if facts is None else facts.owner or ""

    async def newest(self, place: Place) -> Facts | None:
        """What there is to know of the secret, disabled or not. Raises InvalidNameError as ``owner``."""
        try:
            return _admitted(place, (await self.value(place))[0])
        except SecretNotFoundError as error:
            is_absent = error.reason == "absent"
        versions = [] if is_absent else await self.versions(place)
        return _admitted(place, max(versions, key=lambda facts: facts.age, default=None))

    def _note(self, place: Place, facts: Facts) -> None:
        self._owners.note(place.key, facts.owner or "")

    # -- what is deleted

    async def delete(self, place: Place) -> bool:
        """Delete; whether there was anything to delete."""
        path, unless = f"/secrets/{place.spelled}", {"SecretNotFound": False}
        try:
            return bool(await self._change("DeleteSecret", place, path, unless))
        finally:
            self._owners.forget(place.key)

    async def deleted(self, place: Place) -> Facts | None:
        """The newest version of what is deleted and can be recovered."""
        path, take = f"/deletedsecrets/{place.spelled}", partial(Facts.of, self._vault, place)
        found = await self._call("GetDeletedSecret", place, path, take, unless={"SecretNotFound": None})
        return _admitted(place, found)

    async def recover(self, place: Place) -> bool | None:
        """Have a recovery begin. False: there is nothing to recover; None: it is still being deleted, or recovered."""
        path = f"/deletedsecrets/{place.spelled}/recover"
        return await self._change("RecoverDeletedSecret", place, path, _ABSENT_OR_LIMBO)

    async def purge(self, place: Place) -> bool | None:
        """Remove for good what is deleted. False and None as for ``recover``."""
        path = f"/deletedsecrets/{place.spelled}"
        return await self._call("PurgeDeletedSecret", place, path, lambda _: True, unless=_ABSENT_OR_LIMBO)

    async def _change(self, operation: str, place: Place, path: str, unless: Mapping[str, Any]) -> bool | None:
        def take(found: Mapping[str, Any]) -> bool:
            version_in(self._vault, place, found)
            return True

        return await self._call(operation, place, path, take, unless=unless)

    # -- lists

    async def names(self) -> list[str]:
        """The names of all secrets."""
        return await self._all("GetSecrets", None, "/secrets", partial(name_in, self._vault))

    async def versions(self, place: Place) -> list[Facts]:
        """Every version, in no order."""
        path = f"/secrets/{place.spelled}/versions"
        return await self._all("GetSecretVersions", place, path, partial(Facts.of, self._vault, place))

    async def _all(self, operation: str, place: Place | None, path: str, take: Callable[[Any], T]) -> list[T]:
        """What ``take`` makes of each item on each page of what is at ``path``."""

        def page_of(page: Mapping[str, Any]) -> tuple[list[T], str]:
            return [take(item) for item in page.get("value") or ()], page.get("nextLink") or ""

        async def fetch(token: str) -> tuple[list[T], str] | None:
            unless = {"BadParameter": None} if token else {}
            return await self._call(operation, place, token or path, page_of, unless=unless)

        name, key = (place.name, place.key) if place is not None else (None, "")
        return await self._pages.read((operation, key), fetch, endless=partial(malformed, name))

    async def _call(
        self,
        operation: str,
        place: Place | None,
        path: str,
        take: Callable[[Any], T],
        body: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> T | None:
        """As ``Connection.call``."""
        name = place.name if place is not None else None
        request = HttpRequest(_METHODS.get(operation, "GET"), path, headers={"Accept": "application/json"}, json=body)
        answer: T | None = await self._connection.call(operation, name, request, take, **more)
        return answer


def _admitted(place: Place, facts: Facts | None) -> Facts | None:
    """``facts``. Raises InvalidNameError where the secret was created by another name: nothing is done to it by this
    one."""
    if facts is not None:
        facts.check_owner(place, InvalidNameError)
    return facts


def _not_handed_out(place: Place, version: str | None, _: Call, refusal: Refusal) -> SecretNotFoundError | None:
    reason = _STATES.get(refusal.inner)
    return None if reason is None else not_handed_out(place, reason, version)


def _not_set(call: Call, refusal: Refusal) -> AsyncSecretsError | None:
    if refusal.status == 400:  # name and value are looked at before
        return call.error(ConfigError, "Azure finds the settings of new secrets invalid: check tags and content_type")
    return call.error(ConflictError, _RECOVERABLE) if refusal.inner == _DELETED else None


_RECOVERABLE: Final = (
    "a secret that was deleted has this name: restore it, destroy it (purge), or set recover_deleted: true, which "
    "recovers it and adds a version"
)
