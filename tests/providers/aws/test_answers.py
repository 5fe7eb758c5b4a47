"""An answer belongs to its question: what comes unasked is nobody's, and what says that it is another's is refused."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json

import pytest

from asyncsecrets import SecretsClient
from asyncsecrets.errors import MalformedResponseError, ResolveError, WriteOutcomeUnknownError
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


OTHER = {
    "another name": {"Name": "other"},
    "another ARN": {"ARN": f"{REGION}other-AbCdEf"},
    "a longer name in the ARN": {"ARN": f"{REGION}db-other-AbCdEf"},
    "an ARN of another kind of end": {"ARN": f"{REGION}db-AbC.Ef"},
    "another secret": {"Name": "other", "ARN": f"{REGION}other-AbCdEf"},
}
CALLS = {
    "get": lambda provider, name: provider.get(name),
    "put": lambda provider, name: provider.put(name, "canary-new"),
    "swap": lambda provider, name: provider.put(name, "canary-new", cas=VERSION),
    "delete": lambda provider, name: provider.delete(name),
    "destroy": lambda provider, name: provider.destroy(name),
    "restore": lambda provider, name: provider.restore(name),
    "rotate": lambda provider, name: provider.rotate(name),
    "versions": lambda provider, name: provider.versions(name),
}


def whole(request, **more):
    """An answer to any operation about the secret ``db``; a write's version is the one that it asks for."""
    _, body = asked(request)
    versions = [{"VersionId": VERSION, "VersionStages": ["AWSCURRENT"], "CreatedDate": 1767225600.0}]
    token = body.get("ClientRequestToken", VERSION)
    return {**secret("db", "canary-1", VersionId=token), "Versions": versions, "DeletionDate": 1767225600.0, **more}


@pytest.fixture
async def told():
    """``told(respond, kind=…, **settings)``: an open provider at a server that answers so, and the server."""
    async with contextlib.AsyncExitStack() as stack:

        async def opened(respond, kind=AwsSecretsManagerProvider, environ=None, **settings):
            server = await stack.enter_async_context(RawServer(lambda request: answer(body=respond(request))))
            environ = {**ENVIRON, **(environ or {}), "AWS_ENDPOINT_URL": server.url}
            provider = kind.from_settings(settings, environ)
            await provider.open()
            stack.push_async_callback(provider.aclose)
            return provider, server

        yield opened


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("name", ["db", f"{REGION}db", f"{REGION}db-AbCdEf"], ids=["name", "partial ARN", "ARN"])
async def test_an_answer_about_another_secret(told, call, name):
    """An answer to any operation is refused if its name or its ARN is another secret's."""
    what = {}
    provider, server = await told(lambda request: whole(request, **what))
    await call(provider, name)
    for other in OTHER.values():
        what, before = other, len(server.requests)
        with pytest.raises(MalformedResponseError, match="another secret") as caught:
            await call(provider, name)
        assert caught.value.outcome_unknown is (call not in {CALLS["get"], CALLS["versions"]})
        assert len(server.requests) == before + 1


async def test_an_answer_of_another_version(told):
    """An answer to a read is of the version or stage that was asked for, and one to a write of that which it made."""
    other = VERSION.replace("1", "2")
    provider, _ = await told(lambda request: whole(request, VersionId=other))
    for call in (provider.get("db", VERSION), provider.put("db", "canary-new"), provider.get("db", "AWSPREVIOUS")):
        with pytest.raises(MalformedResponseError, match="another version"):
            await call
    assert (await provider.get("db", other)).version == other
    provider, _ = await told(lambda request: whole(request, VersionStages=["AWSPREVIOUS"]))
    with pytest.raises(MalformedResponseError, match="another version"):
        await provider.get("db")
    assert (await provider.get("db", "AWSPREVIOUS")).equals("canary-1")


async def test_another_secret_is_not_cached(told):
    """Nothing of an answer about another secret is kept, be it one of a batch."""

    def respond(request):
        operation, _ = asked(request)
        if operation == "BatchGetSecretValue":
            return {"SecretValues": [secret("other", "canary-2"), secret("db", "canary-3", **OTHER["another ARN"])]}
        return whole(request, **OTHER["another ARN"])

    provider, _ = await told(respond)
    async with SecretsClient.from_provider(provider, environ={}) as client:
        for reading in (client.get("db"), client.get_many(["db", "app"])):
            with pytest.raises((MalformedResponseError, ResolveError)):
                await reading
        assert client.peek("db") is client.peek("app") is None
        with pytest.raises(WriteOutcomeUnknownError):
            await client.put("db", "canary-new")
        assert client.peek("db") is None


@pytest.mark.parametrize(
    ("wanted", "used", "may_be"),
    [
        (KEY, KEY, True),
        (KEY.rpartition("/")[2], KEY, True),
        (KEY.rpartition("/")[2].upper(), KEY, True),
        ("alias/app", KEY, True),
        (KEY.replace("key/11111111-0000-0000-0000-000000000000", "alias/app"), KEY, True),
        ("", KEY, True),
        (KEY, None, True),
        (KEY, KEY.replace("1111", "9999"), False),
        (KEY, KEY.replace("eu-central-1", "us-east-1"), False),
        (KEY, KEY.replace("123456789012", "210987654321"), False),
        (KEY.rpartition("/")[2], KEY.replace("1111", "9999"), False),
        (KEY.replace("key/11111111-0000-0000-0000-000000000000", "alias/app"), KEY.replace("eu-", "us-"), False),
    ],
)
async def test_an_answer_of_another_key(told, wanted, used, may_be):
    """KMS says which key it used, by its ARN; what ``kms_key_id`` tells of it has to agree."""
    blob = {"CiphertextBlob": base64.b64encode(b"canary-ciphertext").decode()}
    environ = {"db": base64.b64encode(b"canary" * 9).decode()}
    settings = {"kms_key_id": wanted} if wanted else {}
    provider, _ = await told(lambda _: plaintext("canary-1", KeyId=used, **blob), AwsKmsProvider, environ, **settings)
    calls = [provider.get("db"), *([provider.encrypt("canary-1")] if wanted else [])]
    for call in calls:
        if may_be:
            await call
        else:
            with pytest.raises(MalformedResponseError, match="another key"):
                await call
