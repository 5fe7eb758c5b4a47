"""The conformance suite through Azure's own client, over TLS, with challenges that it verifies."""

from __future__ import annotations

import asyncio
import contextlib
import re
from typing import ClassVar

import aiohttp
import pytest

from asyncsecrets.providers.azure import AzureKeyVaultProvider, AzureSettings
from asyncsecrets.testing.azure_server import AzureServer
from asyncsecrets.testing.conformance import CANARY, UNUSUAL_NAMES, ProviderConformance, ProviderHarness

OTHERS = re.compile(r"[^a-z0-9-]+")


def spelled(name):
    """A name in the vault, written by another hand; none of these names holds what reads as an escape."""
    if re.fullmatch(r"[0-9A-Za-z_-]+", name):
        return name.replace("_", "-")
    return OTHERS.sub(lambda found: f"-x{found[0].encode().hex()}-", name)


class VaultHarness(ProviderHarness):
    """Secrets have the tag of this library: that of others leads to names that are spelled alike, as is documented."""

    unsupported: ClassVar = {
        "binary": "Azure stores text",
        "slow_body": "the fake answers as a whole: see the tests of the session, in tests/providers/aws",
    }
    accepts: ClassVar = set(UNUSUAL_NAMES)
    max_payload = 25 * 1024
    unknown_version = "0123456789abcdef0123456789abcdef"

    def __init__(self, names):
        self.names = names

    async def __aenter__(self):
        self.server = await AzureServer(client_secret=f"{CANARY}-of-the-client").start()
        self.names.update(self.server.addresses)
        environ = self.server.environ()
        settings = {"azure_ca_cert": self.server.ca_file, "attempt_timeout": 10.0}
        self.provider = AzureKeyVaultProvider(
            AzureSettings.from_mapping("azure_key_vault", settings, environ), now=self.server.now
        )
        return self

    async def __aexit__(self, *_):
        await self.server.stop()
        await asyncio.sleep(0.01)  # the server's transports close in the loop's next turns

    async def seed(self, name, value):
        self.server.advance(1)  # Azure counts whole seconds
        return self.server.add(spelled(name), value, tags={"asyncsecrets-name": name})

    async def remove(self, name):
        self.server.delete(spelled(name))

    def attempts(self):
        return sum(record.method == "GetSecret" and record.code != "Unauthorized" for record in self.server.requests)

    @contextlib.asynccontextmanager
    async def fault(self, kind):
        faults, session = self.server.faults, self.provider._connection._https._session
        with pytest.MonkeyPatch.context() as patch:
            match kind:
                case "unavailable":
                    faults.status(503, message=f"{CANARY} is down")
                case "timeout":  # what never ends need not be waited for as long as the others
                    patch.setattr(session, "_timeout", aiohttp.ClientTimeout(total=0.4))
                    faults.hang()
                case "reset":
                    faults.drop()
                case "rate_limited":
                    faults.throttle()
                case "rate_limited_retry_after":
                    faults.throttle(2)
                case "denied":
                    self.server.deny()
                case "unauthenticated":
                    faults.status(401, "Unauthorized", f"{CANARY} is nobody")
                case "malformed":
                    faults.corrupt("truncated")
                case "oversize":
                    patch.setattr("asyncsecrets.testing.azure_server.calls._TOO_LARGE", 9 * 1024 * 1024)
                    faults.corrupt("oversize")
            try:
                yield
            finally:
                faults.clear()
                self.server.allow()


class TestKeyVault(ProviderConformance):
    @pytest.fixture
    def harness(self, names):
        return VaultHarness(names)
