"""``google.cloud.kms.v1.KeyManagementService``: symmetric keys with versions, and real AES-GCM."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from asyncsecrets.testing.google_server.projects import Projects
from asyncsecrets.testing.google_server.refusals import Refused, absent, invalid, need
from asyncsecrets.testing.google_server.store import DESTROYED, DISABLED, ENABLED, set_time

_MAX_SIZE: Final = 65_536
_NONCE: Final = 12
_SYMMETRIC: Final = 1  # the purpose, the algorithm and the protection level (software)


@dataclass(slots=True, eq=False)
class Key:
    """A symmetric key: the material and the state of each version. The primary version encrypts, unless another is
    named; it is also what `disable`, `enable` and `destroy` are about, unless another is given."""

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
        """Let a version neither encrypt nor decrypt."""
        self.states[version or self.primary] = DISABLED

    def enable(self, version: int | None = None) -> None:
        """Let it again."""
        self.states[version or self.primary] = ENABLED

    def destroy(self, version: int | None = None) -> None:
        """Lose the material of a version."""
        self.states[version or self.primary], self.material[version or self.primary] = DESTROYED, b""

    def version_name(self, number: int) -> str:
        """The resource name of a version."""
        return f"{self.name}/cryptoKeyVersions/{number}"

    def mark(self, number: int) -> bytes:
        """What a ciphertext of that version begins with; all of Google's begin with the first three bytes."""
        return b"\n$\x00" + hashlib.sha256(self.version_name(number).encode()).digest() + b"\x12\x00\x00"


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
        self.types, self._crc = need("google.cloud.kms_v1").types, need("google_crc32c").value
        self._aead = need("cryptography.hazmat.primitives.ciphers.aead").AESGCM
        self._invalid_tag = need("cryptography.exceptions").InvalidTag
        self._keys: dict[str, Key] = {}
        self._projects, self._now = projects, now

    def add(self, name: str) -> Key:
        """The key of that name, made if it is not there."""
        name = self._projects.with_id(name)
        if name not in self._keys:
            self._keys[name] = Key(name, self._now())
            self._keys[name].rotate()
        return self._keys[name]

    def get_crypto_key(self, request: Any) -> Any:
        """The key with its primary version."""
        key = self._key(request.name)
        primary = {"name": key.version_name(key.primary), "state": key.states[key.primary]}
        primary |= {"protection_level": _SYMMETRIC, "algorithm": _SYMMETRIC}
        reply = self.types.CryptoKey.pb()(name=key.name, purpose=_SYMMETRIC, primary=primary)
        set_time(reply.create_time, key.created)
        return reply

    def encrypt(self, request: Any) -> Any:
        """With the primary version, or the one that is named."""
        base, _, word = request.name.partition("/cryptoKeyVersions/")
        key = self._key(base)
        number = int(word) if word.isdecimal() else key.primary
        self._check(request, "plaintext")
        cipher, nonce = self._cipher(key, number), os.urandom(_NONCE)
        sealed = key.mark(number) + nonce
        sealed += cipher.encrypt(nonce, request.plaintext, request.additional_authenticated_data)
        reply = self.types.EncryptResponse.pb()(name=key.version_name(number), ciphertext=sealed)
        reply.ciphertext_crc32c.value, reply.protection_level = self._crc(sealed), _SYMMETRIC
        reply.verified_plaintext_crc32c = request.HasField("plaintext_crc32c")
        reply.verified_additional_authenticated_data_crc32c = request.HasField("additional_authenticated_data_crc32c")
        return reply

    def decrypt(self, request: Any) -> Any:
        """With the version that encrypted it."""
        key, sealed = self._key(request.name), request.ciphertext
        self._check(request, "ciphertext")
        number = next((number for number in key.states if sealed.startswith(key.mark(number))), 0)
        if not number:
            raise invalid("Decryption failed: verify that 'name' refers to the correct CryptoKey.")
        cipher, body = self._cipher(key, number), sealed[len(key.mark(number)) :]
        try:
            plain = cipher.decrypt(body[:_NONCE], body[_NONCE:], request.additional_authenticated_data)
        except (self._invalid_tag, ValueError):
            raise invalid("Decryption failed: the ciphertext is invalid.") from None
        reply = self.types.DecryptResponse.pb()(plaintext=plain, used_primary=number == key.primary)
        reply.plaintext_crc32c.value, reply.protection_level = self._crc(plain), _SYMMETRIC
        return reply

    def _key(self, name: str) -> Key:
        name = self._projects.with_id(name)
        if name not in self._keys:
            raise absent("CryptoKey", name)
        return self._keys[name]

    def _cipher(self, key: Key, number: int) -> Any:
        name, state = key.version_name(number), key.states.get(number)
        if state is None:
            raise absent("CryptoKeyVersion", name)
        if state != ENABLED:
            word = "DISABLED" if state == DISABLED else "DESTROYED"
            raise Refused("FAILED_PRECONDITION", f"{name} is not enabled, current state is: {word}.")
        return self._aead(key.material[number])

    def _check(self, request: Any, text: str) -> None:
        """The size and the checksum of what came."""
        for name in (text, "additional_authenticated_data"):
            data, checksum = getattr(request, name), f"{name}_crc32c"
            if name != "ciphertext" and len(data) > _MAX_SIZE:
                raise invalid(f"The {name} must have at most {_MAX_SIZE} bytes.")
            if request.HasField(checksum) and getattr(request, checksum).value != self._crc(data):
                raise invalid(f"The checksum in field {checksum} did not match the data in field {name}.")
