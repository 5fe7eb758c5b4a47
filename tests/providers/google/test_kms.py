"""Google KMS through its own client over real sockets: ciphertext in all its spellings, checksums, keys, errors."""

from __future__ import annotations

import base64
import contextlib
import traceback
from typing import Any

import pytest

pytest.importorskip("grpc")
pytest.importorskip("google.cloud.kms_v1")

import grpc.aio
from google.cloud import kms_v1
from google.cloud.kms_v1.services.key_management_service.transports import KeyManagementServiceGrpcAsyncIOTransport

from asyncsecrets.errors import (
    AccessDeniedError,
    ConfigError,
    DecodeError,
    IntegrityError,
    InvalidNameError,
    MalformedResponseError,
    SecretNotFoundError,
    UnsupportedOperationError,
)
from asyncsecrets.providers.base import Encrypter
from asyncsecrets.providers.google import GoogleKmsProvider, GoogleSettings
from asyncsecrets.testing.google_server import GoogleServer


async def encrypted(server, key, plaintext, **more):
    """A ciphertext that the official client made."""
    async with grpc.aio.insecure_channel(server.endpoint) as channel:
        client = kms_v1.KeyManagementServiceAsyncClient(
            transport=KeyManagementServiceGrpcAsyncIOTransport(channel=channel)
        )
        return (await client.encrypt({"name": key, "plaintext": plaintext, **more})).ciphertext


def text_of(blob):
    return base64.b64encode(blob).decode()


@pytest.fixture
async def server():
    """A fake Google, with one key."""
    async with GoogleServer() as running:
        running.key()
        yield running


@pytest.fixture
def key(server):
    """The name of that key."""
    return server.key().name


@pytest.fixture
def environ(key):
    """The environment of a program."""
    return {"GOOGLE_KMS_RESOURCE_NAME": key}


@pytest.fixture
async def made(server, environ):
    """Makes opened providers."""
    async with contextlib.AsyncExitStack() as stack:

        async def make(environ=environ, dotenv=None, **settings):
            settings = {"auth_method": "none", "google_endpoint": f"http://{server.endpoint}", **settings}
            provider = GoogleKmsProvider.from_settings(settings, environ, dotenv=dotenv)
            await provider.open()
            stack.push_async_callback(provider.aclose)
            return provider

        yield make


@pytest.fixture
async def kms(made):
    """An opened provider with that key."""
    return await made()


# -- reading


@pytest.mark.parametrize(
    "spell",
    [
        text_of,
        lambda blob: base64.encodebytes(blob).decode(),
        repr,
        lambda blob: "b" + repr(blob)[2:-1],
    ],
    ids=["base64", "base64 in lines", "literal", "literal through a shell"],
)
async def test_spellings(server, kms, key, environ, spell):
    """Every spelling of a ciphertext decrypts to exactly what was encrypted, never stripped."""
    environ["DATABASE_URL"] = spell(await encrypted(server, key, b"  canary \n"))
    secret = await kms.get("DATABASE_URL")
    assert secret.equals("  canary \n")
    assert not secret.is_binary
    assert secret.version is None


@pytest.mark.parametrize(
    ("plaintext", "is_binary"), [(b"canary \xff", True), (b"", False), (b"\xc3\xa4 canary", False)]
)
async def test_plaintexts(server, kms, key, environ, plaintext, is_binary):
    """Plaintext is text where it is UTF-8, else bytes; the empty one has a checksum too."""
    environ["KEY"] = text_of(await encrypted(server, key, plaintext))
    secret = await kms.get("KEY")
    assert secret.is_binary is is_binary
    assert secret.equals(plaintext if is_binary else plaintext.decode())
    assert kms.remarks == ()


