"""VaultProvider: HashiCorp Vault and OpenBao over aiohttp."""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from asyncsecrets import exact
from asyncsecrets.boundary import configuring
from asyncsecrets.errors import (
    AccessDeniedError,
    AsyncSecretsError,
    ClosedError,
    ConfigError,
    MalformedResponseError,
    ProviderError,
    SecretNotFoundError,
    UnsupportedOperationError,
)
from asyncsecrets.providers.base import SecretMetadata, VersionInfo
from asyncsecrets.providers.guarded import guarded
from asyncsecrets.providers.vault.arguments import given, metadata_document
from asyncsecrets.providers.vault.auth.keeper import TokenKeeper
from asyncsecrets.providers.vault.auth.methods import login_method
from asyncsecrets.providers.vault.auth.tokens import TokenApi
from asyncsecrets.providers.vault.client import VaultClient
from asyncsecrets.providers.vault.documents import as_kept, payload_object
from asyncsecrets.providers.vault.http import Transport
from asyncsecrets.providers.vault.kv1 import KV1
from asyncsecrets.providers.vault.kv2 import KV2
from asyncsecrets.providers.vault.leader import Leader
from asyncsecrets.providers.vault.listing import folder_of, list_names
from asyncsecrets.providers.vault.mount import BELIEVED_FOR, Mount
from asyncsecrets.providers.vault.paths import SYSTEM, Paths, encode_name, is_name
from asyncsecrets.providers.vault.settings import VaultSettings
from asyncsecrets.secret import Payload, Secret

__all__ = ["VaultProvider"]

Versions = list[VersionInfo]  # within the class, `list` is the method


T = TypeVar("T")

_SURE = 1.0  # seconds that the version of a mount is believed before something is done that would not be told


async def _bare(call: Awaitable[T]) -> T:
    """What ``call`` returns; an error about a nonsensical answer leaves the frames behind that hold the answer."""
    try:
        return await call
    except MalformedResponseError as error:
        failure = error.with_traceback(None)
    raise failure


