"""KMS: ciphertext from the environment in all its spellings, key and context, encrypting, errors."""

from __future__ import annotations

import base64
import traceback

import pytest

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
from asyncsecrets.providers.aws import AwsKmsProvider
from asyncsecrets.providers.base import Encrypter


@pytest.fixture
async def key(aws):
    """The id of a KMS key."""
    return (await aws.moto_call("CreateKey", "kms"))["KeyMetadata"]["KeyId"]


@pytest.fixture
async def kms(environ, key):
    """An opened provider with that key."""
    provider = AwsKmsProvider.from_settings({"kms_key_id": key, "attempt_timeout": "10"}, environ)
    await provider.open()
    yield provider
    await provider.aclose()


async def encrypted(aws, key, plaintext, **more):
    body = {"KeyId": key, "Plaintext": base64.b64encode(plaintext).decode(), **more}
    return base64.b64decode((await aws.moto_call("Encrypt", "kms", **body))["CiphertextBlob"])


def shell(literal):
    """What a POSIX shell makes of NAME=b'...': it eats the quotes."""
    return "b" + literal[2:-1]


@pytest.mark.parametrize(
    "spell",
    [
        lambda blob: base64.b64encode(blob).decode(),
        lambda blob: base64.encodebytes(blob).decode(),
        lambda blob: "aws_kms/" + base64.b64encode(blob).decode(),
        repr,
        lambda blob: shell(repr(blob)),
        lambda blob: "aws_kms/" + repr(blob),
    ],
    ids=["base64", "base64 in lines", "prefixed", "literal", "literal through a shell", "prefixed literal"],
)
async def test_spellings(aws, kms, key, environ, spell):
    """Every spelling of a ciphertext decrypts to exactly what was encrypted, never stripped."""
    environ["DATABASE_URL"] = spell(await encrypted(aws, key, b"  canary \n"))
    secret = await kms.get("DATABASE_URL")
    assert secret.equals("  canary \n")
    assert not secret.is_binary
    assert secret.version is None


@pytest.mark.parametrize("prefix", ["LITELLM_SECRET_AWS_KMS_", "litellm_secret_aws_kms_"])
async def test_litellm_names(aws, kms, key, environ, prefix):
    """A variable of LiteLLM's name for encrypted ones is read for NAME, before a plain NAME."""
    environ[f"{prefix}API_KEY"] = base64.b64encode(await encrypted(aws, key, b"canary")).decode()
    environ["API_KEY"] = "canary in plain text"
    assert (await kms.get("API_KEY")).equals("canary")


async def test_binary(aws, kms, key, environ):
    """Plaintext that is not UTF-8 comes back as bytes."""
    environ["KEY"] = base64.b64encode(await encrypted(aws, key, b"canary \xff")).decode()
    secret = await kms.get("KEY")
    assert secret.is_binary
    assert secret.equals(b"canary \xff")


@pytest.mark.parametrize(
    "text", ["", "canary!", "b'canary", "b'\\xzz'", "canary canary=", "A" * 8300, "aws_kms/", "b\\q"]
)
async def test_not_ciphertext(aws, kms, environ, text):
    """What is not ciphertext is an error that names the variable and not its value: never the value itself."""
    environ["PLAIN"] = text
    with pytest.raises(DecodeError, match="PLAIN") as caught:
        await kms.get("PLAIN")
    assert "canary" not in str(caught.value)
    assert aws.calls == []


@pytest.fixture
async def from_file(environ, key, tmp_path):
    """An opened provider with that key, which also reads the file .env; and the file."""
    file = tmp_path / ".env"
    provider = AwsKmsProvider.from_settings({"kms_key_id": key, "attempt_timeout": "10"}, environ, dotenv=file)
    await provider.open()
    yield provider, file
    await provider.aclose()


@pytest.mark.parametrize("variable", ["API_KEY", "LITELLM_SECRET_AWS_KMS_API_KEY"])
async def test_dotenv(aws, from_file, key, environ, variable):
    """A ciphertext that only the .env file has is decrypted; the file may come, change and go; the environment wins."""
    kms, file = from_file
    with pytest.raises(SecretNotFoundError):
        await kms.get("API_KEY")
    for value in (b"canary one", b"canary of two"):
        file.write_text(f"# ours\n{variable}=aws_kms/{base64.b64encode(await encrypted(aws, key, value)).decode()}\n")
        assert (await kms.get("API_KEY")).equals(value)
    environ[variable] = base64.b64encode(await encrypted(aws, key, b"canary of the environment")).decode()
    assert (await kms.get("API_KEY")).equals("canary of the environment")
    del environ[variable]
    file.unlink()
    with pytest.raises(SecretNotFoundError):
        await kms.get("API_KEY")


async def test_dotenv_that_is_broken(aws, from_file, environ):
    """A .env file that cannot be read is an error, at the start and later: what it may hold is not absent."""
    kms, file = from_file
    file.write_text("canary is no line of a .env file\n")
    with pytest.raises(MalformedResponseError, match="line 1") as caught:
        await kms.get("API_KEY")
    assert "canary" not in str(caught.value).replace(str(file), "")
    again = AwsKmsProvider.from_settings({}, environ, dotenv=file)
    with pytest.raises(ConfigError, match="line 1"):
        await again.open()
    file.write_text("API_KEY=canary of no ciphertext\n")
    with pytest.raises(DecodeError, match="API_KEY") as caught:
        await kms.get("API_KEY")
    assert "canary" not in str(caught.value)
    assert aws.count("Decrypt") == 0