@pytest.mark.parametrize(
    "text", ["", "canary!", "b'canary", "b'\\xzz'", "canary canary=", "A" * 93_000, "b\\q", "b\n$"]
)
async def test_not_ciphertext(server, kms, environ, text):
    """What is not ciphertext is an error that names the variable and not its value: never the value itself."""
    environ["PLAIN"] = text
    with pytest.raises(DecodeError, match="PLAIN") as caught:
        await kms.get("PLAIN")
    assert "canary" not in str(caught.value)
    assert server.count("Decrypt") == 0


async def test_dotenv(server, made, key, environ, tmp_path):
    """A ciphertext that only the .env file has is decrypted; the file may change and go; the environment wins."""
    file = tmp_path / ".env"
    kms = await made(dotenv=file)
    for value in (b"canary one", b"canary of two"):
        file.write_text(f"API_KEY={text_of(await encrypted(server, key, value))}\n")
        assert (await kms.get("API_KEY")).equals(value.decode())
    environ["API_KEY"] = text_of(await encrypted(server, key, b"canary of the environment"))
    assert (await kms.get("API_KEY")).equals("canary of the environment")
    del environ["API_KEY"]
    file.unlink()
    with pytest.raises(SecretNotFoundError):
        await kms.get("API_KEY")


async def test_absent(kms):
    """A variable that is not set is absent; the environment has no versions and no such names."""
    with pytest.raises(SecretNotFoundError):
        await kms.get("NOT_SET")
    with pytest.raises(UnsupportedOperationError):
        await kms.get("NOT_SET", "1")
    for name in ("", "A=B", "A\0", "A\udc80"):
        with pytest.raises(InvalidNameError):
            await kms.get(name)


async def test_rotated(server, kms, key, environ):
    """What an older version of the key encrypted is decrypted after a rotation."""
    environ["KEY"] = text_of(await encrypted(server, key, b"canary of version 1"))
    server.key().rotate()
    assert (await kms.get("KEY")).equals("canary of version 1")
    environ["KEY"] = await kms.encrypt("canary of version 2")
    assert (await kms.get("KEY")).equals("canary of version 2")


# -- what is sent and answered


async def test_what_is_sent(server, made, environ, monkeypatch):
    """Checksums of everything, the data that the ciphertext is bound to, and the header that routes."""
    seen: dict[str, Any] = {}
    for operation in ("encrypt", "decrypt"):
        answer = getattr(server._kms, operation)
        monkeypatch.setattr(
            server._kms, operation, lambda request, o=operation, a=answer: (seen.setdefault(o, request), a(request))[1]
        )
    kms = await made(additional_authenticated_data="checkout")
    environ["KEY"] = await kms.encrypt("canary")
    await kms.get("KEY")
    for operation, what in (("encrypt", "plaintext"), ("decrypt", "ciphertext")):
        request = seen[operation]
        assert request.HasField(f"{what}_crc32c")
        assert request.HasField("additional_authenticated_data_crc32c")
        assert request.additional_authenticated_data == b"checkout"
    assert [record.metadata["x-goog-request-params"] for record in server.requests] == [
        "name=" + environ["GOOGLE_KMS_RESOURCE_NAME"].replace("/", "%2F")
    ] * 2


@pytest.mark.parametrize("damage", ["payload", "checksum"])
async def test_a_flipped_bit(server, kms, environ, damage):
    """In what is answered or in its checksum: an error, never a value; at the next call all is well."""
    environ["KEY"] = await kms.encrypt("canary")
    server.faults.corrupt(damage, times=2)
    with pytest.raises(IntegrityError, match=r"'KEY'.*checksum") as caught:
        await kms.get("KEY")
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    with pytest.raises(IntegrityError, match="checksum"):
        await kms.encrypt("canary")
    assert (await kms.get("KEY")).equals("canary")
    assert kms.remarks == ()


