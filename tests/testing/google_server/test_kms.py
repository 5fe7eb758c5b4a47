"""KMS by the official async client: real encryption, checksums both ways, versions and their states."""

from __future__ import annotations

import google_crc32c
import pytest

from .conftest import refused

AAD = b"canary-context"


async def encrypt(clients, name, **more):
    """Encrypt with checksums."""
    request = {"name": name, "plaintext": b"canary", "plaintext_crc32c": google_crc32c.value(b"canary"), **more}
    return await clients.kms.encrypt(request=request)


async def test_what_is_encrypted_is_decrypted(server, clients):
    """With checksums of everything, and the version's name in the answer; no two ciphertexts are alike."""
    key = server.key()
    sealed = await encrypt(
        clients,
        key.name,
        additional_authenticated_data=AAD,
        additional_authenticated_data_crc32c=google_crc32c.value(AAD),
    )
    assert sealed.name == f"projects/{server.project}/locations/global/keyRings/ring/cryptoKeys/key/cryptoKeyVersions/1"
    assert sealed.ciphertext.startswith(b"\n$\x00")
    assert sealed.ciphertext_crc32c == google_crc32c.value(sealed.ciphertext)
    assert sealed.verified_plaintext_crc32c
    assert sealed.verified_additional_authenticated_data_crc32c
    assert sealed.ciphertext != (await encrypt(clients, key.name)).ciphertext
    request = {"name": key.name, "ciphertext": sealed.ciphertext, "additional_authenticated_data": AAD}
    request |= {"ciphertext_crc32c": google_crc32c.value(sealed.ciphertext)}
    opened = await clients.kms.decrypt(request=request)
    assert (opened.plaintext, opened.used_primary) == (b"canary", True)
    assert opened.plaintext_crc32c == google_crc32c.value(b"canary")
    assert opened.protection_level.name == "SOFTWARE"


async def test_what_the_server_itself_encrypts(server, clients):
    """For whoever seeds a test: of `key` unless another is given, with a context."""
    request = {"name": server.key().name, "ciphertext": server.encrypt(b"canary")}
    assert (await clients.kms.decrypt(request=request)).plaintext == b"canary"
    other = server.key("other", ring="another", location="europe-west3")
    sealed = {"name": other.name, "ciphertext": server.encrypt(b"canary-2", other, aad=AAD)}
    opened = await clients.kms.decrypt(request=sealed | {"additional_authenticated_data": AAD})
    assert opened.plaintext == b"canary-2"
    assert (await refused(clients.kms.decrypt(request=sealed))).code == 400


async def test_what_cannot_be_decrypted(server, clients):
    """Google's words for each: another key's, tampered with, another context, a checksum that does not fit."""
    key, other = server.key(), server.key("other")
    sealed = (await encrypt(clients, key.name, additional_authenticated_data=AAD)).ciphertext
    right = {"name": key.name, "ciphertext": sealed, "additional_authenticated_data": AAD}
    wrong_key = "Decryption failed: verify that 'name' refers to the correct CryptoKey."
    wrong_text = "Decryption failed: the ciphertext is invalid."
    wrong_checksum = "The checksum in field ciphertext_crc32c did not match the data in field ciphertext."
    cases = [
        ({"name": other.name}, wrong_key),
        ({"ciphertext": b"nonsense"}, wrong_key),
        ({"ciphertext": sealed[:-1] + bytes([sealed[-1] ^ 1])}, wrong_text),
        ({"ciphertext": sealed[:40]}, wrong_text),
        ({"additional_authenticated_data": b"x"}, wrong_text),
        ({"ciphertext_crc32c": 1}, wrong_checksum),
    ]
    for change, words in cases:
        error = await refused(clients.kms.decrypt(request=right | change))
        assert (error.grpc_status_code.name, error.message) == ("INVALID_ARGUMENT", words)
    for name in (server.key().name.replace("ring", "nix", 1), f"{key.name}x"):
        error = await refused(clients.kms.decrypt(request=right | {"name": name}))
        assert error.grpc_status_code.name == "NOT_FOUND"
    assert (await refused(encrypt(clients, key.name, plaintext_crc32c=1))).code == 400
    assert (await refused(clients.kms.encrypt(request={"name": key.name, "plaintext": b"x" * 65_537}))).code == 400


async def test_versions_of_a_key(server, clients):
    """A rotation leaves what is there readable; a disabled or destroyed version says so."""
    key = server.key()
    first = (await encrypt(clients, key.name)).ciphertext
    assert key.rotate() == 2
    assert (await encrypt(clients, key.name)).name == key.version_name(2)
    assert (await encrypt(clients, key.version_name(1))).name == key.version_name(1)
    assert (await clients.kms.get_crypto_key(name=key.name)).primary.name == key.version_name(2)
    assert not (await clients.kms.decrypt(name=key.name, ciphertext=first)).used_primary
    key.disable(1)
    error = await refused(clients.kms.decrypt(name=key.name, ciphertext=first))
    assert error.grpc_status_code.name == "FAILED_PRECONDITION"
    assert error.message == f"{key.version_name(1)} is not enabled, current state is: DISABLED."
    key.enable(1)
    assert (await clients.kms.decrypt(name=key.name, ciphertext=first)).plaintext == b"canary"
    key.destroy()
    assert "DESTROYED" in (await refused(encrypt(clients, key.name))).message
    assert (await refused(encrypt(clients, key.version_name(9)))).code == 404


@pytest.mark.parametrize("number", [True, False])
async def test_a_project_by_id_or_number(server, clients, number):
    """KMS answers with the project's id."""
    name = server.key().name
    asked = name.replace(server.project, server.number) if number else name
    assert (await encrypt(clients, asked)).name.startswith(name)
