"""KV version 2: every secret a JSON object with versions."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from yarl import URL

from asyncsecrets.errors import (
    AsyncSecretsError,
    ConfigError,
    ConflictError,
    MalformedResponseError,
    SecretNotFoundError,
)
from asyncsecrets.exact import Number
from asyncsecrets.providers.base import SecretMetadata, VersionInfo
from asyncsecrets.providers.vault.arguments import patch_body
from asyncsecrets.providers.vault.client import VaultClient
from asyncsecrets.providers.vault.documents import (
    as_kept,
    body_of,
    common_secret,
    confirm,
    data_of,
    malformed,
    metadata_of,
    moment,
    object_text,
    secret_body,
    versioned_data_of,
)
from asyncsecrets.providers.vault.errors import Answer, Call, Operation, errors_in, translate
from asyncsecrets.providers.vault.paths import SYSTEM, Paths
from asyncsecrets.secret import Secret

__all__ = ["KV2"]

_CAS_TRIES: Final = 10  # each one that loses saw another write succeed

_VERSION: Final = re.compile(r"[1-9][0-9]{0,17}")


class KV2:
    """The operations of one KV v2 mount. ``now`` is the wall clock, ``clock`` the monotonic one of a Secret's age.

    ``asking`` asks what a change depends on: of the active node, for the others may not know of it yet.
    """

    version = 2

    def __init__(
        self,
        client: VaultClient,
        paths: Paths,
        *,
        now: Callable[[], datetime],
        clock: Callable[[], float] = time.monotonic,
        asking: VaultClient | None = None,
    ) -> None:
        self._client = client
        self._asking = asking or client
        self._paths = paths
        self._now = now
        self._clock = clock

    async def get(self, name: str, version: str | None = None) -> Secret | None:
        """Read the current version, or a given one. None for an answer that is not of KV v2's kind."""
        call = self._read(name, version)
        answer = await self._client.call(call)
        if version is not None and _absent(answer):
            raise await self._no_version(name, version)
        if answer.status != 200:
            raise translate(call, answer)
        common = common_secret(answer.body)
        if common is not None:
            text, created, number = common
            if version is not None:
                _check_version(call, number, version)
            return Secret(text, name=name, version=number, created=moment(created), clock=self._clock)
        data = versioned_data_of(call, answer)
        if data is None:
            return None
        if version is not None:
            _check_version(call, _version_in(call, data["metadata"]), version)
        return self._secret(call, data["data"], data["metadata"])

    async def put(self, name: str, members: Mapping[str, Any], cas: str | None = None) -> Secret | None:
        """Write a version. Where the mount requires CAS and none is given, the current version is looked up.

        None where it was ``misplaced``.
        """
        kept = as_kept(name, members)
        answer, call, cas = await self._with_cas(lambda cas: self._write(name, kept, cas), name, cas)
        if answer.status == 204:
            return None  # so does KV v1 answer, to which the path is that of a secret
        if answer.status != 200:
            raise translate(call, answer)
        about = data_of(call, answer)
        _check_following(call, _version_in(call, about), cas)
        return self._secret(call, kept, about)

    def other_kind(self, name: str) -> MalformedResponseError:
        """The error for a read whose answer is not of this kind, on a mount that is."""
        return malformed(self._read(name), "the answer is not a KV v2 secret")

    def misplaced(self, name: str) -> ConfigError:
        """The error for a ``put`` on a mount that is of KV v1 now."""
        path = self._call("write", "POST", name, "data").path
        return ConfigError(
            f"{SYSTEM}: {name!r}: the mount answers as one of KV version 1, which it was not before: what was "
            f"written is not at {name!r}, but lies at {path!r} as a secret of its own; remove it there"
        )

    async def patch(self, name: str, changes: Mapping[str, Any], cas: str | None = None) -> str:
        """Merge members into the current version (``None`` removes one), CAS as for `put`; return the new version."""
        answer, call, cas = await self._with_cas(lambda cas: self._patch(name, changes, cas), name, cas)
        if answer.status != 200:
            raise translate(call, answer)
        version = _version_in(call, data_of(call, answer))
        _check_following(call, version, cas)
        return version

    async def delete(self, name: str) -> None:
        """Delete the current version; ``restore`` brings it back."""
        await self._done(self._call("delete", "DELETE", name, "data"))

    async def delete_versions(self, name: str, versions: Sequence[str]) -> None:
        """Delete given versions; ``restore`` brings them back."""
        await self._on_versions("delete versions", name, "delete", versions)

    async def restore(self, name: str, versions: Sequence[str] | None) -> None:
        """Bring back given versions, or the current one. Nothing is changed if one of them is gone for good."""
        wanted = [None] if versions is None else [_number(name, version) for version in versions]
        # The server says 204 to whatever it is told to undelete, be it there or not: so it is asked first.
        deleted = [number for version in wanted if (number := await self._deleted(name, version))]
        if deleted:
            await self._on_versions("restore", name, "undelete", deleted)

    async def _deleted(self, name: str, version: str | None) -> str | None:
        """The number of a version that is deleted, None of one that is not. Raises SecretNotFoundError."""
        call = self._read(name, version)
        answer = await self._asking.call(call)
        if answer.status == 200:
            about = data_of(call, answer).get("metadata")
            if version is not None and isinstance(about, dict):
                _check_version(call, _version_in(call, about), version)
            return None
        if version is not None and _absent(answer):
            raise await self._no_version(name, version)
        error = translate(call, answer)
        if not isinstance(error, SecretNotFoundError) or error.reason != "deleted":
            raise error
        data = data_of(call, answer)
        number = _version_in(call, data.get("metadata", data))
        if version is not None:
            _check_version(call, number, version)
        return number

    async def destroy(self, name: str, versions: Sequence[str] | None) -> None:
        """Remove the data of given versions for good, or all versions and the metadata."""
        if versions is None:
            await self._done(self._call("delete", "DELETE", name, "metadata"))
        else:
            await self._on_versions("destroy", name, "destroy", versions)

    async def metadata(self, name: str) -> SecretMetadata:
        """Read what is kept about a secret."""
        call = self._call("metadata", "GET", name, "metadata")
        answer = await self._client.call(call)
        if answer.status != 200:
            raise translate(call, answer)
        return metadata_of(call, answer, self._now)

    async def write_metadata(self, name: str, document: Mapping[str, Any]) -> None:
        """Change what is kept about a secret; members left out stay as they are."""
        await self._done(self._call("write metadata", "POST", name, "metadata", body_of(document)))

    async def versions(self, name: str) -> list[VersionInfo]:
        """Every version still known, oldest first."""
        found = (await self.metadata(name)).versions
        if not found:
            raise SecretNotFoundError(f"{SYSTEM}: {name!r} has no version", provider=SYSTEM, name=name)
        return list(found)

    def folder(self, folder: str, query: str) -> URL:
        """The URL that lists a folder."""
        return self._paths.folder(folder, "metadata", query)

    async def _write(self, name: str, members: Mapping[str, Any], cas: str | None) -> tuple[Answer, Call]:
        call = self._call("write", "POST", name, "data", secret_body({"data": members, **_options(name, cas)}))
        return await self._client.call(call), call

    async def _patch(self, name: str, changes: Mapping[str, Any], cas: str | None) -> tuple[Answer, Call]:
        body = patch_body(name, {"data": changes, **_options(name, cas)})
        call = self._call("patch", "PATCH", name, "data", body)
        return await self._client.call(call), call

    async def _with_cas(
        self, write: Callable[[str | None], Awaitable[tuple[Answer, Call]]], name: str, cas: str | None
    ) -> tuple[Answer, Call, str | None]:
        """Write; where CAS is required and none given, with the current version as cas. Also returns what cas was.

        Who comes in between is no conflict of a caller that gave no cas: then it is looked up again.
        """
        answer, call = await write(cas)
        if cas is not None or not _says(answer, "check-and-set parameter required"):
            return answer, call, cas
        for _ in range(_CAS_TRIES):
            cas = await self._current(name)
            answer, call = await write(cas)
            if not _says(answer, "check-and-set parameter did not match"):
                return answer, call, cas
        raise ConflictError(
            f"{SYSTEM}: {name!r}: its mount accepts writes with cas only, and others changed it before each of "
            f"{_CAS_TRIES} tries; write it again",
            provider=SYSTEM,
            name=name,
        )

    async def _current(self, name: str) -> str:
        """The version number that CAS compares with, that of a deleted version included; "0" where there is none."""
        call = self._read(name)
        answer = await self._asking.call(call)
        if _absent(answer):
            return "0"
        metadata = data_of(call, answer).get("metadata") if answer.status in {200, 404} else None
        if not isinstance(metadata, dict):
            raise translate(call, answer)
        return _version_in(call, metadata)

    def _read(self, name: str, version: str | None = None) -> Call:
        query = f"version={_number(name, version)}" if version is not None else ""
        return self._call("read", "GET", name, "data", query=query)

    async def _no_version(self, name: str, version: str) -> SecretNotFoundError:
        """The error for a version that is not there: the server's answer does not tell it from a missing secret."""
        try:
            current = await self._current(name)
        except AsyncSecretsError:
            what = f"it has no version {version}, or does not exist"
        else:
            what = f"it has no version {version}; the current one is {current}" if int(current) else "it does not exist"
        return SecretNotFoundError(f"{SYSTEM}: {name!r}: {what}", provider=SYSTEM, name=name)

    async def _on_versions(self, operation: Operation, name: str, api: str, versions: Sequence[str]) -> None:
        numbers = [int(_number(name, version)) for version in versions]
        await self._done(self._call(operation, "POST", name, api, body_of({"versions": numbers})))

    async def _done(self, call: Call) -> None:
        answer = await self._client.call(call)
        if answer.status not in {200, 204}:
            raise translate(call, answer)
        if answer.status == 200:
            confirm(call, answer)

    def _call(
        self, operation: Operation, method: str, name: str, api: str, body: bytes | None = None, query: str = ""
    ) -> Call:
        url = self._paths.secret(name, api, query)
        return Call(operation, method, url, name, body, within=self._paths.login_namespace)

    def _secret(self, call: Call, members: Any, metadata: dict[str, Any]) -> Secret:
        return Secret(
            object_text(call, members),
            name=call.name or "",
            version=_version_in(call, metadata),
            created=moment(metadata.get("created_time")),
            # Set ahead by delete_version_after: from then on the server answers as if somebody had deleted the version.
            expires=moment(metadata.get("deletion_time")),
            clock=self._clock,
        )


