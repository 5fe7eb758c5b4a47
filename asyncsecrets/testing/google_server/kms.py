"""``google.cloud.kms.v1.KeyManagementService``: symmetric keys with versions, and real AES-GCM."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from asyncsecrets.testing.google_server.projects import Projects
from asyncsecrets.testing.google_server.refusals import Refused, absent, invalid, need
from asyncsecrets.testing.google_server.store import set_time

ENABLED, DISABLED, DESTROYED = 1, 2, 3  # CryptoKeyVersion.CryptoKeyVersionState
_STATES: Final = {DISABLED: "DISABLED", DESTROYED: "DESTROYED"}
_MAX_SIZE: Final = 65_536
_SOFTWARE: Final = 1  # ProtectionLevel, and the algorithm and purpose of symmetric encryption
_MAGIC: Final = b"\n$\x00"  # how every ciphertext of Google's begins
_NONCE: Final = 12


@dataclass(slots=True, eq=False)
class Key:
    """A symmetric key: the material and the state of each version; the last enabled one encrypts unless told."""

    name: str
    created: float
    material: dict[int, bytes] = field(default_factory=dict, repr=False)
    states: dict[int, int] = field(default_factory=dict)
    primary: int = 0

    def rotate(self) -> int:
        """Make a new version the primary one; its number."""
        self.primary = len(self.states) + 1
        self.material[self.primary], self.states[self.primary] = os.urandom(32), ENABLED
        return self.primary

    def disable(self, version: int | None = None) -> None:
        """Let a version (the primary one) neither encrypt nor decrypt."""
        self.states[version or self.primary] = DISABLED

    def enable(self, version: int | None = None) -> None:
        """Let it again."""
        self.states[version or self.primary] = ENABLED

    def destroy(self, version: int | None = None) -> None:
        """Lose the material of a version."""
        number = version or self.primary
        self.states[number], self.material[number] = DESTROYED, b""

    def version_name(self, number: int) -> str:
        """The resource name of a version."""
        return f"{self.name}/cryptoKeyVersions/{number}"

    def mark(self, number: int) -> bytes:
        """What a ciphertext of that version begins with (36 bytes behind the first two)."""
        return _MAGIC + hashlib.sha256(self.version_name(number).encode()).digest() + b"\x12\x00\x00"


class KeyManagement:
    """The service: one method for each RPC, from the request to the response or `Refused`."""

    NAME: Final = "google.cloud.kms.v1.KeyManagementService"
    HOST: Final = "cloudkms.googleapis.com"
    PERMISSIONS: Final = {
        "Encrypt": "cloudkms.cryptoKeyVersions.useToEncrypt",
        "Decrypt": "cloudkms.cryptoKeyVersions.useToDecrypt",
        "GetCryptoKey": "cloudkms.cryptoKeys.get",
    }

    def __init__(self, projects: Projects, now: Callable[[], float]) -> None:
        self.types = need("google.cloud.kms_v1").types
        self.keys: dict[str, Key] = {}
        self._projects, self._now = projects, now
        self._crc = need("google_crc32c").value
        self._aead = need("cryptography.hazmat.primitives.ciphers.aead").AESGCM
        self._invalid_tag = need("cryptography.exceptions").InvalidTag

    def add(self, name: str) -> Key:
        """The key of that name, made if it is not there."""
        name = self._projects.with_id(name)
        if name not in self.keys:
            self.keys[name] = Key(name, self._now())
            self.keys[name].rotate()
        return self.keys[name]

    def get_crypto_key(self, request: Any) -> Any:
        """The key with its primary version."""
        key = self._key(request.name)
        reply = self.types.CryptoKey.pb()(name=key.name, purpose=_SOFTWARE)
        set_time(reply.create_time, key.created)
        reply.primary.name, reply.primary.state = key.version_name(key.primary), key.states[key.primary]
        reply.primary.protection_level = reply.primary.algorithm = _SOFTWARE
        set_time(reply.primary.create_time, key.created)
        return reply

    def encrypt(self, request: Any) -> Any:
        """With the primary version, or the one that is named."""
        base, _, word = request.name.partition("/cryptoKeyVersions/")
        key = self._key(base)
        number = int(word) if word.isdecimal() else key.primary
        self._check(request, "plaintext")
        cipher = self._cipher(key, number)
        nonce, aad = os.urandom(_NONCE), request.additional_authenticated_data
        sealed = key.mark(number) + nonce + cipher.encrypt(nonce, request.plaintext, aad)
        reply = self.types.EncryptResponse.pb()(name=key.version_name(number), ciphertext=sealed)
        reply.ciphertext_crc32c.value = self._crc(sealed)
        reply.verified_plaintext_crc32c = request.HasField("plaintext_crc32c")
        reply.verified_additional_authenticated_data_crc32c = request.HasField("additional_authenticated_data_crc32c")
        reply.protection_level = _SOFTWARE
        return reply

    def decrypt(self, request: Any) -> Any:
        """With the version that encrypted it."""
        key, sealed = self._key(request.name), request.ciphertext
        self._check(request, "ciphertext")
        number = next((number for number in key.states if sealed.startswith(key.mark(number))), 0)
        if not number:
            raise invalid("Decryption failed: verify that 'name' refers to the correct CryptoKey.")
        cipher = self._cipher(key, number)
        body = sealed[len(key.mark(number)) :]
        try:
            plain = cipher.decrypt(body[:_NONCE], body[_NONCE:], request.additional_authenticated_data)
        except (self._invalid_tag, ValueError):
            raise invalid("Decryption failed: the ciphertext is invalid.") from None
        reply = self.types.DecryptResponse.pb()(plaintext=plain, used_primary=number == key.primary)
        reply.plaintext_crc32c.value = self._crc(plain)
        reply.protection_level = _SOFTWARE
        return reply

    def _key(self, name: str) -> Key:
        name = self._projects.with_id(name)
        if name not in self.keys:
            raise absent("CryptoKey", name)
        return self.keys[name]

    def _cipher(self, key: Key, number: int) -> Any:
        name, state = key.version_name(number), key.states.get(number)
        if state is None:
            raise absent("CryptoKeyVersion", name)
        if state != ENABLED:
            raise Refused("FAILED_PRECONDITION", f"{name} is not enabled, current state is: {_STATES[state]}.")
        return self._aead(key.material[number])

    def _check(self, request: Any, text: str) -> None:
        """The size and the checksum of what came."""
        for name in (text, "additional_authenticated_data"):
            data, checksum = getattr(request, name), f"{name}_crc32c"
            if len(data) > _MAX_SIZE + (1024 if name == "ciphertext" else 0):
                raise invalid(f"The {name} must have at most {_MAX_SIZE} bytes.")
            if request.HasField(checksum) and getattr(request, checksum).value != self._crc(data):
                raise invalid(f"The checksum in field {checksum} did not match the data in field {name}.")
