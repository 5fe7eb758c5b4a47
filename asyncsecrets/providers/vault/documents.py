"""The shapes inside Vault's answers, checked field by field: what is not as it must be is a MalformedResponseError."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from asyncsecrets import exact
from asyncsecrets.errors import DecodeError, MalformedResponseError, UnsupportedOperationError
from asyncsecrets.providers.base import SecretMetadata, VersionInfo
from asyncsecrets.providers.vault.errors import Answer, Call, document_of
from asyncsecrets.providers.vault.facts import moment
from asyncsecrets.providers.vault.paths import SYSTEM
from asyncsecrets.secret import Payload

__all__ = [
    "INEXACT",
    "as_kept",
    "body_of",
    "common_secret",
    "confirm",
    "data_of",
    "keys_of",
    "metadata_of",
    "moment",
    "numbers_are_exact",
    "object_text",
    "payload_object",
    "secret_body",
    "stored_in",
    "versioned_data_of",
]


def malformed(call: Call, what: str) -> MalformedResponseError:
    """The error for an answer with status 2xx that is not what Vault answers."""
    return MalformedResponseError(
        f"{SYSTEM}: {call.subject}: {what}; is addr really a Vault server?",
        provider=SYSTEM,
        name=call.name,
        outcome_unknown=call.writes,
    )


def confirm(call: Call, answer: Answer) -> None:
    """Refuse a success that is not Vault's: a proxy's page does not say that anything was written."""
    if answer.body and document_of(answer.body) is None:
        raise malformed(call, "the answer is not a Vault document")


def data_of(call: Call, answer: Answer) -> dict[str, Any]:
    """The ``data`` object of an answer."""
    return _data_in(call, document_of(answer.body))


def versioned_data_of(call: Call, answer: Answer) -> dict[str, Any] | None:
    """The ``data`` object of a secret of KV v2, or None where the answer is not of that kind; numbers as ``stored_in``.

    A secret of KV v1 may be a copy of one, member by member. But what answers for it has the lease of its mount, or one
    that the secret sets itself; KV v2 never has any.
    """
    document = _exact_document_of(call, answer)
    data = _data_in(call, document)
    leased = (document or {}).get("lease_duration") not in (None, "0") or not data.keys().isdisjoint({"ttl", "lease"})
    return data if isinstance(data.get("metadata"), dict) and "data" in data and not leased else None


def stored_in(call: Call, answer: Answer) -> dict[str, Any]:
    """The ``data`` object of an answer to a read, its numbers as the server wrote them."""
    return _data_in(call, _exact_document_of(call, answer))


def _data_in(call: Call, document: dict[str, Any] | None) -> dict[str, Any]:
    data = document.get("data") if document is not None else None
    if not isinstance(data, dict):
        raise malformed(call, "the answer is not a Vault document")
    return data


def _exact_document_of(call: Call, answer: Answer) -> dict[str, Any] | None:
    try:
        document = exact.read(answer.body.decode())
    except UnicodeDecodeError:
        return None
    if document is exact.TOO_WIDE:
        raise malformed(call, f"the answer {document.problem}")
    return document if isinstance(document, dict) else None


def object_text(call: Call, members: Any) -> str:
    """A secret's object as JSON text, its members as they are. ``null``, which Vault lets one write, has no members.

    Keys are sorted, as the server sorts them: what put() returns and a later read are the same text then.
    """
    try:
        text = exact.written({} if members is None else members)
        if not text.isascii():
            text.encode()
    except (ValueError, RecursionError):  # a lone surrogate, or deep below: the exception quotes the value
        members = False
    if members is None or (isinstance(members, dict) and all(map(exact.double, exact.numbers_in(members)))):
        return text
    raise malformed(call, "the secret is not a JSON object of text")


_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_TEXT: Final = rb'"[^"\\\x00-\x1f]*"'
_COMMON: Final = re.compile(
    rb'\{"request_id":%(text)s,"lease_id":"","renewable":false,"lease_duration":0,'
    rb'"data":\{"data":(\{%(text)s:%(text)s\}),"metadata":\{"created_time":(%(text)s),"custom_metadata":null,'
    rb'"deletion_time":"","destroyed":false,"version":([1-9][0-9]*)\}\}(?:,"[a-z_]+":(?:null|%(text)s))*\}\s*'
    % {b"text": _TEXT}
)


def common_secret(body: bytes) -> tuple[str, str, str] | None:
    """The object, creation time and version of the commonest answer: one member of plain text, nothing special.

    Matching it whole costs a third of parsing it and writing it out again. None for every other answer.
    """
    match = _COMMON.fullmatch(body)
    if match is None:
        return None
    try:
        return match[1].decode(), match[2][1:-1].decode(), match[3].decode()
    except UnicodeDecodeError:
        return None


def keys_of(call: Call, answer: Answer) -> list[str]:
    """The names a folder holds, those of folders with a slash at the end."""
    data = data_of(call, answer)
    # Nothing there is a 404, but becomes an empty object where the server warns that it does not know our `limit`.
    keys = data.get("keys") if data else []
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise malformed(call, "the list holds no names")
    return keys


def metadata_of(call: Call, answer: Answer, now: Callable[[], datetime]) -> SecretMetadata:
    """A secret's metadata. Whether a deletion time has come is judged by the server's clock, or else by ``now``."""
    data = data_of(call, answer)
    # The Date header has no fractions: what was deleted within its second is deleted.
    moment_there = answer.date + timedelta(seconds=1) if answer.date is not None else now()
    versions, current = data.get("versions"), data.get("current_version")
    custom = data.get("custom_metadata") or {}
    if not isinstance(versions, dict) or not isinstance(current, int) or not isinstance(custom, dict):
        raise malformed(call, "the metadata is incomplete")
    found = [_version(call, number, about, current, moment_there) for number, about in versions.items()]
    return SecretMetadata(
        current_version=str(current) if current else None,
        versions=tuple(sorted(found, key=lambda version: int(version.version))),
        created=moment(data.get("created_time")),
        updated=moment(data.get("updated_time")),
        max_versions=data["max_versions"] if isinstance(data.get("max_versions"), int) else 0,
        cas_required=data.get("cas_required") is True,
        delete_version_after=str(data.get("delete_version_after") or "0s"),
        custom={str(key): str(value) for key, value in custom.items()},
    )


def _version(call: Call, number: str, about: Any, current: int, now: datetime) -> VersionInfo:
    if not _NUMBER.fullmatch(number) or not isinstance(about, dict):
        raise malformed(call, "a version of the metadata has no number")
    deleted = moment(about.get("deletion_time"))
    state = "enabled"
    if about.get("destroyed") is True:
        state = "destroyed"
    elif deleted is not None and deleted <= now:  # delete_version_after sets it in the future
        state = "deleted"
    return VersionInfo(number, moment(about.get("created_time")), state, current=int(number) == current)


def payload_object(payload: Payload, name: str, field_name: str | None) -> dict[str, Any]:
    """The object to store for a payload: ``{field: payload}``, or the payload's own object where there is no field."""
    if isinstance(payload, bytes):
        raise UnsupportedOperationError(
            f"{SYSTEM}: {name!r}: Vault stores text; encode binary values, for example as base64"
        )
    if not _encodable(payload):
        raise DecodeError(f"{name!r}: the value is not text that UTF-8 can express")
    if field_name is not None:
        return {field_name: payload}
    document = exact.read(payload)
    if isinstance(document, dict) and (fault := _unfit(document)):
        document = fault
    if isinstance(document, dict):
        return document
    why = document.problem if isinstance(document, exact.Flaw) else "is not one"
    raise DecodeError(
        f"{name!r}: secret_field is empty, so the value must be the text of a JSON object, and this {why}"
    )