async def test_no_checksum(server, kms, environ):
    """Whoever sends none is served, and it is said; an empty answer without one is no empty secret."""
    server.faults.corrupt("no_checksum")
    environ["KEY"] = await kms.encrypt("canary")
    assert (await kms.get("KEY")).equals("canary")
    assert kms.remarks == ("answers without a checksum, which were served unchecked: 2",)
    environ["EMPTY"] = await kms.encrypt("")
    with pytest.raises(MalformedResponseError, match="'EMPTY': the answer has no plaintext"):
        await kms.get("EMPTY")


async def test_unverified(server, made):
    """KMS says that it had no checksum of what it was to encrypt: so what it encrypted may be anything."""
    kms = await made(additional_authenticated_data="checkout")
    server.faults.corrupt("unverified", times=1)
    with pytest.raises(IntegrityError, match="no checksum"):
        await kms.encrypt("canary")
    await kms.encrypt("canary")


@pytest.mark.parametrize("field", ["plaintext", "additional_authenticated_data"])
async def test_unverified_in_part(server, made, field, monkeypatch):
    """Each of the two flags counts; the second only where there is such data."""
    answer = server._kms.encrypt

    def forgetful(request):
        reply = answer(request)
        setattr(reply, f"verified_{field}_crc32c", False)
        return reply

    monkeypatch.setattr(server._kms, "encrypt", forgetful)
    bound = await made(additional_authenticated_data="checkout")
    with pytest.raises(IntegrityError, match="no checksum"):
        await bound.encrypt("canary")
    free = await made()
    if field == "plaintext":
        with pytest.raises(IntegrityError, match="no checksum"):
            await free.encrypt("canary")
    else:
        await free.encrypt("canary")


async def test_damaged_on_the_way_there(server, kms, environ, monkeypatch):
    """KMS finds that what came does not match its checksum: that is not a wrong ciphertext, and not a wrong setting."""
    environ["KEY"] = await kms.encrypt("canary")
    monkeypatch.setattr("asyncsecrets.providers.google.kms.crc32c", lambda _: 1)
    for call in (kms.get("KEY"), kms.encrypt("canary")):
        with pytest.raises(IntegrityError, match="on its way"):
            await call


async def test_an_answer_of_another_key(server, kms):
    """Encrypted under a key that nobody asked for: whoever can decrypt that is somebody else."""
    server.faults.corrupt("name", times=1)
    with pytest.raises(MalformedResponseError, match="another key"):
        await kms.encrypt("canary")


@pytest.mark.parametrize(
    ("wanted", "used", "may_be"),
    [
        ("{key}", "{key}/cryptoKeyVersions/7", True),
        ("{key}/cryptoKeyVersions/7", "{key}/cryptoKeyVersions/7", True),
        ("{key}/cryptoKeyVersions/7", "{key}/cryptoKeyVersions/8", False),
        ("{key}", "{number}/cryptoKeyVersions/7", True),
        ("{number}", "{key}/cryptoKeyVersions/7", True),
        ("{key}", "{key}", False),
        ("{key}", "{key}2/cryptoKeyVersions/7", False),
        ("{key}", "{other}/cryptoKeyVersions/7", False),
        ("{number}", "{number}9/cryptoKeyVersions/7", False),
        ("{key}", "", False),
        ("{key}", "{key}/cryptoKeyVersions/7\n", False),
    ],
)
async def test_whose_key(made, server, monkeypatch, wanted, used, may_be):
    """The name of the answer is of a version of the key, the very one where one was asked for."""
    rest = "locations/global/keyRings/ring/cryptoKeys/key"
    names = {
        "key": f"projects/example-project/{rest}",
        "number": f"projects/123456789012/{rest}",
        "other": f"projects/others-project/{rest}",
    }
    answer = server._kms.types.EncryptResponse.pb()(name=used.format(**names), ciphertext=b"canary-ciphertext")
    monkeypatch.setattr(server._kms, "encrypt", lambda _: answer)
    kms = await made({"GOOGLE_KMS_RESOURCE_NAME": wanted.format(**names)})
    if may_be:
        await kms.encrypt("canary")
    else:
        with pytest.raises(MalformedResponseError, match="another key"):
            await kms.encrypt("canary")