def _number(name: str, version: str) -> str:
    # The server would read 0 and negative numbers as "the latest", which is not what was asked for.
    if _VERSION.fullmatch(version):
        return version
    raise SecretNotFoundError(
        f"{SYSTEM}: {name!r} has no such version: KV v2 numbers them from 1", provider=SYSTEM, name=name
    )


def _options(name: str, cas: str | None) -> dict[str, Any]:
    if cas is None:
        return {}
    if cas == "0" or _VERSION.fullmatch(cas):
        return {"options": {"cas": int(cas)}}
    raise ConflictError(
        f"{SYSTEM}: {name!r}: cas is not a version number, so it cannot be the current version",
        provider=SYSTEM,
        name=name,
    )


def _absent(answer: Answer) -> bool:
    return answer.status == 404 and errors_in(answer.body) == []


def _says(answer: Answer, refusal: str) -> bool:
    return answer.status == 400 and any(refusal in text for text in errors_in(answer.body) or ())


def _version_in(call: Call, metadata: Mapping[str, Any]) -> str:
    version = metadata.get("version")
    number = str(version) if isinstance(version, int | Number) else ""
    if not _VERSION.fullmatch(number):
        raise malformed(call, "the answer names no version")
    return number


def _check_version(call: Call, version: str, wanted: str) -> None:
    """Refuse an answer of another version than was asked for."""
    if version != wanted:
        raise malformed(call, "the answer is of another version than was asked for")


def _check_following(call: Call, version: str, cas: str | None) -> None:
    """Refuse the answer to another write: ours, if it was applied, made the version that follows ``cas``."""
    if cas is not None and int(version) != int(cas) + 1:
        raise malformed(call, "the answer is of another version than follows cas")
