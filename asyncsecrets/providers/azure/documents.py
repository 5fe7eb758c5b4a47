"""What a vault's answers hold, checked member by member, and what a secret is in a request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, Literal

from asyncsecrets.errors import (
    DecodeError,
    InvalidNameError,
    NotFoundReason,
    SecretNotFoundError,
    UnsupportedOperationError,
)
from asyncsecrets.providers import call as calling
from asyncsecrets.providers.azure.names import SYSTEM, Place, listed, marked
from asyncsecrets.secret import Payload, Secret

__all__ = ["MARK", "Facts", "malformed", "name_in", "not_handed_out", "text_of", "version_in"]

MARK: Final = "asyncsecrets-name"
"""The tag that has the exact name of a secret that was created here."""

_LARGEST: Final = 25 * 1024
_ID: Final = re.compile(
    r"(?P<vault>https://[A-Za-z0-9.:-]{1,259})/secrets/(?P<name>[0-9A-Za-z-]{1,127})(?:/(?P<version>[0-9a-f]{32}))?",
    re.ASCII,
)
State = Literal["enabled", "disabled", "expired", "not_yet_valid"]


def text_of(place: Place, payload: Payload) -> str:
    """What is kept of ``payload``. Raises, before anything is sent, for what a vault cannot keep.

    Source of the limit: "About Azure Key Vault secrets", 25 KB.
    """
    if isinstance(payload, bytes):
        text = "Azure stores text; encode binary values, for example as base64"
        raise place.error(UnsupportedOperationError, text)
    size = len(Secret(payload, name=place.name).reveal_bytes())
    if size > _LARGEST:
        raise place.error(DecodeError, f"a value is at most {_LARGEST:,} bytes there, and this one has {size:,}")
    return payload


# -- answers


malformed: Final = partial(calling.malformed, SYSTEM, "is azure_key_vault_uri a vault?")
"""The error for an answer that is not one of the vault's: see ``asyncsecrets.providers.call``."""


def name_in(vault: str, item: Mapping[str, Any]) -> str:
    """The name of an item of a list. Raises MalformedResponseError."""
    return listed(_parts(vault, None, item)["name"], (item.get("tags") or {}).get(MARK))


def version_in(vault: str, place: Place, found: Mapping[str, Any]) -> str | None:
    """The version that an answer about the secret at ``place`` is of. Raises MalformedResponseError for another's."""
    parts = _parts(vault, place.name, found)
    if parts["name"].lower() != place.key:
        raise malformed(place.name, "the answer is about another secret")
    return parts["version"]


def _parts(vault: str, name: str | None, found: Mapping[str, Any]) -> re.Match[str]:
    """The id in an answer of ``vault`` (``https://host``), in its parts."""
    parts = _ID.fullmatch(found.get("id") or "")
    if parts is None or parts["vault"].lower() != vault:
        raise malformed(name, "the answer is about another vault than was asked")
    return parts


@dataclass(slots=True)  # not frozen: each read makes one
class Facts:
    """What an answer says of a version beside its value. ``owner``: which of the names that are spelled alike the
    secret was created by, if that was here."""

    version: str
    owner: str | None = None
    enabled: bool = True
    created: datetime | None = None
    begins: datetime | None = None
    expires: datetime | None = None
    purgeable: bool = True

    @classmethod
    def of(cls, vault: str, place: Place, found: Mapping[str, Any], asked: str | None = None) -> Facts:
        """Those of the secret at ``place``, of the version that was ``asked`` for.

        Raises MalformedResponseError, and what Python does of members of other types than Azure's.
        """
        version = version_in(vault, place, found)
        if version is None or asked not in {None, version}:
            raise malformed(place.name, "the answer is about another version than was asked for")
        said = found.get("attributes") or {}
        return cls(
            version=version,
            owner=marked(place.key, (found.get("tags") or {}).get(MARK)) if place.shared else None,
            enabled=said.get("enabled") is not False,
            created=_moment(said.get("created")),
            begins=_moment(said.get("nbf")),
            expires=_moment(said.get("exp")),
            purgeable="Purgeable" in (said.get("recoveryLevel") or "Purgeable"),
        )

    @property
    def age(self) -> float:
        """When the version was made, in seconds since the epoch."""
        return self.created.timestamp() if self.created is not None else 0.0

    def state(self, now: float) -> State:
        """``enabled``, or why it is not to be had at ``now``, in seconds since the epoch."""
        if not self.enabled:
            return "disabled"
        if self.expires is not None and self.expires.timestamp() <= now:
            return "expired"
        return "not_yet_valid" if self.begins is not None and self.begins.timestamp() > now else "enabled"

    def check_owner(self, place: Place, kind: type[SecretNotFoundError | InvalidNameError]) -> None:
        """Raise an error of the class ``kind`` where the secret was created by another name that is spelled alike."""
        if self.owner in {None, place.name}:
            return
        text = (
            f"there is no secret of this name: {place.spelled!r} in the vault was created as {self.owner!r} (tag "
            f"{MARK}), and Azure does not tell the two apart; ask for that name, or choose another one"
        )
        more = {"version": self.version, "created": self.created} if kind is SecretNotFoundError else {}
        raise place.error(kind, text, **more)

    def check_dates(self, place: Place, now: float) -> None:
        """Raise SecretNotFoundError for a version outside its dates.

        Azure hands it out all the same, and calls the dates informational ("About Azure Key Vault secrets"). Whoever
        has set one has meant something by it.
        """
        if (state := self.state(now)) != "enabled":
            raise not_handed_out(place, state, self.version, self.created)


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def not_handed_out(
    place: Place, reason: NotFoundReason, version: str | None, made: datetime | None = None
) -> SecretNotFoundError:
    """The error for a version (None: the current one) that is not to be had."""
    text = f"version {version} " if version is not None else "its current version "
    return place.error(SecretNotFoundError, text + _REMEDIES[reason], reason=reason, version=version, created=made)


_REMEDIES: Final[Mapping[str, str]] = {
    "disabled": "is disabled; enable it at Azure, or put a new value",
    "expired": "has expired; put a new value, or change its expiration date (exp) at Azure",
    "not_yet_valid": "is not valid yet; wait, or change its activation date (nbf) at Azure",
}
