"""AwsSecretsManagerProvider: AWS Secrets Manager."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar, Final, Self, TypeVar

from asyncsecrets.boundary import configuring
from asyncsecrets.errors import (
    ConflictError,
    ProviderError,
    SecretNotFoundError,
)
from asyncsecrets.loops import retrieve, spawn
from asyncsecrets.providers.aws.batch import BatchPermission, read_batch
from asyncsecrets.providers.aws.documents import (
    check_subject,
    malformed,
    names_of,
    parameter_of,
    secret_of,
    version_id,
    versions_of,
)
from asyncsecrets.providers.aws.names import (
    CURRENT,
    SYSTEM,
    check_creatable,
    check_name,
    elsewhere,
    is_arn,
    is_creatable,
    is_prefix,
    is_version_id,
    may_be_same,
    plain_names,
    refusal_of,
    usable_token,
    version_of,
)
from asyncsecrets.providers.aws.refusals import REPLICATED, SCHEDULED
from asyncsecrets.providers.aws.session import Connection
from asyncsecrets.providers.aws.settings import AwsSettings
from asyncsecrets.providers.base import VersionInfo
from asyncsecrets.providers.call import check_whole, is_write
from asyncsecrets.providers.guarded import guarded
from asyncsecrets.providers.sdk import SdkProvider
from asyncsecrets.secret import Payload, Secret

__all__ = ["AwsSecretsManagerProvider"]

T = TypeVar("T")

_OUTDATED: Final = frozenset({"InvalidNextTokenException"})
_STAGED: Final = "ASYNCSECRETS_STAGED"
_ABSENT: Final = frozenset({"ResourceNotFoundException"})
_EXISTS: Final = frozenset({"ResourceExistsException"})
_MOVED: Final = frozenset({"InvalidParameterException", "InvalidRequestException"})
_STATE: Final = frozenset({"InvalidRequestException"})
_FOR_GOOD: Final = {"ForceDeleteWithoutRecovery": True}
_PAGE: Final = 100


@guarded
class AwsSecretsManagerProvider(SdkProvider):
    """Reads and writes secrets of one account and region.

    A name is a secret's name or its full or partial ARN. A version is a version id, or a stage (``AWSPREVIOUS``). A
    payload is the whole SecretString or SecretBinary. ``put`` creates what is not there, with the description,
    tags, key and replicas of ``settings``; its ``cas`` is a version id. ``clock`` is in monotonic seconds.
    """

    system: ClassVar[str] = SYSTEM
    batch_size: ClassVar[int] = 20
    idempotent_writes: ClassVar[bool] = True
    previous_version: ClassVar[str] = "AWSPREVIOUS"

    _connection: Connection

    @configuring
    def __init__(self, settings: AwsSettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(settings, Connection("secretsmanager", SYSTEM, settings), clock)
        self.settings = settings
        self._batches = BatchPermission(clock)
        self._chores: set[asyncio.Task[Any]] = set()

    @classmethod
    @configuring
    def from_settings(cls, settings: Mapping[str, Any], environ: Mapping[str, str]) -> Self:
        """Build from ``key_management_settings`` and an environment. Raises ConfigError."""
        return cls(AwsSettings.from_mapping(SYSTEM, settings, environ))

    async def aclose(self) -> None:
        """Close the session and end what is under way."""
        for chore in (chores := set(self._chores)):
            chore.cancel()
        await super().aclose()
        if chores:
            await asyncio.wait(chores)

    def abandon(self) -> None:
        """Forget what belongs to a loop that is gone or to the parent of a fork."""
        self._chores.clear()
        super().abandon()

    def can_name(self, name: str) -> bool:
        """Whether a secret can be created by this name."""
        return is_creatable(name)

    def same_secret(self, name: str, other: str) -> bool:
        """Whether ``name`` and ``other`` may be two spellings of one secret's name: plain, full ARN, partial ARN."""
        return may_be_same(name, other)

    def spellings(self, name: str) -> frozenset[str]:
        """What the plain name may be: two spellings of one secret's name have one of these in common."""
        return plain_names(name)

    def check_value(self, name: str, payload: Payload) -> None:
        """Raise what ``put`` would for a value that AWS cannot keep: an empty one, or of more than 64 KiB."""
        parameter_of(name, payload)

    # -- reading

    async def get(self, name: str, version: str | None = None) -> Secret:
        """Read one version, the current one by default."""
        check_name(name)
        selected = version_of(version)
        if selected is None:
            raise self._absent(name, f"no version can be called {version!a}")
        answer = await self._call("GetSecretValue", name, {"SecretId": name, **selected})
        return secret_of(name, answer, selected)

    async def get_many(self, names: Sequence[str]) -> dict[str, Secret | ProviderError]:
        """Read up to twenty current versions by one call (and one more for each page that AWS makes of the answer).

        Names that AWS does not answer for are left out. So is every name where
        ``secretsmanager:BatchGetSecretValue`` is not allowed, or not known to what stands in for AWS; that is
        remembered for some minutes. A name that AWS cannot have is answered with its InvalidNameError, and spoils
        nothing for the others.
        """
        refused = {name: error for name in names if (error := refusal_of(name)) is not None}
        rest = [name for name in names if name not in refused]
        return {**refused, **await read_batch(self._connection, rest, self._batches, secret_of, self.get)}

    async def list(self, prefix: str = "") -> builtins.list[str]:
        """Return the names that start with ``prefix``, without those scheduled for deletion.

        A hundred names take a call. A list that did not come to its end, because a call failed or time was up, goes on
        where it stopped if it is asked for again within 30 seconds, and nothing was written here meanwhile.
        """
        if prefix and not is_prefix(prefix):
            return []
        wanted: dict[str, Any] = {"MaxResults": _PAGE}
        if prefix:
            wanted["Filters"] = [{"Key": "name", "Values": [prefix]}]
        found = await self._all("ListSecrets", None, wanted, names_of)
        return sorted({name for name in found if name.startswith(prefix)})

    async def versions(self, name: str) -> builtins.list[VersionInfo]:
        """Return every version that AWS still keeps, oldest first, those without a stage included.

        AWS does not say here that a secret is scheduled for deletion.
        """
        check_name(name)
        wanted = {"SecretId": name, "IncludeDeprecated": True, "MaxResults": _PAGE}
        found = await self._all("ListSecretVersionIds", name, wanted, partial(versions_of, name))
        oldest = datetime.fromtimestamp(0, UTC)
        return sorted(found, key=lambda version: version.created or oldest)

    # -- writing

    async def put(self, name: str, payload: Payload, *, cas: str | None = None, token: str = "") -> Secret:
        """Add a version and make it current; create the secret if it is not there.

        ``token`` becomes the version's id where it can (32 to 64 letters, digits and hyphens): a retry under the same
        token adds nothing. ``cas`` makes the new version current only if that version id still is, which takes
        ``secretsmanager:UpdateSecretVersionStage``; until then the new version has the stage ASYNCSECRETS_STAGED, which
        it loses again if it is refused. ``"0"`` only creates. A name that is scheduled for deletion is a ConflictError,
        unless it is to be recovered, by the setting ``recover_deleted``.
        """
        check_name(name)
        value = parameter_of(name, payload)
        value["ClientRequestToken"] = usable_token(token)
        scheduled: ConflictError | None = None
        try:
            answer = await self._written(name, value, cas)
        except ConflictError as error:
            if SCHEDULED not in error.message or not self.settings.recover_deleted or cas not in {None, "0"}:
                raise
            scheduled = error
        if scheduled is not None:
            answer = await self._recovered(name, value, cas)
        return Secret(payload, name=name, version=version_id(name, answer, written=value["ClientRequestToken"]))

    async def _written(self, name: str, value: dict[str, Any], cas: str | None) -> dict[str, Any] | None:
        if cas == "0":
            return await self._create(name, value)
        return await (self._upsert(name, value) if cas is None else self._swap(name, value, cas))

    async def _recovered(self, name: str, value: dict[str, Any], cas: str | None) -> dict[str, Any] | None:
        """Take the scheduled deletion back, and write. Of several who create one does: who takes it back."""
        if await self._call("RestoreSecret", name, {"SecretId": name}, unless=_STATE) is None and cas == "0":
            raise self._lost(name, cas)
        return await self._written(name, value, None if cas is None else (await self.get(name)).version)

    async def delete(self, name: str) -> None:
        """Schedule the secret for deletion after the recovery window, or delete it for good (``force_delete``)."""
        check_name(name)
        days = self.settings.recovery_window_days
        try:
            await self._delete(name, _FOR_GOOD if self.settings.force_delete else {"RecoveryWindowInDays": days})
        except ConflictError as error:
            # Scheduled already is done already; any other state is not.
            if SCHEDULED not in error.message:
                raise

    async def restore(self, name: str, versions: Sequence[str] | None = None) -> None:
        """Take the secret's scheduled deletion back. Raises UnsupportedOperationError for ``versions``."""
        check_name(name)
        check_whole(SYSTEM, name, versions, "AWS restores")
        if await self._call("RestoreSecret", name, {"SecretId": name}, unless=_STATE) is None:
            await self.get(name)  # it was not scheduled, or this says that it still is

    async def destroy(self, name: str, versions: Sequence[str] | None = None) -> None:
        """Delete the secret for good, also one that is scheduled for deletion.

        AWS does it in the background: the name is free again after seconds. Raises UnsupportedOperationError for
        ``versions``.
        """
        check_name(name)
        check_whole(SYSTEM, name, versions, "AWS destroys")
        await self._delete(name, _FOR_GOOD)

    async def rotate(self, name: str, *, token: str = "") -> str:
        """Start a rotation by the Lambda function that the secret is configured with; return the new version's id.

        AWS rotates in its own time: the new version is current when its function has finished.
        """
        check_name(name)
        wanted = usable_token(token)
        parameters = {"SecretId": name, "ClientRequestToken": wanted, "RotateImmediately": True}
        answer = await self._call("RotateSecret", name, parameters)
        return str((answer or {}).get("VersionId") or wanted)

    async def _delete(self, name: str, how: Mapping[str, Any]) -> None:
        parameters = {"SecretId": name, **how}
        replicas = list(self.settings.replica_regions)
        try:
            await self._call("DeleteSecret", name, parameters, unless=_ABSENT)
        except ConflictError as error:
            if REPLICATED not in error.message or not replicas:
                raise
        else:
            return
        # AWS deletes no secret that has replicas; those of the settings were made here with it, and go with it.
        removal = {"SecretId": name, "RemoveReplicaRegions": replicas}
        await self._call("RemoveRegionsFromReplication", name, removal, unless=_ABSENT)
        await self._call("DeleteSecret", name, parameters, unless=_ABSENT)

    async def _upsert(self, name: str, value: dict[str, Any]) -> dict[str, Any] | None:
        update = {"SecretId": name, **value}
        answer = await self._call("PutSecretValue", name, update, unless=_ABSENT)
        if answer is None:
            answer = await self._create(name, value, unless=_EXISTS)
        # None again: somebody created it in between.
        return answer if answer is not None else await self._call("PutSecretValue", name, update)

    async def _create(
        self, name: str, value: dict[str, Any], unless: frozenset[str] = frozenset()
    ) -> dict[str, Any] | None:
        if is_arn(name):
            raise self._absent(name, "there is no such secret, and one cannot be created by ARN: use a name")
        check_creatable(name)
        return await self._call("CreateSecret", name, {"Name": name, **value, **self._extras()}, unless=unless)

    async def _swap(self, name: str, value: dict[str, Any], cas: str) -> dict[str, Any] | None:
        """Compare and set: AWS moves the current stage only from the version it is said to be on."""
        if not is_version_id(cas):
            text = f"cas takes the id of a version (Secret.version), which {cas[:80]!a} is not"
            raise ConflictError(f"{SYSTEM}: {name!r}: {text}", provider=SYSTEM, name=name)
        token = value["ClientRequestToken"]
        staged = {"SecretId": name, "VersionStages": [_STAGED], **value}
        written = await self._call("PutSecretValue", name, staged, unless=_ABSENT)
        moved = None
        if written is not None:
            move = {"VersionStage": CURRENT, "RemoveFromVersionId": cas, "MoveToVersionId": token}
            moved = await self._call("UpdateSecretVersionStage", name, {"SecretId": name, **move}, unless=_MOVED)
        # A retry of a put that was applied finds the stage where it wanted it.
        if moved is None and not (written and await self._is_current(name, token)):
            if written is not None:
                await self._unstage(name, token)
            raise self._lost(name, cas)
        return written

    async def _is_current(self, name: str, version: str) -> bool:
        with contextlib.suppress(SecretNotFoundError):  # deleted in the meantime
            return (await self.get(name)).version == version
        return False

    def _lost(self, name: str, cas: str) -> ConflictError:
        message = f"{SYSTEM}: {name!r}: version {cas[:80]!a} is not current any more; read it again and decide anew"
        return ConflictError(message, provider=SYSTEM, name=name)

    async def _unstage(self, name: str, version: str) -> None:
        """Take our stage from a version that did not become current, so that AWS lets go of it, if that can be done."""
        parameters = {"SecretId": name, "VersionStage": _STAGED, "RemoveFromVersionId": version}
        removal = self._call("UpdateSecretVersionStage", name, parameters, unless=_MOVED)
        chore = spawn(removal, name="asyncsecrets-aws-unstage", done=self._chore_ended)
        self._chores.add(chore)
        await asyncio.wait({chore})  # goes on when our caller is cancelled; if it fails, the conflict is what matters

    def _chore_ended(self, chore: asyncio.Task[Any]) -> None:
        self._chores.discard(chore)
        retrieve(chore)

    def _extras(self) -> dict[str, Any]:
        settings = self.settings
        extras = {
            "Description": settings.description,
            "KmsKeyId": settings.kms_key_id,
            "Tags": [{"Key": key, "Value": value} for key, value in settings.tags.items()],
            "AddReplicaRegions": [{"Region": region} for region in settings.replica_regions],
        }
        return {key: value for key, value in extras.items() if value}

    # -- inside

    async def _all(
        self,
        operation: str,
        name: str | None,
        parameters: Mapping[str, Any],
        take: Callable[[dict[str, Any]], builtins.list[T]],
    ) -> builtins.list[T]:
        """What ``take`` takes of each page that ``operation`` answers with."""

        async def fetch(token: str) -> tuple[builtins.list[T], str] | None:
            wanted = {**parameters, "NextToken": token} if token else parameters
            page = await self._call(operation, name, wanted, _OUTDATED)
            return None if page is None else (take(page), str(page.get("NextToken") or ""))

        key = json.dumps([operation, name, parameters], sort_keys=True)
        return await self._pages.read(key, fetch, endless=partial(malformed, name), narrow=name is None)

    async def _call(
        self, operation: str, name: str | None, parameters: Mapping[str, Any], unless: frozenset[str] = frozenset()
    ) -> dict[str, Any] | None:
        try:
            answer = await self._connection.call(operation, name, parameters, unless=unless)
        except SecretNotFoundError as error:
            error.message += elsewhere(name or "", self._connection.region)
            raise
        if name is not None and answer is not None and operation != "GetSecretValue":  # which is looked at as a whole
            check_subject(name, answer, written=is_write(operation))
        return answer

    def _absent(self, name: str, text: str) -> SecretNotFoundError:
        return SecretNotFoundError(f"{SYSTEM}: {name!r}: {text}", provider=SYSTEM, name=name)
