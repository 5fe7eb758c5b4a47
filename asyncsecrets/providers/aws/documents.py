"""What Secrets Manager's answers hold, checked member by member, and what a value is in a request."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from asyncsecrets.errors import DecodeError
from asyncsecrets.providers import call as calling
from asyncsecrets.providers.aws.names import CURRENT, SYSTEM, answers
from asyncsecrets.providers.base import VersionInfo
from asyncsecrets.secret import Payload, Secret

__all__ = ["check_subject", "malformed", "names_of", "parameter_of", "secret_of", "version_id", "versions_of"]

_LARGEST: Final = 65_536


_ANY: Final[Mapping[str, str]] = {}


def secret_of(name: str, answer: Mapping[str, Any] | None, selected: Mapping[str, str] = _ANY) -> Secret:
    """The secret in an answer to a read of ``name``, of the version ``selected``. Raises MalformedResponseError."""
    if answer is None or not isinstance(answer.get("Name"), str):
        raise malformed(name, "the answer names no secret")
    check_subject(name, answer)
    if not _is_of(answer, **selected):
        raise malformed(name, "the answer is of another version than was asked for")
    created = moment(answer.get("CreatedDate"))
    return Secret(_payload(name, answer), name=name, version=version_id(name, answer), created=created)


def _is_of(answer: Mapping[str, Any], VersionId: str | None = None, VersionStage: str | None = None) -> bool:  # noqa: N803
    stages = answer.get("VersionStages")
    if VersionStage is not None and isinstance(stages, list) and VersionStage not in stages:
        return False
    return VersionId is None or answer.get("VersionId") == VersionId


def check_subject(name: str, answer: Mapping[str, Any], *, written: bool = False) -> None:
    """Raise MalformedResponseError for an answer about another secret than ``name``.

    Where something was ``written``, its outcome is unknown then.
    """
    if not answers(name, answer):
        error = malformed(name, "the answer is about another secret; use the whole ARN or the name")
        error.outcome_unknown = written
        raise error


def names_of(page: Mapping[str, Any]) -> list[str]:
    """The names on a page of a list of secrets. Raises MalformedResponseError."""
    return [name for entry in _entries(None, page, "SecretList") if isinstance(name := entry.get("Name"), str)]


def versions_of(name: str, page: Mapping[str, Any]) -> list[VersionInfo]:
    """What a page of a list of the versions of ``name`` says. Raises MalformedResponseError."""
    return [_version_info(entry) for entry in _entries(name, page, "Versions")]


def _entries(name: str | None, page: Mapping[str, Any], member: str) -> list[dict[str, Any]]:
    found = page.get(member)
    if not isinstance(found, list):
        raise malformed(name, f"the answer has no {member}")
    return found


def _version_info(entry: Mapping[str, Any]) -> VersionInfo:
    stages = entry.get("VersionStages")
    current = isinstance(stages, list) and CURRENT in stages
    return VersionInfo(str(entry.get("VersionId")), moment(entry.get("CreatedDate")), current=current)


malformed: Final = partial(calling.malformed, SYSTEM, "is the endpoint AWS?")
"""The error for an answer that is not one of Secrets Manager's: see ``asyncsecrets.providers.call``."""


def moment(value: Any) -> datetime | None:
    """A time of AWS, which botocore reads in the zone of this machine."""
    return value.astimezone(UTC) if isinstance(value, datetime) else None


def _payload(name: str, answer: Mapping[str, Any]) -> Payload:
    text, binary = answer.get("SecretString"), answer.get("SecretBinary")
    if isinstance(text, str) and binary is None and _is_unicode(text):
        return text
    if isinstance(binary, bytes) and text is None:
        return binary
    raise malformed(name, "the answer has no value, or one that is neither text nor binary")


def version_id(name: str, answer: Mapping[str, Any] | None, *, written: str = "") -> str:
    """The id of the version that an answer is about. Raises MalformedResponseError.

    ``written``: the id that a write gave to its version; if the answer is of another, the outcome is unknown.
    """
    version = (answer or {}).get("VersionId")
    if not isinstance(version, str) or not version or (written and version != written):
        error = malformed(name, "the answer names no version" if not version else "the answer is of another version")
        error.outcome_unknown = bool(written)
        raise error
    return version


def parameter_of(name: str, payload: Payload) -> dict[str, Any]:
    """The parameter that carries ``payload``. Raises DecodeError, before anything is sent, for what AWS cannot keep."""
    size = len(payload.encode("utf-8", "surrogatepass") if isinstance(payload, str) else payload)
    if not 0 < size <= _LARGEST:
        raise DecodeError(f"{SYSTEM}: {name!r}: a value is 1 to {_LARGEST:,} bytes there, and this one has {size:,}")
    if isinstance(payload, bytes):
        return {"SecretBinary": payload}
    if not _is_unicode(payload):
        raise DecodeError(f"{SYSTEM}: {name!r}: the value has lone surrogates, which are not text")
    return {"SecretString": payload}


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)
