"""The conformance suite against a fake of Google KMS, by Google's own client; once with TLS and tokens that end."""

from __future__ import annotations

import base64
import contextlib
from dataclasses import replace
from typing import ClassVar

import pytest

pytest.importorskip("grpc")

from asyncsecrets.providers.google import GoogleKmsProvider, GoogleSettings
from asyncsecrets.testing.conformance import CANARY, UNUSUAL_NAMES, ProviderHarness, ReaderConformance
from asyncsecrets.testing.google_server import GoogleServer
from tests.providers.google.conftest import settings_at


class KmsHarness(ProviderHarness):
    """The fake, in clear, and nobody is asked who he is."""

    unsupported: ClassVar = {
        "nul_byte": "no environment has such a variable",
        "slow_body": "an answer of gRPC is one message, which is there or not",
    }
    accepts: ClassVar = set(UNUSUAL_NAMES) - {"signs"}
    places = True

    async def __aenter__(self):
        self.server = await self.made().start()
        self.environ = {}
        settings = {**self.settings(), "google_kms_resource_name": self.server.key().name, "attempt_timeout": "15"}
        self.provider = GoogleKmsProvider(GoogleSettings.from_mapping("google_kms", settings, self.environ))
        return self

    async def __aexit__(self, *_):
        await self.server.stop()

    def made(self):
        return GoogleServer()

    def settings(self):
        return {**settings_at(self.server), "auth_method": "none"}

    async def seed(self, name, value):
        data = value.encode() if isinstance(value, str) else value
        self.environ[name] = base64.b64encode(self.server.encrypt(data)).decode()

    async def remove(self, name):
        del self.environ[name]

    async def place(self, name, ciphertext):
        self.environ[name] = ciphertext

    def attempts(self):
        return self.server.count("Decrypt")

    @contextlib.asynccontextmanager
    async def fault(self, kind):
        faults = self.server.faults
        {
            "unavailable": lambda: faults.status("UNAVAILABLE", f"{CANARY} is down"),
            "timeout": faults.hang,
            "reset": faults.drop,
            "rate_limited": faults.exhausted,
            "rate_limited_retry_after": lambda: faults.exhausted(7.0),
            "denied": self.server.deny,
            "unauthenticated": lambda: faults.status("UNAUTHENTICATED", f"{CANARY} is nobody"),
            "malformed": lambda: faults.corrupt("garbage"),
            "oversize": lambda: faults.corrupt("oversize"),
        }[kind]()
        with pytest.MonkeyPatch.context() as patch:
            if kind == "timeout":  # what never ends need not be waited for as long as the others
                connection = self.provider._connection
                patch.setattr(connection, "_settings", replace(connection._settings, attempt_timeout=0.4))
            try:
                yield
            finally:
                faults.clear()
                self.server.allow()


class GuardedHarness(KmsHarness):
    """With TLS, and the tokens of a login; those that are out end before every secret that is stored."""

    def made(self):
        return GoogleServer(tls=True, tokens=())

    def settings(self):
        server = self.server
        return settings_at(server, server.identity.authorized_user_file(token_uri=server.token_uri))

    async def seed(self, name, value):
        await super().seed(name, value)
        self.server.identity.expire()

    def attempts(self):
        return None  # a token that is not accepted is followed by another, in the same attempt


class TestKms(ReaderConformance):
    @pytest.fixture
    def harness(self):
        return KmsHarness()


class TestGuardedKms(ReaderConformance):
    @pytest.fixture
    def harness(self):
        return GuardedHarness()


async def test_tokens_end_under_way():
    """It is so: a token is not accepted any more, and another one is got, once."""
    async with GuardedHarness() as harness:
        await harness.seed("A", CANARY)
        await harness.provider.open()
        assert (await harness.provider.get("A")).equals(CANARY)
        harness.server.identity.expire()
        assert (await harness.provider.get("A")).equals(CANARY)
        codes = [record.code for record in harness.server.requests if record.method == "Decrypt"]
        assert codes == ["OK", "UNAUTHENTICATED", "OK"]
        assert harness.server.count("token") == 2
        await harness.provider.aclose()
