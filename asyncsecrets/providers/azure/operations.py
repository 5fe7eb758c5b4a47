"""The operations of a vault on one secret: each one request, whose answer is looked at."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, Final, TypeVar

from azure.core.exceptions import HttpResponseError
from azure.core.rest import HttpRequest

from asyncsecrets.errors import (
    AsyncSecretsError,
    ConfigError,
    ConflictError,
    InvalidNameError,
    NotFoundReason,
    SecretNotFoundError,
)
from asyncsecrets.providers.azure.connection import Connection
from asyncsecrets.providers.azure.documents import MARK, Facts, absent, check_subject, malformed, name_in, taken
from asyncsecrets.providers.azure.errors import Call, Refusal
from asyncsecrets.providers.azure.names import SYSTEM, Place
from asyncsecrets.providers.azure.settings import AzureSettings
from asyncsecrets.providers.call import is_write
from asyncsecrets.providers.pages import Pages
from asyncsecrets.providers.remembered import Remembered
from asyncsecrets.secret import Secret

__all__ = ["Operations", "age"]

T = TypeVar("T")

_KNOWN: Final = 300.0
"""For how many seconds it is remembered whose secret it is that a name leads to."""
_ABSENT: Final = frozenset({"SecretNotFound"})
_LIMBO: Final = frozenset({"ObjectIsBeingDeleted", "ObjectIsBeingRecovered"})
_CONFLICT: Final = _LIMBO | {"Conflict"}  # whose inner code may be missing: nothing else is one here
_JSON: Final = {"Accept": "application/json"}
_DELETED: Final = frozenset({"ObjectIsDeletedButRecoverable"})
_OUTDATED: Final = frozenset({"BadParameter"})
_STATES: Final[Mapping[str, NotFoundReason]] = {
    "SecretDisabled": "disabled",
    "SecretExpired": "expired",
    "SecretNotYetValid": "not_yet_valid",
}


class Operations:
    """What is asked over ``connection`` of the vault of ``settings``. ``clock`` is in monotonic seconds, ``now`` in
    those of the epoch."""

    def __init__(
        self,
        connection: Connection,
        pages: Pages,
        settings: AzureSettings,
        clock: Callable[[], float],
        now: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._vault = settings.vault_uri.removesuffix(":443")
        self._now = now
        self._pages = pages
        self._owners: Remembered[str] = Remembered(_KNOWN, clock)

    # -- values

    async def value(self, place: Place, version: str | None = None) -> tuple[Facts, Secret]:
        """One version, the newest by default, whatever its dates are and whoever has created the secret."""

        async def get(client: Any) -> tuple[Facts, Secret]:
            found = await _ask(client, "GET", f"/secrets/{place.spelled}/{version or ''}")
            facts = Facts.of(self._vault, place, found, version)
            value = found.get("value")
            if not isinstance(value, str):
                raise malformed(place.name, "the answer has no value")
            return facts, Secret(
                value, name=place.name, version=facts.version, created=facts.created, expires=facts.expires
            )

        facts, secret = await self._call("GetSecret", place, get, meaning=partial(_not_handed_out, place, version))
        if version is None:
            self._note(place, facts)
        return facts, secret

    async def set(self, place: Place, text: str, owner: str) -> Facts | None:
        """Add a version of ``place``, with the tag that says whose it is, unless ``owner`` is empty. None: what was
        deleted has that name, in limbo or, if that is to be recovered, for as long as it can be."""
        body = {"value": text, **self._described(owner)}

        async def set_(client: Any) -> Facts:
            found = await _ask(client, "PUT", f"/secrets/{place.spelled}", body)
            return Facts.of(self._vault, place, found, written=True)

        unless = _LIMBO | _DELETED if self._settings.recover_deleted else _LIMBO
        facts: Facts | None = await self._call("SetSecret", place, set_, unless, _not_set)
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
            facts, _ = await self.value(place)
        except SecretNotFoundError as error:
            versions = [] if error.reason == "absent" else await self.versions(place)
            if not versions:
                return None
            facts = max(versions, key=age)
        check_admitted(place, facts)
        return facts

    def _note(self, place: Place, facts: Facts) -> None:
        self._owners.note(place.key, facts.owner or "")

    # -- what is deleted

    async def delete(self, place: Place) -> bool:
        """Delete; whether there was anything to delete."""
        delete = partial(self._change, place, "DELETE", f"/secrets/{place.spelled}")
        try:
            return bool(await self._call("DeleteSecret", place, delete, _ABSENT))
        finally:
            self._owners.forget(place.key)

    async def deleted(self, place: Place) -> Facts | None:
        """The newest version of what is deleted and can be recovered."""

        async def get(client: Any) -> Facts:
            return Facts.of(self._vault, place, await _ask(client, "GET", f"/deletedsecrets/{place.spelled}"))

        facts: Facts | None = await self._call("GetDeletedSecret", place, get, _ABSENT)
        if facts is not None:
            check_admitted(place, facts)
        return facts

    async def recover(self, place: Place) -> bool | None:
        """Have a recovery begin. False: there is nothing to recover; None: it is still being deleted, or recovered."""
        recover = partial(self._change, place, "POST", f"/deletedsecrets/{place.spelled}/recover")
        return await self._unless_in_limbo("RecoverDeletedSecret", place, recover)

    async def purge(self, place: Place) -> bool | None:
        """Remove for good what is deleted. False and None as for ``recover``."""

        async def purge(client: Any) -> bool:
            await _answer(client, "DELETE", f"/deletedsecrets/{place.spelled}")
            return True

        return await self._unless_in_limbo("PurgeDeletedSecret", place, purge)

    async def _unless_in_limbo(
        self, operation: str, place: Place, work: Callable[[Any], Awaitable[bool]]
    ) -> bool | None:
        try:
            answer: bool | None = await self._call(operation, place, work, _CONFLICT)
        except SecretNotFoundError:
            return False
        return answer

    async def _change(self, place: Place, method: str, path: str, client: Any) -> bool:
        found = await _ask(client, method, path)
        check_subject(self._vault, place, found.get("id"), written=True)
        return True

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

        async def page_of(token: str, client: Any) -> tuple[list[T], str]:
            page = await _ask(client, "GET", token or path)
            return [take(item) for item in page.get("value") or ()], page.get("nextLink") or ""

        async def fetch(token: str) -> tuple[list[T], str] | None:
            unless = _OUTDATED if token else frozenset()
            page: tuple[list[T], str] | None = await self._call(operation, place, partial(page_of, token), unless)
            return page

        name, key = (place.name, place.key) if place is not None else (None, "")
        return await self._pages.read((operation, key), fetch, endless=partial(malformed, name))

    async def _call(
        self,
        operation: str,
        place: Place | None,
        work: Callable[[Any], Awaitable[Any]],
        unless: frozenset[str] = frozenset(),
        meaning: Callable[[Call, Refusal], AsyncSecretsError | None] | None = None,
    ) -> Any:
        try:
            name = place.name if place is not None else None
            return await self._connection.call(operation, name, work, unless=unless, meaning=meaning)
        finally:
            if is_write(operation):
                self._pages.forget()


async def _ask(client: Any, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The object that is answered to a request of Azure's ``client``, which does not look into it: see ``Facts``."""
    found: dict[str, Any] = json.loads((await _answer(client, method, path, body)).content)
    return found


