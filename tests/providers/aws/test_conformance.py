"""The conformance suite against moto behind the strict proxy."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from typing import ClassVar

import aiohttp
import pytest

from asyncsecrets.providers.aws import AwsKmsProvider, AwsSecretsManagerProvider, AwsSettings
from asyncsecrets.testing.conformance import (
    UNUSUAL_NAMES,
    ProviderConformance,
    ProviderHarness,
    ReaderConformance,
)
from tests.providers.aws.proxy import AwsProxy


def settings(proxy, environ=None, **more):
    return AwsSettings(
        environ={} if environ is None else environ,
        access_key_id="AKIATEST",
        secret_access_key="canary-secret-access-key",
        region="eu-central-1",
        endpoint=proxy.url,
        attempt_timeout=15.0,  # a busy machine needs its time
        max_connections=4,  # the proxy asks moto for one thing at a time: whoever waits there has less time
        **more,
    )


class AwsHarness(ProviderHarness):
    """What both services have in common."""

    def __init__(self, moto):
        self.proxy = AwsProxy(moto)

    async def __aenter__(self):
        await self.proxy.__aenter__()
        await self.proxy.reset()
        await self.prepare()
        return self

    async def __aexit__(self, *_):
        await self.proxy.__aexit__()
        await asyncio.sleep(0.01)  # the server's transports close in the loop's next turns

    def attempts(self):
        return self.proxy.count()

    @contextlib.asynccontextmanager
    async def fault(self, kind):
        self.proxy.fault = kind
        with pytest.MonkeyPatch.context() as patch:
            if kind in {"timeout", "slow_body"}:  # what never ends need not be waited for as long as the others
                session = self.provider._connection._https._session
                patch.setattr(session, "_timeout", aiohttp.ClientTimeout(total=0.4))
            try:
                yield
            finally:
                self.proxy.fault = None


class SecretsManagerHarness(AwsHarness):
    unsupported: ClassVar = {"empty": "AWS keeps values of 1 to 65,536 bytes"}
    accepts: ClassVar = {"exclamation_mark", "leading_slash", "final_slash", "two_slashes", "signs"}
    reserved: ClassVar = {"exclamation_mark"}
    unknown_version = "00000000-0000-4000-8000-000000000000"
    rotates = True

    async def prepare(self):
        self.provider = AwsSecretsManagerProvider(settings(self.proxy))

    async def seed(self, name, value):
        return await self.proxy.store(name, value)

    async def remove(self, name):
        await self.proxy.moto_call("DeleteSecret", SecretId=name, ForceDeleteWithoutRecovery=True)

    async def allow_rotation(self, name):
        self.proxy.rotating.add(name)


class KmsHarness(AwsHarness):
    unsupported: ClassVar = {
        "empty": "KMS encrypts 1 to 4,096 bytes",
        "nul_byte": "no environment has such a variable",
    }
    accepts: ClassVar = set(UNUSUAL_NAMES) - {"signs"}
    max_payload = 4096
    places = True

    async def prepare(self):
        self.environ = {}
        self.key = (await self.proxy.moto_call("CreateKey", "kms"))["KeyMetadata"]["KeyId"]
        self.provider = AwsKmsProvider(settings(self.proxy, self.environ, kms_key_id=self.key))

    async def seed(self, name, value):
        data = value.encode() if isinstance(value, str) else value
        body = {"KeyId": self.key, "Plaintext": base64.b64encode(data).decode()}
        self.environ[name] = (await self.proxy.moto_call("Encrypt", "kms", **body))["CiphertextBlob"]

    async def remove(self, name):
        del self.environ[name]

    async def place(self, name, ciphertext):
        self.environ[name] = ciphertext


class TestSecretsManager(ProviderConformance):
    @pytest.fixture
    def harness(self, moto):
        return SecretsManagerHarness(moto)


class TestKms(ReaderConformance):
    @pytest.fixture
    def harness(self, moto):
        return KmsHarness(moto)