def _unfit(document: dict[str, Any]) -> exact.Flaw | None:
    """Why no KV engine keeps an object, if so."""
    level: list[Any] = [document]
    for _ in range(_DEEPEST):
        level = [inside for value in level if isinstance(value, dict | list) for inside in exact.inside(value)]
    if level:
        return exact.TOO_DEEP
    if not _encodable(exact.written(document)):
        return exact.Flaw("has lone surrogates, which are not text")
    fits = all(map(exact.double, exact.numbers_in(document)))
    return None if fits else exact.Flaw(f"holds {INEXACT}")


_DEEPEST: Final = 256  # levels; far from where the interpreter itself gives up

INEXACT: Final = "a number with more digits than Vault keeps (it makes 64-bit floats of them); write it as text"


def as_kept(name: str, members: Mapping[str, Any]) -> Mapping[str, Any]:
    """A secret's members as KV v2 gives them back, numbers as 64-bit floats. Raises DecodeError where those differ."""
    numbers = list(exact.numbers_in(members))
    if not all(map(exact.is_double, numbers)):
        raise DecodeError(f"{name!r}: the value holds {INEXACT}")
    kept: Mapping[str, Any] = _kept(members) if numbers else members
    return kept


def _kept(value: Any) -> Any:
    if isinstance(value, exact.Number):
        return exact.double(value)
    if isinstance(value, dict):
        return {name: _kept(inside) for name, inside in value.items()}
    return [_kept(inside) for inside in value] if isinstance(value, list) else value


def numbers_are_exact(text: str) -> bool:
    """Whether every number of a JSON text comes back as the same number: not 2**53 + 1, and not pi to 30 places."""
    return all(map(exact.is_double, exact.numbers_in(exact.read(text))))


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def body_of(document: Mapping[str, Any]) -> bytes:
    """A request body of plain Python."""
    return _encode(document).encode()


def secret_body(document: Mapping[str, Any]) -> bytes:
    """A request body that holds a secret's members, numbers as they were written."""
    return exact.written(document).encode()


_encode: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":")).encode
