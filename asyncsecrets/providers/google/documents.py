"""What Secret Manager's answers hold, checked member by member, and what a secret is in a request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

from asyncsecrets.errors import (
    AccessDeniedError,
    AsyncSecretsError,
    ConflictError,
    DecodeError,
    NotFoundReason,
    SecretNotFoundError,
)
from asyncsecrets.providers import call as calling
from asyncsecrets.providers.base import VersionInfo
from asyncsecrets.providers.google.errors import Call
from asyncsecrets.providers.google.names import SYSTEM, Names, Target, is_number
from asyncsecrets.providers.google.settings import GoogleSettings
from asyncsecrets.secret import Payload, Secret

__all__ = [
    "CLAIM",
    "absent",
    "bytes_of",
    "check_subject",
    "conflict",
    "malformed",
    "meaning",
    "moment",
    "names_of",
    "new_secret",
    "state_of",
    "version_of",
    "versions_of",
]

CLAIM: Final = "asyncsecrets-next"
"""The annotation of a secret in which a compare-and-set says which version it is about to add."""

_LARGEST: Final = 65_536
_STATES: Final[Mapping[int, str]] = {1: "enabled", 2: "disabled", 3: "destroyed"}  # SecretVersion.State
_STATE: Final = re.compile(r"/versions/(?P<version>[1-9][0-9]{0,18})\W{0,3} is in (?P<state>DISABLED|DESTROYED) state")


# -- requests


def bytes_of(name: str, payload: Payload) -> bytes:
    """What is kept of ``payload``. Raises DecodeError, before anything is sent, for what Google cannot keep."""
    data = Secret(payload, name=name).reveal_bytes()
    if not 0 < len(data) <= _LARGEST:
        raise DecodeError(f"{SYSTEM}: {name!r}: a value has 1 to {_LARGEST:,} bytes there, and this one {len(data):,}")
    return data


def new_secret(settings: GoogleSettings, location: str, annotations: Mapping[str, str]) -> dict[str, Any]:
    """The secret to create at ``location``. ``{region}`` in the key stands for the place of a replica."""
    lifetimes = {"ttl": settings.ttl, "version_destroy_ttl": settings.version_destroy_ttl}
    secret: dict[str, Any] = {
        "labels": dict(settings.tags),
        "annotations": {**settings.annotations, **annotations},
        **{key: timedelta(seconds=seconds) for key, seconds in lifetimes.items() if seconds},
    }
    if location:
        return {**secret, **_encryption(settings.kms_key_id, location)}
    if not settings.replica_regions:
        return {**secret, "replication": {"automatic": _encryption(settings.kms_key_id, "global")}}
    replicas = [{"location": place, **_encryption(settings.kms_key_id, place)} for place in settings.replica_regions]
    return {**secret, "replication": {"user_managed": {"replicas": replicas}}}


def _encryption(key: str, region: str) -> dict[str, Any]:
    return {"customer_managed_encryption": {"kms_key_name": key.replace("{region}", region)}} if key else {}


# -- answers


malformed: Final = partial(calling.malformed, SYSTEM, "is the endpoint Google?")
"""The error for an answer that is not one of Secret Manager's: see ``asyncsecrets.providers.call``."""

conflict: Final = partial(calling.fault, ConflictError, SYSTEM)
"""The error, of a name and a text, for what somebody else has changed."""


def check_subject(target: Target, resource: str, *, written: bool = False) -> None:
    """Raise MalformedResponseError for an answer about another secret than ``target``."""
    if not target.is_called(resource):
        raise malformed(target.name, "the answer is about another secret", written=written)


def version_of(target: Target, answer: Any, asked: str = "", *, written: bool = False) -> str:
    """The number of the version that an answer is about, which was ``asked`` for. Raises MalformedResponseError."""
    secret, _, number = answer.name.partition("/versions/")
    check_subject(target, secret, written=written)
    if not is_number(number) or (is_number(asked) and asked != number):
        raise malformed(target.name, "the answer is about another version than was asked for", written=written)
    return str(number)


def moment(time: Any) -> datetime | None:
    """A time of Google's, as a plain one."""
    return datetime.fromtimestamp(time.timestamp(), UTC) if time is not None else None


def state_of(version: Any) -> str:
    """``enabled``, ``disabled``, ``destroyed``; or ``pending_deletion``, until when it can be enabled again."""
    state = _STATES.get(int(version.state), "disabled")
    return "pending_deletion" if state == "disabled" and version.scheduled_destroy_time else state


def versions_of(target: Target, page: Any) -> list[VersionInfo]:
    """What a page of a list says of versions. Raises MalformedResponseError."""
    return [
        VersionInfo(version_of(target, version), moment(version.create_time), state_of(version))
        for version in page.versions
    ]


def names_of(where: Target, names: Names, page: Any) -> list[str]:
    """The names of the secrets on a page of a list. Raises MalformedResponseError for secrets of another place."""
    ids = [secret.name.rpartition("/")[2] for secret in page.secrets]
    if not all(replace(where, id=id_).is_called(secret.name) for id_, secret in zip(ids, page.secrets, strict=True)):
        raise malformed(None, "the answer lists secrets of another place")
    return [names.listed(where.project, id_) for id_ in ids]


def meaning(call: Call, status: str, text: str) -> AsyncSecretsError | None:
    """What a refusal means to whoever reads or adds a value. The text alone tells the state of a version."""
    if status != "FAILED_PRECONDITION":
        return None
    if found := _STATE.search(text):
        return absent(call.name, "destroyed" if found["state"] == "DESTROYED" else "disabled", found["version"])
    return call.error(AccessDeniedError, _OUT_OF_USE)  # which is not absent: it is there, and cannot be had


_OUT_OF_USE: Final = (
    "Google does not let it be used in the state that it is in: is the key of KMS that it is encrypted with disabled "
    "or destroyed?"
)
_REMEDIES: Final[Mapping[str, str]] = {
    "destroyed": "version {0} is destroyed, for good; put a new value",
    "disabled": "version {0} is disabled; restore it (versions=['{0}']), or put a new value",
    "pending_deletion": "version {0} is to be destroyed; until then restore it (versions=['{0}'])",
}


def absent(name: str | None, reason: NotFoundReason, version: str, made: datetime | None = None) -> SecretNotFoundError:
    """The error for a version in a state in which it cannot be read."""
    text, facts = _REMEDIES[reason].format(version), {"reason": reason, "version": version, "created": made}
    return calling.fault(SecretNotFoundError, SYSTEM, name, text, **facts)
