"""VaultProvider: HashiCorp Vault and OpenBao over aiohttp."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from asyncsecrets.errors import (
    AccessDeniedError,
    ClosedError,
    ConfigError,
    MalformedResponseError,
    SecretNotFoundError,
    UnsupportedOperationError,
)
from asyncsecrets.providers.base import SecretMetadata, VersionInfo
from asyncsecrets.providers.vault.arguments import given, metadata_document
from asyncsecrets.providers.vault.auth.keeper import TokenKeeper
from asyncsecrets.providers.vault.auth.methods import login_method
from asyncsecrets.providers.vault.auth.tokens import TokenApi
from asyncsecrets.providers.vault.client import VaultClient
from asyncsecrets.providers.vault.documents import payload_object
from asyncsecrets.providers.vault.http import Transport
from asyncsecrets.providers.vault.kv1 import KV1
from asyncsecrets.providers.vault.kv2 import KV2
from asyncsecrets.providers.vault.listing import folder_of, list_names
from asyncsecrets.providers.vault.mount import Mount
from asyncsecrets.providers.vault.paths import SYSTEM, Paths, encode_name
from asyncsecrets.providers.vault.settings import VaultSettings
from asyncsecrets.secret import Payload, Secret

__all__ = ["VaultProvider"]

Versions = list[VersionInfo]  # within the class, `list` is the method


T = TypeVar("T")


async def _bare(call: Coroutine[Any, Any, T]) -> T:
    """What ``call`` returns; an error about a nonsensical answer leaves the frames behind that hold the answer."""
    try:
        return await call
    except MalformedResponseError as error:
        failure = error.with_traceback(None)
    raise failure


class VaultProvider:
    """Reads and writes one KV mount of one Vault or OpenBao server.

    A secret's payload is its whole JSON object as text; its value is the member ``default_field`` of it (``key``).
    ``put`` takes that value, and the object's text where ``default_field`` is None; it replaces the object.

    A token is got by the first call that needs one and kept alive in the background until ``aclose``. One instance
    serves one event loop at a time. ``clock`` is in monotonic seconds; ``now`` is the wall clock.

    Raises ConfigError when made, for settings that cannot work.
    """

    system: ClassVar[str] = SYSTEM
    guards_writes: ClassVar[bool] = True

    def __init__(
        self,
        settings: VaultSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        token_file_interval: float = 1.0,
    ) -> None:
        self.settings = settings
        self.default_field: str | None = settings.default_field
        self._paths = Paths(settings)
        self._transport = Transport(settings, now)
        self.tokens = TokenKeeper(
            login_method(settings),
            TokenApi(self._transport, self._paths),
            clock=clock,
            renew=settings.renew_token is not False,
            revoke=settings.revoke_on_close,
            file_interval=token_file_interval,
        )
        self._client = VaultClient(self._transport, self.tokens, self._paths.login_namespace)
        kv1 = KV1(self._client, self._paths, clock=clock)
        kv2 = KV2(self._client, self._paths, now=now, clock=clock)
        self._mount = Mount(self._client, self._paths, kv1, kv2, settings.kv_version, clock)

    @classmethod
    def from_settings(
        cls, settings: Mapping[str, Any], environ: Mapping[str, str], *, home: Path | None = None
    ) -> Self:
        """Build from ``key_management_settings`` and an environment: see VaultSettings.from_mapping."""
        return cls(VaultSettings.from_mapping(settings, environ, home=home))

    async def open(self) -> None:
        """Make the HTTP session on the running loop. No request is sent. Raises ConfigError."""
        if not self._transport.is_open:
            await self._transport.open()
            self.tokens.opened()

    async def get(self, name: str, version: str | None = None) -> Secret:
        """Read one secret: see ``Provider``."""
        engine = self._mount.likely
        if isinstance(engine, KV2):
            try:
                secret = await engine.get(name, version)
            except (SecretNotFoundError, AccessDeniedError) as error:
                refusal = error
            except MalformedResponseError as error:
                raise error.with_traceback(None) from None  # its frames hold the answer
            else:
                self._mount.found(name)
                return secret
            absent = getattr(refusal, "reason", "absent") == "absent"
            if absent and version is None:
                self._mount.doubt(name)
            if self._mount.verified or not absent:
                raise refusal
            await self._mount.instead_of(engine, refusal)
        return await self._get_unversioned(name, version)

    async def _get_unversioned(self, name: str, version: str | None) -> Secret:
        engine = await self._engine(name)
        if isinstance(engine, KV2):
            return await _bare(engine.get(name, version))
        if version is not None:
            raise UnsupportedOperationError(f"{SYSTEM}: {name!r}: the mount is KV version 1, which keeps no versions")
        with self._doubting():
            return await _bare(engine.get(name))

    @contextlib.contextmanager
    def _doubting(self) -> Iterator[None]:
        """Have the mount asked again after an error that blames its version."""
        try:
            yield
        except ConfigError:
            self._mount.verified = False
            raise

    async def put(self, name: str, payload: Payload, *, cas: str | None = None, token: str = "") -> Secret:  # noqa: ARG002 - Vault has no idempotency tokens
        """Write one secret: see ``Writer``.

        The whole object is replaced; ``patch`` keeps its other members. Raises UnsupportedOperationError for bytes.
        """
        members = payload_object(payload, name, self.default_field)
        engine = await self._engine(name)
        if isinstance(engine, KV2):
            with self._doubting():
                secret = await _bare(engine.put(name, members, cas))
            self._mount.found(name)
            return secret
        if cas is not None:
            raise UnsupportedOperationError(
                f"{SYSTEM}: {name!r}: the mount is KV version 1, which has no compare-and-set"
            )
        with self._doubting():
            return await engine.put(name, members)

    async def delete(self, name: str) -> None:
        """Delete the current version (KV v2: ``restore`` brings it back) or the secret (KV v1, for good)."""
        await (await self._engine(name)).delete(name)

    async def list(self, prefix: str = "") -> list[str]:
        """Return the names below the configured prefix that start with ``prefix``, deleted ones included."""
        folder_of(prefix, self._paths)  # before any I/O
        self._check_open()
        return await list_names(self._client, self._paths, await self._mount.engine(), prefix)

    async def versions(self, name: str) -> Versions:
        """Return what is known of each version, oldest first. KV v2 only.

        A version with ``delete_version_after`` is ``deleted`` once its time has come by the server's clock, to the
        second (by ours, where a proxy leaves out the ``Date`` header).
        """
        return await (await self._versioned(name, "versions")).versions(name)

    async def restore(self, name: str, versions: Sequence[str] | None = None) -> None:
        """Bring back deleted versions, by default the current one; KV v2 only. One that is not deleted stays as it is.

        Raises SecretNotFoundError, and restores nothing, where one of them is destroyed or never was. Looks before it
        writes, so the policy has to allow reading.
        """
        if versions is not None:
            given(versions)
        await _bare((await self._versioned(name, "restore")).restore(name, versions))

    async def delete_versions(self, name: str, versions: Sequence[str]) -> None:
        """Delete given versions; ``restore`` brings them back. KV v2 only."""
        given(versions)
        await (await self._versioned(name, "versions")).delete_versions(name, versions)

    async def destroy(self, name: str, versions: Sequence[str] | None = None) -> None:
        """Remove the data of given versions for good (KV v2 only), or the secret with its versions and metadata.

        Raises ConfigError for an empty sequence, which never means everything.
        """
        if versions is not None:
            given(versions)
            engine: KV1 | KV2 = await self._versioned(name, "versions")
        else:
            engine = await self._engine(name)
        await (engine.destroy(name, versions) if isinstance(engine, KV2) else engine.delete(name))

    async def patch(self, name: str, changes: Mapping[str, Any], *, cas: str | None = None) -> str:
        """Merge members into the current version (None removes one); return the new version. KV v2 only."""
        return await _bare((await self._versioned(name, "patch")).patch(name, changes, cas))

    async def metadata(self, name: str) -> SecretMetadata:
        """Return a secret's metadata, custom metadata included. KV v2 only."""
        return await (await self._versioned(name, "metadata")).metadata(name)

    async def write_metadata(
        self,
        name: str,
        *,
        custom: Mapping[str, str] | None = None,
        delete_version_after: str | None = None,
        max_versions: int | None = None,
        cas_required: bool | None = None,
    ) -> None:
        """Change a secret's metadata; what is None stays. ``delete_version_after`` is a duration such as ``720h``.

        Raises ConfigError for what the server would refuse or misread: custom metadata are at most 64 keys of up to 128
        bytes, with values of 1 to 512 bytes.
        """
        document = metadata_document(custom, delete_version_after, max_versions, cas_required)
        await (await self._versioned(name, "metadata")).write_metadata(name, document)

    async def aclose(self) -> None:
        """Stop renewing, revoke the token if so configured and it is our own, close the session."""
        if not self._transport.is_open:
            return
        await self.tokens.aclose()
        await self._mount.aclose()
        await self._transport.aclose()

    def abandon(self) -> None:
        """Forget session, timers and tasks of a loop that is gone; the token is kept."""
        self.tokens.abandon()
        self._mount.abandon()
        self._transport.abandon()

    async def _engine(self, name: str) -> KV1 | KV2:
        encode_name(name, self._paths.prefix)  # before any I/O
        self._check_open()
        return await self._mount.engine(name)

    async def _versioned(self, name: str, operation: str) -> KV2:
        encode_name(name, self._paths.prefix)
        self._check_open()
        return await self._mount.versioned(name, operation)

    def _check_open(self) -> None:
        if not self._transport.is_open:
            raise ClosedError("the Vault provider is not open")