# -- encrypting


async def test_encrypt(server, kms, environ):
    """What encrypt returns is read by get; too long says what to do, and nothing is sent."""
    for value in ("canary ümläut\n", b"canary \xff\x00", "", "c" * 65_536):
        environ["KEY"] = await kms.encrypt(value)
        assert (await kms.get("KEY")).equals(value)
    before = server.count("Encrypt")
    with pytest.raises(DecodeError, match="65,536"):
        await kms.encrypt(b"c" * 65_537)
    text = "canary \ud800"
    with pytest.raises(DecodeError) as caught:
        await kms.encrypt(text)
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    assert server.count("Encrypt") == before
    assert isinstance(kms, Encrypter)


async def test_a_version_of_a_key(server, made, key, environ):
    """The version that is named encrypts; decrypting takes the key, so any of its versions."""
    server.key().rotate()
    kms = await made({**environ, "GOOGLE_KMS_RESOURCE_NAME": f"{key}/cryptoKeyVersions/1"})
    environ = kms.settings.variables()
    environ["OLD"], environ["NEW"] = (
        await kms.encrypt("canary old"),
        text_of(await encrypted(server, key, b"canary new")),
    )
    assert (await kms.get("OLD")).equals("canary old")
    assert (await kms.get("NEW")).equals("canary new")
    server.key().disable(1)
    with pytest.raises(AccessDeniedError, match="disabled"):
        await kms.encrypt("canary")
    assert (await kms.get("NEW")).equals("canary new")


# -- settings


NAME = "projects/p/locations/global/keyRings/r/cryptoKeys/k"


@pytest.mark.parametrize(
    "name",
    [
        "projects/*/locations/*/keyRings/*/cryptoKeys/*",
        "k",
        f"/{NAME}",
        f"{NAME}/",
        f"{NAME}/cryptoKeyVersions/",
        f"{NAME}/cryptoKeyVersions/primary",
        f"{NAME}/cryptoKeyVersions/1/",
        f"{NAME}:encrypt",
        f"{NAME}?alt=json",
        f"{NAME}\n{NAME}",
        f"{NAME}é",
        f"gcp-kms://{NAME}",
        NAME.replace("/r/", "/../"),
        NAME.replace("/r/", "//"),
        NAME.replace("/r/", "/" + "r" * 64 + "/"),
        NAME.replace("cryptoKeys", "cryptokeys"),
    ],
)
def test_no_name_of_a_key(name):
    """It is refused before anything is sent, with the setting and what it has to look like, and not quoted."""
    with pytest.raises(ConfigError, match=r"GOOGLE_KMS_RESOURCE_NAME.* must be .*projects/PROJECT/locations") as caught:
        GoogleKmsProvider(GoogleSettings(kms_key=name))
    assert name == "k" or name not in str(caught.value)


@pytest.mark.parametrize("name", [NAME, f"{NAME}/cryptoKeyVersions/12", NAME.replace("/p/", "/example.com:p-1/")])
def test_names_of_keys(name):
    """Of a project of a domain, too; from the environment or the settings."""
    for settings, environ in (
        ({}, {"GOOGLE_KMS_RESOURCE_NAME": f" {name}\n"}),
        ({"google_kms_resource_name": name}, {}),
    ):
        assert GoogleKmsProvider.from_settings(settings, environ).settings.kms_key == name


def test_without_a_key():
    """It is missing, and the setting is named."""
    with pytest.raises(ConfigError, match=r"GOOGLE_KMS_RESOURCE_NAME.* must be the name of a key"):
        GoogleKmsProvider.from_settings({}, {})


# -- what goes wrong


