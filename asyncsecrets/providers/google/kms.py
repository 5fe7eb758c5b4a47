"""GoogleKmsProvider: secrets that stand encrypted in the environment, decrypted by Google Cloud KMS."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self

from asyncsecrets.boundary import configuring
from asyncsecrets.errors import AccessDeniedError, AsyncSecretsError, ConfigError, IntegrityError
from asyncsecrets.providers.ciphertext import CiphertextProvider
from asyncsecrets.providers.google.checksums import Checksums, crc32c
from asyncsecrets.providers.google.connection import Connection
from asyncsecrets.providers.google.errors import Call
from asyncsecrets.providers.google.names import may_be_same_project
from asyncsecrets.providers.google.services import KMS
from asyncsecrets.providers.google.settings import GoogleSettings
from asyncsecrets.providers.guarded import guarded

__all__ = ["GoogleKmsProvider"]

_SYSTEM: Final = "google_kms"
_MOST: Final = 64 * 1024
_KEY: Final = re.compile(
    r"(?P<key>projects/(?P<project>[a-z0-9][a-z0-9.:-]{0,127})"
    r"(?P<place>/locations/[a-z0-9-]{1,63}/keyRings/[A-Za-z0-9_-]{1,63}/cryptoKeys/[A-Za-z0-9_-]{1,63}))"
    r"(?P<version>/cryptoKeyVersions/[0-9]{1,19})?",
    re.ASCII,
)


@guarded
class GoogleKmsProvider(CiphertextProvider):
    """Reads the environment variable NAME as ciphertext and decrypts it, under the symmetric key ``kms_key``.

    So are variables of the file ``dotenv`` that the environment does not have. ``aad`` of ``settings`` is sent along
    where it is given: KMS then refuses what was encrypted for another purpose. The key may be named with a version:
    that one encrypts. Decrypting takes whichever version the ciphertext is of.

    Checksums go both ways, and one that does not match is an IntegrityError. Limits are those of keys in software
    (https://cloud.google.com/kms/docs/reference/rpc/google.cloud.kms.v1#encryptrequest). Raises ConfigError for a key
    that cannot be.
    """

    system: ClassVar[str] = _SYSTEM
    largest: ClassVar[int] = _MOST + 4096  # what KMS adds is about a hundred bytes
    sizes: ClassVar[range] = range(_MOST + 1)
    _connection: Connection

    @configuring
    def __init__(self, settings: GoogleSettings, *, dotenv: str | os.PathLike[str] | None = None) -> None:
        super().__init__(settings, Connection(KMS, _SYSTEM, settings), dotenv=dotenv)
        key = _KEY.fullmatch(settings.kms_key)
        if key is None:
            raise ConfigError(_NO_KEY)
        self.settings, self._key = settings, key
        self._aad = settings.aad.encode("utf-8", "surrogatepass")
        self._checksums = Checksums(_SYSTEM)

    @classmethod
    @configuring
    def from_settings(
        cls, settings: Mapping[str, Any], environ: Mapping[str, str], *, dotenv: str | os.PathLike[str] | None = None
    ) -> Self:
        """Build from ``key_management_settings`` and the environment that holds the ciphertext. Raises ConfigError."""
        return cls(GoogleSettings.from_mapping(_SYSTEM, settings, environ), dotenv=dotenv)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What ``client.status()`` says of it: how many answers could not be checked."""
        return self._checksums.remarks

    async def decrypt(self, ciphertext: bytes, name: str | None = None) -> bytes:
        """Decrypt one ciphertext. ``name`` is for errors."""
        answer = await self._ask("Decrypt", name, self._key["key"], "ciphertext", ciphertext)
        plaintext, told = bytes(answer.plaintext), answer.plaintext_crc32c
        if not plaintext and told is None:  # the empty plaintext has a checksum, an empty answer has none
            raise self._nonsense(name, "has no plaintext")
        self._checksums.check(plaintext, told, name)
        return plaintext

    async def _encrypt(self, plaintext: bytes) -> bytes:
        answer = await self._ask("Encrypt", None, self._key[0], "plaintext", plaintext)
        ciphertext, told = bytes(answer.ciphertext), answer.ciphertext_crc32c
        if not _may_be(self._key, _KEY.fullmatch(answer.name)):
            raise self._nonsense(None, "is of another key than google_kms_resource_name")
        if not ciphertext:
            raise self._nonsense(None, "has no ciphertext")
        self._checksums.check(ciphertext, told, None)
        verified = answer.verified_additional_authenticated_data_crc32c or not self._aad
        if told is not None and not (answer.verified_plaintext_crc32c and verified):
            raise self._checksums.mismatch(None, "KMS had no checksum of what it was sent")
        return ciphertext

    async def _ask(self, operation: str, name: str | None, key: str, what: str, data: bytes) -> Any:
        request = {"name": key, what: data, f"{what}_crc32c": crc32c(data)}
        if self._aad:
            request["additional_authenticated_data"] = self._aad
            request["additional_authenticated_data_crc32c"] = crc32c(self._aad)
        call = Call(_SYSTEM, operation, name, f"name={key}", meaning=_meaning)
        return await self._connection.call(call, KMS.request(operation, request))


def _meaning(call: Call, status: str, _: str) -> AsyncSecretsError | None:
    # None of these is SecretNotFoundError: with that, the ciphertext would stand in for the value.
    if status == "NOT_FOUND":
        return call.error(ConfigError, "KMS has no such key: check GOOGLE_KMS_RESOURCE_NAME (google_kms_resource_name)")
    if status == "FAILED_PRECONDITION":
        return call.error(AccessDeniedError, _OUT_OF_USE)
    if status == "INVALID_ARGUMENT" and call.operation == "Decrypt":
        return call.error(IntegrityError, _REFUSED)
    return call.error(ConfigError, _INVALID) if status == "INVALID_ARGUMENT" else None


_OUT_OF_USE: Final = (
    "the key's version is disabled or destroyed, or will be: `gcloud kms keys versions enable` (or `restore`) brings "
    "it back; or encrypt anew under another"
)
_REFUSED: Final = (
    "KMS does not accept the ciphertext: it is damaged, or was encrypted under another key than "
    "google_kms_resource_name, or with other additional_authenticated_data"
)
_INVALID: Final = (
    "KMS finds the request invalid: is the key's purpose ENCRYPT_DECRYPT? A key in an HSM takes 8 KiB, "
    "additional_authenticated_data included"
)


_NO_KEY: Final = (
    f"{_SYSTEM}: GOOGLE_KMS_RESOURCE_NAME, or the setting google_kms_resource_name, must be the name of a key: "
    "projects/PROJECT/locations/LOCATION/keyRings/RING/cryptoKeys/KEY"
)


def _may_be(wanted: re.Match[str], used: re.Match[str] | None) -> bool:
    """Whether ``used``, a version of a key, is one of ``wanted``. A project has an id and a number."""
    if used is None or not used["version"] or used["place"] != wanted["place"]:
        return False
    of_it = wanted["version"] in {None, used["version"]}
    return of_it and may_be_same_project(used["project"], wanted["project"])
