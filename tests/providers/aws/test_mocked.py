"""Under moto's mock_aws(), in this process: moto answers, and nothing leaves for AWS."""

from __future__ import annotations

import asyncio
import base64

import boto3
import pytest
from moto import mock_aws

from asyncsecrets import SecretsClient
from asyncsecrets.errors import ConfigError, SecretNotFoundError, UnavailableError

REGION = "eu-central-1"
ROLE = "arn:aws:iam::123456789012:role/reader"


@pytest.fixture
async def left(monkeypatch):
    """The requests that left this process for AWS: a proxy would see them."""
    lines = []

    async def serve(reader, writer):
        lines.append(await reader.readline())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    monkeypatch.setenv("AWS_REGION", REGION)
    yield lines
    server.close()


def store(name):
    """Store a secret, not by boto3: it logs what it sends."""
    from moto.secretsmanager.models import secretsmanager_backends

    backend = secretsmanager_backends["123456789012"][REGION]
    backend.create_secret(name, "canary", None, None, None, None, None, [], False)


def client(system="aws_secret_manager", **settings):
    settings = {"access_mode": "read_and_write", **settings}
    document = {"general_settings": {"key_management_system": system, "key_management_settings": settings}}
    return SecretsClient.from_config(document)


async def test_what_is_mocked_is_answered(left):
    """Reads, a batch, writes and lists go to the same secrets as boto3's, each once."""
    with mock_aws():
        store("app/db")
        async with client() as secrets:
            assert (await secrets.get("app/db")).equals("canary")
            found = await asyncio.gather(secrets.get("app/db"), secrets.get("none"), return_exceptions=True)
            assert [type(answer) for answer in found[1:]] == [SecretNotFoundError]
            await secrets.put("new", "canary one")
            await secrets.put("new", "canary two")
            assert len(await secrets.versions("new")) == 2
            assert await secrets.list() == ["app/db", "new"]
        boto = boto3.client("secretsmanager", region_name=REGION)
        assert {secret["Name"] for secret in boto.list_secrets()["SecretList"]} == {"app/db", "new"}
    assert left == []


async def test_a_mock_carries_out_each_request_once(left, monkeypatch):
    """And the proxy of the environment does not matter, not even one that is not spoken here."""
    from moto.secretsmanager.models import SecretsManagerBackend

    monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:1")
    written, put = [], SecretsManagerBackend.put_secret_value
    monkeypatch.setattr(
        SecretsManagerBackend, "put_secret_value", lambda *args, **more: written.append(1) or put(*args, **more)
    )
    with mock_aws():
        store("db")
        async with client() as secrets:
            await secrets.put("db", "canary two")
            assert (await secrets.get("db")).equals("canary two")
    assert (written, left) == ([1], [])


async def test_a_role_under_a_mock(left):
    """The credentials of a role come from moto's STS, too."""
    with mock_aws():
        store("db")
        async with client(aws_role_name=ROLE) as secrets:
            assert (await secrets.get("db")).equals("canary")
    assert left == []


async def test_kms_under_a_mock(left, monkeypatch):
    """So does what KMS decrypts."""
    with mock_aws():
        kms = boto3.client("kms", region_name=REGION)
        key = kms.create_key()["KeyMetadata"]["KeyId"]
        ciphertext = kms.encrypt(KeyId=key, Plaintext=b"canary")["CiphertextBlob"]
        monkeypatch.setenv("NAME", base64.b64encode(ciphertext).decode())
        async with client("aws_kms", kms_key_id=key) as secrets:
            assert (await secrets.get("NAME")).equals("canary")
    assert left == []


@pytest.mark.parametrize(
    ("mock", "settings"),
    [
        ({"core": {"service_whitelist": ["s3"]}}, {}),
        ({}, {"aws_endpoint_url": "https://secretsmanager.eu-central-1.api.aws"}),
        ({}, {"aws_endpoint_url": "https://vpce-01.secretsmanager.eu-central-1.vpce.amazonaws.com"}),
        ({}, {"aws_role_name": ROLE, "aws_sts_endpoint": "https://sts.eu-central-1.api.aws"}),
    ],
    ids=["another service", "dual stack", "private link", "sts"],
)
async def test_what_is_not_mocked_is_not_sent(left, mock, settings):
    """The error says who is in the way, and what works instead."""
    with mock_aws(config=mock):
        async with client(**settings) as secrets:
            for ask in (lambda: secrets.get("db"), lambda: secrets.put("db", "canary")):
                with pytest.raises(ConfigError, match=r"mock_aws.* nothing was sent .*AWS_ENDPOINT_URL"):
                    await ask()
    assert left == []


async def test_what_is_let_pass_is_sent(left):
    """Whoever tells moto to let requests pass wants the real AWS; and so does who has stopped mocking."""
    passing = {"core": {"passthrough": {"services": ["secretsmanager"]}}}
    with mock_aws(config=passing):
        async with client() as secrets:
            with pytest.raises(UnavailableError):
                await secrets.get("db")
    assert left[0].startswith(b"CONNECT secretsmanager.eu-central-1.amazonaws.com:443")


async def test_an_endpoint_that_is_named_is_asked(left, aws):
    """A server on this machine is what was asked for, mocking or not."""
    with mock_aws():
        await aws.store("db", "canary")
        async with client(aws_endpoint_url=aws.url) as secrets:
            assert (await secrets.get("db")).equals("canary")
    assert aws.count("GetSecretValue") == 1
    assert left == []
