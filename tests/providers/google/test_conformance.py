"""The conformance suite through Google's own transport, against the fake over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import re
from dataclasses import replace
from typing import ClassVar

import pytest

from asyncsecrets.providers.google import GoogleSecretManagerProvider, GoogleSettings
from asyncsecrets.testing.conformance import CANARY, UNUSUAL_NAMES, ProviderConformance, ProviderHarness
from asyncsecrets.testing.google_server import GoogleServer

OTHERS = re.compile(r"[^A-Za-z0-9_-]+")


def spelled(name):
    """The id of a plain name, written by another hand; none of these names holds what reads as an escape."""
    return OTHERS.sub(lambda found: f"-x{found[0].encode().hex().upper()}-", name)


def oversized(reply, _):
    """More than is taken, in whatever kind of answer."""
    return type(reply)(name=CANARY * 1_000_000)


class SecretManagerHarness(ProviderHarness):
    unsupported: ClassVar = {
        "empty": "Google keeps values of 1 to 65,536 bytes",
        "slow_body": "gRPC hands over whole messages: one that trickles in has not come (timeout)",
    }
    accepts: ClassVar = set(UNUSUAL_NAMES)
    looks_first: ClassVar = {"restore", "write_metadata"}
    project = "example-project"
    location = ""

    async def __aenter__(self):
        self.server = await GoogleServer().start()
        self.provider = GoogleSecretManagerProvider(self.settings())
        return self

    async def __aexit__(self, *_):
        await self.server.stop()
        await asyncio.sleep(0.01)  # the server's transports close in the loop's next turns

    def settings(self):
        return GoogleSettings(
            auth_method="none",
            endpoint=f"http://{self.server.endpoint}",
            attempt_timeout=15.0,  # a busy machine needs its time
            project=self.project,
            location=self.location,
        )

    async def seed(self, name, value):
        return self.server.add(spelled(name), value, location=self.location or None).rpartition("/")[2]

    async def remove(self, name):
        request = self.server._secrets.types.DeleteSecretRequest.pb()(name=self.resource(name))
        self.server._secrets.delete_secret(request)

    def resource(self, name):
        location = f"/locations/{self.location}" if self.location else ""
        return f"projects/{self.server.number}{location}/secrets/{spelled(name)}"

    def attempts(self):
        return len(self.server.requests)

    @contextlib.asynccontextmanager
    async def fault(self, kind):
        faults, connection = self.server.faults, self.provider._connection
        with pytest.MonkeyPatch.context() as patch:
            match kind:
                case "unavailable":
                    faults.status("UNAVAILABLE", f"{CANARY} is down")
                case "timeout":  # what never ends need not be waited for as long as the others
                    patch.setattr(connection, "_settings", replace(connection._settings, attempt_timeout=0.4))
                    faults.hang()
                case "reset":
                    faults.drop()
                case "rate_limited":
                    faults.exhausted()
                case "rate_limited_retry_after":
                    faults.exhausted(2.5)
                case "denied":
                    self.server.deny()
                case "unauthenticated":
                    faults.status("UNAUTHENTICATED", f"{CANARY} is nobody")
                case "malformed":
                    faults.corrupt("garbage")
                case "oversize":
                    patch.setattr("asyncsecrets.testing.google_server.wire.damaged", oversized)
                    faults.corrupt("oversize")
            try:
                yield
            finally:
                faults.clear()
                self.server.allow()


class GuardedHarness(SecretManagerHarness):
    """With tokens that expire whenever a scenario goes on to another secret."""

    async def __aenter__(self):
        self.server = await GoogleServer(tokens=()).start()
        self.provider = GoogleSecretManagerProvider(self.settings())
        return self

    def settings(self):
        return GoogleSettings(
            credentials_file=str(self.server.identity.external_account_file()),
            endpoint=f"http://{self.server.endpoint}",
            attempt_timeout=15.0,
            project=self.project,
        )

    def name(self, stem):
        self.server.identity.expire()
        return super().name(stem)

    async def seed(self, name, value):
        self.server.identity.expire()
        return await super().seed(name, value)

    def attempts(self):
        return None  # a token that is refused is one attempt more


class RegionalHarness(SecretManagerHarness):
    location = "europe-west3"


class TestSecretManager(ProviderConformance):
    @pytest.fixture
    def harness(self):
        return SecretManagerHarness()


class TestRegional(ProviderConformance):
    """Secrets of a location."""

    @pytest.fixture
    def harness(self):
        return RegionalHarness()


class TestGuarded(ProviderConformance):
    """With bearer tokens that expire under way."""

    @pytest.fixture
    def harness(self):
        return GuardedHarness()
