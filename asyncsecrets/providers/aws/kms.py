"""AwsKmsProvider: secrets that stand encrypted in the environment, decrypted by AWS KMS."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self

from asyncsecrets.boundary import configuring
from asyncsecrets.errors import ConfigError, DecodeError, MalformedResponseError
from asyncsecrets.providers.aws.session import Connection
from asyncsecrets.providers.aws.settings import AwsSettings
from asyncsecrets.providers.ciphertext import CiphertextProvider
from asyncsecrets.providers.guarded import guarded
from asyncsecrets.secret import Payload, Secret

__all__ = ["AwsKmsProvider"]

_SYSTEM: Final = "aws_kms"
_LARGEST: Final = 4096


@guarded
class AwsKmsProvider(CiphertextProvider):
    """Reads the environment variable NAME (or ``LITELLM_SECRET_AWS_KMS_NAME``) as ciphertext and decrypts it.

    So are variables of the file ``dotenv`` that the environment does not have.

    ``kms_key_id`` and ``encryption_context`` of ``settings`` are sent along where they are given: KMS then refuses what
    was encrypted under another key or for another purpose.
    """

    system: ClassVar[str] = _SYSTEM
    variable_prefixes: ClassVar[tuple[str, ...]] = ("LITELLM_SECRET_AWS_KMS_", "litellm_secret_aws_kms_")
    value_prefix: ClassVar[str] = "aws_kms/"
    largest: ClassVar[int] = 6144

    @configuring
    def __init__(self, settings: AwsSettings, *, dotenv: str | os.PathLike[str] | None = None) -> None:
        super().__init__(settings.variables(), dotenv=dotenv)
        self.settings = settings
        self.concurrency = settings.max_connections
        self._connection = Connection("kms", _SYSTEM, settings)

    @classmethod
    @configuring
    def from_settings(
        cls, settings: Mapping[str, Any], environ: Mapping[str, str], *, dotenv: str | os.PathLike[str] | None = None
    ) -> Self:
        """Build from ``key_management_settings`` and the environment that holds the ciphertext. Raises ConfigError."""
        return cls(AwsSettings.from_mapping(_SYSTEM, settings, environ), dotenv=dotenv)

    async def open(self) -> None:
        """Read the ``.env`` file and make the client, in threads. Nothing is sent. Raises ConfigError."""
        await super().open()
        await self._connection.open()

    async def aclose(self) -> None:
        """Close the session and end what is under way."""
        await self._connection.aclose()

    def abandon(self) -> None:
        """Forget what belongs to a loop that is gone or to the parent of a fork."""
        super().abandon()
        self._connection.abandon()

    async def decrypt(self, ciphertext: bytes, name: str | None = None) -> bytes:
        """Decrypt one ciphertext. ``name`` is for errors."""
        answer = await self._connection.call("Decrypt", name, {"CiphertextBlob": ciphertext, **self._bound()})
        self._check_key(answer, name)
        plaintext = (answer or {}).get("Plaintext")
        if not isinstance(plaintext, bytes):
            message = f"{_SYSTEM}: {name!r}: the answer has no plaintext; is the endpoint AWS KMS?"
            raise MalformedResponseError(message, provider=_SYSTEM, name=name)
        return plaintext

    async def encrypt(self, plaintext: Payload) -> str:
        """Encrypt 1 to 4,096 bytes under ``kms_key_id``; return base64 text that ``get`` decrypts.

        Raises ConfigError without a key, DecodeError for a plaintext that KMS does not take.
        """
        if not self.settings.kms_key_id:
            raise ConfigError(f"{_SYSTEM}: to encrypt, set kms_key_id: the id, ARN or alias/… of a KMS key")
        data = Secret(plaintext, name="plaintext").reveal_bytes()
        if not 0 < len(data) <= _LARGEST:
            raise DecodeError(
                f"{_SYSTEM}: KMS encrypts 1 to {_LARGEST:,} bytes, and these are {len(data):,}; keep larger ones in a "
                f"secret manager"
            )
        answer = await self._connection.call("Encrypt", None, {"Plaintext": data, **self._bound()})
        self._check_key(answer, None)
        ciphertext = (answer or {}).get("CiphertextBlob")
        if not isinstance(ciphertext, bytes):
            raise MalformedResponseError(f"{_SYSTEM}: the answer has no ciphertext", provider=_SYSTEM)
        return base64.b64encode(ciphertext).decode("ascii")

    def _check_key(self, answer: Mapping[str, Any] | None, name: str | None) -> None:
        used, wanted = (answer or {}).get("KeyId"), self.settings.kms_key_id
        if used is not None and wanted and not _may_be(wanted, str(used)):
            about = _SYSTEM if name is None else f"{_SYSTEM}: {name!r}"
            raise MalformedResponseError(
                f"{about}: the answer is of another key than kms_key_id; is the endpoint AWS KMS?",
                provider=_SYSTEM,
                name=name,
            )

    def _bound(self) -> dict[str, Any]:
        settings = self.settings
        bound = {"KeyId": settings.kms_key_id, "EncryptionContext": dict(settings.encryption_context)}
        return {key: value for key, value in bound.items() if value}


def _may_be(wanted: str, used: str) -> bool:
    """Whether the key with the ARN ``used`` may be what ``wanted`` names: an id, an ARN, an alias or an alias's ARN.

    Which key is behind an alias nobody knows here, but it is one of the alias's own account and region.
    """
    where, _, which = wanted.rpartition(":")
    its, _, key = used.rpartition(":")
    if where and its and where != its:
        return False
    return which.startswith("alias/") or which.removeprefix("key/").casefold() == key.removeprefix("key/").casefold()
