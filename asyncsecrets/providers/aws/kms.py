"""AwsKmsProvider: secrets that stand encrypted in the environment, decrypted by AWS KMS."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self

from asyncsecrets.boundary import configuring
from asyncsecrets.errors import ConfigError
from asyncsecrets.providers.aws.session import Connection
from asyncsecrets.providers.aws.settings import AwsSettings
from asyncsecrets.providers.ciphertext import CiphertextProvider
from asyncsecrets.providers.guarded import guarded

__all__ = ["AwsKmsProvider"]

_SYSTEM: Final = "aws_kms"


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
    sizes: ClassVar[range] = range(1, 4096 + 1)
    _connection: Connection

    @configuring
    def __init__(self, settings: AwsSettings, *, dotenv: str | os.PathLike[str] | None = None) -> None:
        super().__init__(settings, Connection("kms", _SYSTEM, settings), dotenv=dotenv)
        self.settings = settings

    @classmethod
    @configuring
    def from_settings(
        cls, settings: Mapping[str, Any], environ: Mapping[str, str], *, dotenv: str | os.PathLike[str] | None = None
    ) -> Self:
        """Build from ``key_management_settings`` and the environment that holds the ciphertext. Raises ConfigError."""
        return cls(AwsSettings.from_mapping(_SYSTEM, settings, environ), dotenv=dotenv)

    async def decrypt(self, ciphertext: bytes, name: str | None = None) -> bytes:
        """Decrypt one ciphertext. ``name`` is for errors."""
        return await self._ask("Decrypt", name, "Plaintext", {"CiphertextBlob": ciphertext})

    async def _encrypt(self, plaintext: bytes) -> bytes:
        if not self.settings.kms_key_id:
            raise ConfigError(f"{_SYSTEM}: to encrypt, set kms_key_id: the id, ARN or alias/… of a KMS key")
        return await self._ask("Encrypt", None, "CiphertextBlob", {"Plaintext": plaintext})

    async def _ask(self, operation: str, name: str | None, wanted: str, request: Mapping[str, Any]) -> bytes:
        answer = await self._connection.call(operation, name, {**request, **self._bound()}) or {}
        used, key, found = answer.get("KeyId"), self.settings.kms_key_id, answer.get(wanted)
        if used is not None and key and not _may_be(key, str(used)):
            raise self._nonsense(name, "is of another key than kms_key_id")
        if not isinstance(found, bytes):
            raise self._nonsense(name, f"has no {wanted}")
        return found

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