@guarded
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
    tells_sending: ClassVar[bool] = True
    lists_deleted: ClassVar[bool] = True

    @configuring
    def __init__(
        self,
        settings: VaultSettings,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        token_file_interval: float = 1.0,
    ) -> None:
        self.settings = settings
        self.attempt_timeout = settings.attempt_timeout
        self.default_field: str | None = settings.default_field
        self.concurrency = settings.max_connections
        self._paths = Paths(settings)
        self._transport = Transport(settings, now, clock)
        self.tokens = TokenKeeper(
            login_method(settings),
            TokenApi(self._transport, self._paths),
            clock=clock,
            renew=settings.renew_token is not False,
            revoke=settings.revoke_on_close,
            file_interval=token_file_interval,
        )
        self._client = VaultClient(self._transport, self.tokens, self._paths.login_namespace)
        self._leader = Leader(self._transport, clock)
        asking = VaultClient(self._transport, self.tokens, self._paths.login_namespace, self._leader)
        kv1 = KV1(self._client, self._paths, clock=clock)
        self._kv2 = KV2(self._client, self._paths, now=now, clock=clock, asking=asking)
        self._mount = Mount(self._client, self._paths, kv1, self._kv2, settings.kv_version, clock)
        self._current: dict[int, KV1 | KV2] = {
            1: KV1(asking, self._paths, clock=clock),
            2: KV2(asking, self._paths, now=now, clock=clock),
        }

    @classmethod
    @configuring
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

    def can_name(self, name: str) -> bool:
        """Whether a secret can be created by this name."""
        return is_name(name, self._paths.prefix)

    async def get(self, name: str, version: str | None = None) -> Secret:
        """Read one secret: see ``Provider``."""
        mount = self._mount
        engine, since = mount.likely, mount.questions
        if isinstance(engine, KV2):
            secret: Secret | None = None
            refusal: ProviderError | None = None
            try:
                secret = await engine.get(name, version)
            except (SecretNotFoundError, AccessDeniedError) as error:
                refusal = error
            except MalformedResponseError as error:
                raise error.with_traceback(None) from None  # its frames hold the answer
            if secret is not None:
                mount.found(name)
                return secret
            await self._look_elsewhere(engine, name, refusal, since)
        return await self._with(name, lambda engine: self._read(engine, name, version), believed_for=math.inf)

    async def get_current(self, name: str, version: str | None = None) -> Secret:
        """Read one secret from the cluster's active node, or in the state that our last write left: see
        ``CurrentReader``."""
        return await self._with(name, lambda engine: self._read(self._current[engine.version], name, version))

    async def may_lag(self) -> bool:
        """Whether ``get_current`` may be answered by a standby that does not know of every write."""
        return not (self._transport.has_index or await self._leader.answers_for_all())

    async def _look_elsewhere(self, engine: KV2, name: str, refusal: ProviderError | None, since: int) -> None:
        """Find out that the mount is of another engine than it was read with. Raises ``refusal`` if it is not.

        No ``refusal``: the answer was not of that engine's kind.
        """
        if refusal is None:
            refusal = engine.other_kind(name)
        elif isinstance(refusal, SecretNotFoundError):
            if refusal.reason != "absent" or not self._mount.doubts(name, since):
                raise refusal
        elif self._mount.verified:
            raise refusal
        await self._mount.instead_of(engine, refusal, since)

    async def _read(self, engine: KV1 | KV2, name: str, version: str | None) -> Secret:
        if isinstance(engine, KV2):
            secret = await engine.get(name, version)
            if secret is None:
                raise engine.other_kind(name)
            return secret
        if version is not None:
            raise UnsupportedOperationError(f"{SYSTEM}: {name!r}: the mount is KV version 1, which keeps no versions")
        return await engine.get(name)

    async def put(self, name: str, payload: Payload, *, cas: str | None = None, token: str = "") -> Secret:  # noqa: ARG002 - Vault has no idempotency tokens
        """Write one secret: see ``Writer``.

        The whole object is replaced; ``patch`` keeps its other members. Raises UnsupportedOperationError for bytes.
        """
        members = payload_object(payload, name, self.default_field)
        secret = await self._with(name, lambda engine: self._write(engine, name, members, cas))
        if secret is None:
            self._mount.verified = False
            raise self._kv2.misplaced(name)
        return secret

    def check_value(self, name: str, payload: Payload) -> None:
        """Raise what ``put`` would for a value that Vault cannot keep: one of bytes, or no object where it is to be
        one."""
        members = payload_object(payload, name, self.default_field)
        if isinstance(self._mount.likely, KV2):
            as_kept(name, members)

    def as_kept(self, text: str) -> str:
        """What is read after ``text`` was put: see ``Writer``."""
        if self.default_field is not None:
            return text
        members = payload_object(text, "value", None)
        return exact.written(as_kept("value", members) if isinstance(self._mount.likely, KV2) else members)

    async def _write(self, engine: KV1 | KV2, name: str, members: Mapping[str, Any], cas: str | None) -> Secret | None:
        if isinstance(engine, KV2):
            secret = await engine.put(name, members, cas)
            if secret is not None:
                self._mount.found(name)
            return secret
        if cas is not None:
            raise UnsupportedOperationError(
                f"{SYSTEM}: {name!r}: the mount is KV version 1, which has no compare-and-set"
            )
        return await engine.put(name, members)

    async def delete(self, name: str) -> None:
        """Delete the current version (KV v2: ``restore`` brings it back) or the secret (KV v1, for good)."""
        await self._with(name, lambda engine: engine.delete(name), believed_for=_SURE)

    async def list(self, prefix: str = "") -> list[str]:
        """Return the names below the configured prefix that start with ``prefix``, deleted ones included."""
        folder_of(prefix, self._paths)  # before any I/O

        async def names(engine: KV1 | KV2) -> list[str]:
            found = await list_names(self._client, self._paths, engine, prefix)
            # Where one engine has nothing the other may have something.
            if not found and (other := await self._mount.engine_now(since)) is not engine:
                return await list_names(self._client, self._paths, other, prefix)
            return found

        since = self._mount.questions
        return await self._with_engine(None, names)

    async def versions(self, name: str) -> Versions:
        """Return what is known of each version, oldest first. KV v2 only.

        A version with ``delete_version_after`` is ``deleted`` once its time has come by the server's clock, to the
        second (by ours, where a proxy leaves out the ``Date`` header).
        """
        return await self._with_versions(name, "versions", lambda kv2: kv2.versions(name))

    async def restore(self, name: str, versions: Sequence[str] | None = None) -> None:
        """Bring back deleted versions, by default the current one; KV v2 only. One that is not deleted stays as it is.

        Raises SecretNotFoundError, and restores nothing, where one of them is destroyed or never was. Looks before it
        writes, so the policy has to allow reading.
        """
        if versions is not None:
            given(versions)
        await self._with_versions(name, "restore", lambda kv2: kv2.restore(name, versions), believed_for=_SURE)

    async def delete_versions(self, name: str, versions: Sequence[str]) -> None:
        """Delete given versions; ``restore`` brings them back. KV v2 only."""
        given(versions)
        await self._with_versions(name, "versions", lambda kv2: kv2.delete_versions(name, versions), believed_for=_SURE)

    async def destroy(self, name: str, versions: Sequence[str] | None = None) -> None:
        """Remove the data of given versions for good (KV v2 only), or the secret with its versions and metadata.

        Raises ConfigError for an empty sequence, which never means everything.
        """
        if versions is None:
            await self._with(
                name, lambda kv: kv.destroy(name, None) if isinstance(kv, KV2) else kv.delete(name), believed_for=_SURE
            )
            return
        given(versions)
        await self._with_versions(name, "versions", lambda kv2: kv2.destroy(name, versions), believed_for=_SURE)

    async def patch(self, name: str, changes: Mapping[str, Any], *, cas: str | None = None) -> str:
        """Merge members into the current version (None removes one); return the new version. KV v2 only."""
        return await self._with_versions(name, "patch", lambda kv2: kv2.patch(name, changes, cas))

    async def metadata(self, name: str) -> SecretMetadata:
        """Return a secret's metadata, custom metadata included. KV v2 only."""
        return await self._with_versions(name, "metadata", lambda kv2: kv2.metadata(name))

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
        await self._with_versions(name, "metadata", lambda kv2: kv2.write_metadata(name, document), believed_for=_SURE)

    async def aclose(self) -> None:
        """Stop renewing, revoke the token if so configured and it is our own, close the session."""
        if not self._transport.is_open:
            return
        await self.tokens.aclose()
        await self._mount.aclose()
        await self._leader.aclose()
        await self._transport.aclose()

    def abandon(self) -> None:
        """Forget session, timers and tasks of a loop that is gone; the token is kept."""
        self.tokens.abandon()
        self._mount.abandon()
        self._leader.abandon()
        self._transport.abandon()

    async def _with(
        self, name: str, work: Callable[[KV1 | KV2], Awaitable[T]], *, believed_for: float = BELIEVED_FOR
    ) -> T:
        encode_name(name, self._paths.prefix)  # before any I/O
        return await self._with_engine(name, work, believed_for)

    async def _with_engine(
        self, name: str | None, work: Callable[[KV1 | KV2], Awaitable[T]], believed_for: float = BELIEVED_FOR
    ) -> T:
        """Do ``work`` with the mount's engine, and again with the other one where the mount turns out to be of that.

        An answer that blames the version of the mount says that nothing was done. ``believed_for`` is less where
        something would be done, and not be told.
        """
        if not self._transport.is_open:
            raise ClosedError("the Vault provider is not open")
        since = self._mount.questions
        engine = await self._mount.engine(name, believed_for=believed_for)
        try:
            return await _bare(work(engine))
        except (ConfigError, SecretNotFoundError, UnsupportedOperationError) as error:
            refusal = error
        if not self._blames_version(engine, refusal, since):
            raise refusal
        other = await self._mount.engine_now(since, name)
        if other is engine:
            raise refusal
        return await _bare(work(other))

    def _blames_version(self, engine: KV1 | KV2, refusal: AsyncSecretsError, since: int) -> bool:
        if isinstance(refusal, UnsupportedOperationError):
            return isinstance(engine, KV1)
        if isinstance(refusal, SecretNotFoundError):
            absent = refusal.reason == "absent" and isinstance(engine, KV2)
            return absent and self._mount.doubts(refusal.name or "", since)
        return True

    async def _with_versions(
        self, name: str, operation: str, work: Callable[[KV2], Awaitable[T]], *, believed_for: float = BELIEVED_FOR
    ) -> T:
        def work_with(engine: KV1 | KV2) -> Awaitable[T]:
            if isinstance(engine, KV2):
                return work(engine)
            mount = self._paths.mount
            raise UnsupportedOperationError(f"{SYSTEM}: mount {mount!r} is KV version 1, which has no {operation}")

        return await self._with(name, work_with, believed_for=believed_for)