async def _answer(client: Any, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
    """The answer to a request. Raises HttpResponseError for a refusal.

    By ``send_request``, as the client's other methods wait for the end of a limbo, without an end of their own, and
    spend half of a read's time on objects of every member. A stream, as else the client parses what it is.
    """
    request = HttpRequest(method, path, headers=_JSON, json=body)
    answer = await client.send_request(request, stream=True)
    if answer.status_code >= HTTPStatus.BAD_REQUEST:
        raise HttpResponseError(response=answer)
    return answer


def check_admitted(place: Place, facts: Facts) -> None:
    """Raise InvalidNameError where the secret was created by another name: nothing is to be done to it by this one."""
    if facts.owner not in {None, place.name}:
        text = f"{SYSTEM}: {place.name!r}: {taken(place, facts.owner)}"
        raise InvalidNameError(text, provider=SYSTEM, name=place.name)


def age(facts: Facts) -> float:
    """When a version was made, in seconds since the epoch."""
    return facts.created.timestamp() if facts.created is not None else 0.0


def _not_handed_out(place: Place, version: str | None, _: Call, refusal: Refusal) -> SecretNotFoundError | None:
    reason = _STATES.get(refusal.inner)
    return None if reason is None else absent(place, reason, version)


def _not_set(call: Call, refusal: Refusal) -> AsyncSecretsError | None:
    if refusal.status == HTTPStatus.BAD_REQUEST:  # name and value are looked at before
        return ConfigError(call.says("Azure finds the settings of new secrets invalid: check tags and content_type"))
    return call.error(ConflictError, _RECOVERABLE) if refusal.inner in _DELETED else None


_RECOVERABLE: Final = (
    "a secret that was deleted has this name: restore it, destroy it (purge), or set recover_deleted: true, which "
    "recovers it and adds a version"
)
