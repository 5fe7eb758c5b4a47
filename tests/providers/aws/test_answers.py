"""An answer belongs to its question: what comes unasked answers nothing."""

from __future__ import annotations

import asyncio
import base64
import json

import pytest

from asyncsecrets import SecretsClient
from asyncsecrets.providers.aws import AwsKmsProvider, AwsSecretsManagerProvider
from tests.providers.aws.conftest import ENVIRON
from tests.providers.vault.raw import RawServer, answer

REGION = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/11111111-0000-0000-0000-000000000000"
VERSION = "11111111-1111-4111-8111-111111111111"


def secret(name, value, **more):
    """A secret as GetSecretValue answers it."""
    about = {"ARN": f"{REGION}{name}-AbCdEf", "Name": name, "VersionId": VERSION, "VersionStages": ["AWSCURRENT"]}
    return {**about, "SecretString": value, "CreatedDate": 1767225600.0, **more}


def plaintext(value, **more):
    """A plaintext as Decrypt answers it."""
    about = {"KeyId": KEY, "EncryptionAlgorithm": "SYMMETRIC_DEFAULT"}
    return {**about, "Plaintext": base64.b64encode(value.encode()).decode(), **more}


def asked(request):
    """The operation and the parameters of a request."""
    return request.headers["x-amz-target"].rpartition(".")[2], json.loads(request.body)


@pytest.mark.parametrize("late", [False, True], ids=["at once", "late"])
@pytest.mark.parametrize("kind", [AwsSecretsManagerProvider, AwsKmsProvider])
async def test_what_nobody_asked_for(kind, late):
    """A second answer to a read is not the next one's: that has its own, at its first attempt."""
    ciphertexts = {name: base64.b64encode(name.encode() * 9).decode() for name in ("first", "second")}

    def value(request, canary):
        operation, body = asked(request)
        if operation == "Decrypt":
            return plaintext(canary)
        return secret(body["SecretId"], canary)

    def respond(request):
        _, body = asked(request)
        first = body.get("SecretId") == "first" or body.get("CiphertextBlob") == ciphertexts["first"]
        if not first:
            return answer(body=value(request, "canary-2"))
        evil = plaintext("canary-of-another") if kind is AwsKmsProvider else secret("second", "canary-of-another")

        async def twice(writer):
            writer.write(answer(body=value(request, "canary-1")) + (b"" if late else answer(body=evil)))
            await asyncio.sleep(0.01)
            return answer(body=evil) if late else b""

        return twice

    async with RawServer(respond) as server:
        provider = kind.from_settings({}, {**ENVIRON, **ciphertexts, "AWS_ENDPOINT_URL": server.url})
        async with SecretsClient.from_provider(provider, environ={}) as client:
            assert (await client.get("first")).equals("canary-1")
            await asyncio.sleep(0.05)
            assert (await client.get("second")).equals("canary-2")
            assert client.peek("second").equals("canary-2")
        assert len(server.requests) == 2