async def test_bound_to_other_data(made, environ):
    """Other data, or none, does not decrypt."""
    right = await made(additional_authenticated_data="web")
    environ["KEY"] = await right.encrypt("canary")
    assert (await right.get("KEY")).equals("canary")
    for wrong in (await made(additional_authenticated_data="db"), await made()):
        with pytest.raises(IntegrityError, match="additional_authenticated_data"):
            await wrong.get("KEY")


async def test_of_another_key(server, kms, environ):
    """A ciphertext of another key than the configured one is refused."""
    environ["KEY"] = text_of(await encrypted(server, server.key("other").name, b"canary"))
    with pytest.raises(IntegrityError, match="another key"):
        await kms.get("KEY")


async def test_damaged(kms, environ):
    """A ciphertext with one changed bit, wherever that is, is IntegrityError."""
    blob = base64.b64decode(await kms.encrypt("canary"))
    for place in range(0, len(blob), 5):
        environ["KEY"] = text_of(blob[:place] + bytes([blob[place] ^ 1]) + blob[place + 1 :])
        with pytest.raises(IntegrityError):
            await kms.get("KEY")


@pytest.mark.parametrize("how", ["disable", "destroy"])
async def test_key_out_of_use(server, kms, environ, how):
    """A key out of use is AccessDeniedError: were it "not found", the ciphertext could stand in for the value."""
    environ["KEY"] = await kms.encrypt("canary")
    getattr(server.key(), how)()
    for call in (kms.get("KEY"), kms.encrypt("canary")):
        with pytest.raises(AccessDeniedError, match="gcloud kms keys versions enable"):
            await call


async def test_no_such_key(made, key, environ):
    """It is the setting that is wrong."""
    kms = await made({"GOOGLE_KMS_RESOURCE_NAME": f"{key}-canary", "KEY": text_of(b"ciphertext")})
    for call in (kms.get("KEY"), kms.encrypt("canary")):
        with pytest.raises(ConfigError, match="GOOGLE_KMS_RESOURCE_NAME") as caught:
            await call
        assert "canary" not in str(caught.value)


async def test_denied_names_the_permission(server, made, kms, key, environ):
    """A missing permission is named, and the role that has it; so is it where the project is not there."""
    environ["KEY"] = await kms.encrypt("canary")
    server.deny()
    elsewhere = await made({**environ, "GOOGLE_KMS_RESOURCE_NAME": key.replace("example-project", "no-project")})
    for provider in (kms, elsewhere):
        with pytest.raises(AccessDeniedError, match=r"useToDecrypt \(roles/cloudkms.cryptoKeyDecrypter\)"):
            await provider.get("KEY")
        with pytest.raises(AccessDeniedError, match=r"useToEncrypt \(roles/cloudkms.cryptoKeyEncrypter\)"):
            await provider.encrypt("canary")


@pytest.mark.parametrize("status", ["FAILED_PRECONDITION", "INVALID_ARGUMENT", "PERMISSION_DENIED"])
async def test_what_is_no_matter_of_the_key(server, kms, environ, status):
    """Billing, an API that is not enabled: whatever the status, it is not the ciphertext that is wrong."""
    environ["KEY"] = text_of(b"ciphertext")
    server.faults.status(status, "canary", reason="BILLING_DISABLED")
    with pytest.raises(ConfigError, match="billing"):
        await kms.get("KEY")


async def test_what_kms_does_not_take(server, kms, environ):
    """A request that is refused as invalid is a wrong setting where it encrypts: an HSM takes less."""
    server.faults.status("INVALID_ARGUMENT", "canary: the plaintext is too large", method="Encrypt")
    with pytest.raises(ConfigError, match="8 KiB") as caught:
        await kms.encrypt("canary")
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("size", [69_632, 69_633])
async def test_the_largest_ciphertext(server, kms, environ, size):
    """What is longer than KMS makes is not sent."""
    environ["LARGE"] = text_of(b"c" * size)
    with pytest.raises((IntegrityError, DecodeError)):
        await kms.get("LARGE")
    assert server.count("Decrypt") == (size == 69_632)