async def test_not_text(kms, environ):
    """A variable whose bytes are not text is no ciphertext either."""
    environ["KEY"] = "canary\udcff"
    with pytest.raises(DecodeError, match="KEY") as caught:
        await kms.get("KEY")
    assert "canary" not in "".join(traceback.format_exception(caught.value))


async def test_absent(aws, kms):
    """A variable that is not set is absent; the environment has no versions and no such names."""
    with pytest.raises(SecretNotFoundError):
        await kms.get("NOT_SET")
    with pytest.raises(UnsupportedOperationError):
        await kms.get("NOT_SET", "1")
    for name in ("", "A=B", "A\0", "A\udc80"):
        with pytest.raises(InvalidNameError):
            await kms.get(name)


async def test_context(aws, key, environ):
    """The encryption context of the settings goes with each call, and another one does not decrypt."""
    settings = {"kms_key_id": key, "encryption_context": {"app": "web"}, "attempt_timeout": "10"}
    right = AwsKmsProvider.from_settings(settings, environ)
    wrong = AwsKmsProvider.from_settings({**settings, "encryption_context": {"app": "db"}}, environ)
    await right.open()
    await wrong.open()
    try:
        environ["KEY"] = await right.encrypt("canary")
        assert (await right.get("KEY")).equals("canary")
        with pytest.raises(IntegrityError, match="encryption_context"):
            await wrong.get("KEY")
    finally:
        await right.aclose()
        await wrong.aclose()
    assert all(request["body"]["KeyId"] == key for request in aws.requests)


async def test_another_key(aws, kms, environ):
    """A ciphertext of another key than the configured one is refused."""
    other = (await aws.moto_call("CreateKey", "kms"))["KeyMetadata"]["KeyId"]
    environ["KEY"] = base64.b64encode(await encrypted(aws, other, b"canary")).decode()
    with pytest.raises(IntegrityError, match="another key"):
        await kms.get("KEY")


async def test_damaged(aws, kms, key, environ):
    """A ciphertext with one changed bit is IntegrityError."""
    blob = bytearray(await encrypted(aws, key, b"canary"))
    blob[-1] ^= 1
    environ["KEY"] = base64.b64encode(blob).decode()
    with pytest.raises(IntegrityError):
        await kms.get("KEY")


@pytest.mark.parametrize(
    ("action", "more", "says"),
    [
        ("DisableKey", {}, "disabled"),
        ("ScheduleKeyDeletion", {"PendingWindowInDays": 7}, "CancelKeyDeletion"),
    ],
)
async def test_key_out_of_use(aws, kms, key, environ, action, more, says):
    """A key out of use is AccessDeniedError: were it "not found", the ciphertext could stand in for the value."""
    environ["KEY"] = base64.b64encode(await encrypted(aws, key, b"canary")).decode()
    await aws.moto_call(action, "kms", KeyId=key, **more)
    with pytest.raises(AccessDeniedError, match=says):
        await kms.get("KEY")


async def test_encrypt(aws, kms, environ):
    """What encrypt returns is read by get; too long, too short or without a key it says what to do."""
    for value in ("canary ümläut\n", b"canary \xff\x00", "x" * 4096):
        environ["KEY"] = await kms.encrypt(value)
        assert (await kms.get("KEY")).equals(value)
    before = aws.count()
    for value in ("", b"x" * 4097):
        with pytest.raises(DecodeError, match="4,096"):
            await kms.encrypt(value)
    assert aws.count() == before


async def test_encrypt_says_no_plaintext(aws, kms):
    """The provider is an Encrypter; a text that no bytes can hold is refused without the text."""
    assert isinstance(kms, Encrypter)
    text = "canary \ud800"
    aws.calls.clear()
    with pytest.raises(DecodeError) as caught:
        await kms.encrypt(text)
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    assert aws.calls == []


async def test_encrypt_without_a_key(environ):
    """Encrypting needs a key; an unknown one is a ConfigError that names the setting."""
    bare = AwsKmsProvider.from_settings({}, environ)
    with pytest.raises(ConfigError, match="kms_key_id"):
        await bare.encrypt("canary")
    unknown = AwsKmsProvider.from_settings({"kms_key_id": "00000000-0000-4000-8000-000000000000"}, environ)
    await unknown.open()
    with pytest.raises(ConfigError, match="kms_key_id"):
        await unknown.encrypt("canary")
    await unknown.aclose()


async def test_denied_names_the_action(aws, kms, environ):
    """A missing permission is named."""
    environ["KEY"] = await kms.encrypt("canary")
    aws.denied = {"Decrypt", "Encrypt"}
    with pytest.raises(AccessDeniedError, match="kms:Decrypt"):
        await kms.get("KEY")
    with pytest.raises(AccessDeniedError, match="kms:Encrypt"):
        await kms.encrypt("canary")


@pytest.mark.parametrize("size", [6144, 6145])
async def test_the_largest_ciphertext(aws, environ, key, size):
    """What is longer than KMS takes is not sent."""
    environ = {**environ, "LARGE": base64.b64encode(b"c" * size).decode()}
    provider = AwsKmsProvider.from_settings({"kms_key_id": key, "attempt_timeout": "10"}, environ)
    await provider.open()
    with pytest.raises((IntegrityError, DecodeError)):
        await provider.get("LARGE")
    assert aws.count("Decrypt") == (size == 6144)
    await provider.aclose()
