"""VaultProvider: the conformance suite against the dev server and, where one is named, a real server."""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import quote

import aiohttp
import pytest
from yarl import URL

from asyncsecrets.errors import UnsupportedOperationError
from asyncsecrets.providers.vault import VaultProvider, VaultSettings
from asyncsecrets.testing.conformance import CANARY, FAULTS, UNUSUAL_NAMES, ProviderConformance, ProviderHarness
from asyncsecrets.testing.vault_server import VaultServer

NAMES = set(UNUSUAL_NAMES) - {"leading_slash", "final_slash", "two_slashes"}
BINARY = {"binary": "Vault stores JSON text; binary values are refused with the remedy"}


class FakeHarness(ProviderHarness):
    """The dev server, prepared by its own means."""

    unsupported = BINARY
    accepts = NAMES
    settings: ClassVar = {}

    async def __aenter__(self):
        self.server = await VaultServer(root_token="canary-root", namespaces=["team"]).start()
        self.prepare()
        self.provider = VaultProvider(VaultSettings(addr=self.server.url, token="canary-root", **self.settings))
        return self

    def prepare(self):
        """What the settings need to be there."""

    async def __aexit__(self, *_):
        await self.server.aclose()

    async def seed(self, name, value):
        return str(self.server.write_secret(name, {"key": value}))

    async def remove(self, name):
        self.server.call("delete", f"secret/metadata/{name}")

    def attempts(self):
        return self.server.count(prefix="/v1/secret/data/")

    @contextlib.asynccontextmanager
    async def fault(self, kind):
        faults, where = self.server.faults, {"prefix": "/v1/secret/"}
        commands = {
            "unavailable": lambda: faults.status(503, "Vault is sealed", **where),
            "timeout": lambda: faults.hang(**where),
            "reset": lambda: faults.reset(**where),
            "rate_limited": lambda: faults.status(429, CANARY, **where),
            "rate_limited_retry_after": lambda: faults.status(429, CANARY, headers={"Retry-After": "7"}, **where),
            "denied": lambda: faults.status(403, f"1 error occurred:\n\t* permission denied {CANARY}\n\n", **where),
            "unauthenticated": lambda: faults.status(403, "permission denied", **where),
            "malformed": lambda: faults.garbage(f"<html>{CANARY}</html>".encode(), **where),
            "oversize": lambda: faults.oversize(3 * 1024 * 1024, **where),
            "slow_body": lambda: faults.drip(0.05, **where),
        }
        commands[kind]()
        deadline = self.provider._transport._deadline
        usual, deadline.seconds = deadline.seconds, 0.3  # here only: a busy machine needs its time elsewhere
        try:
            yield
        finally:
            deadline.seconds = usual
            faults.clear()


class NamespaceHarness(FakeHarness):
    """A namespace, a prefix, another field."""

    settings: ClassVar = {"namespace": "team", "path_prefix": "apps/web", "secret_field": "value"}

    async def seed(self, name, value):
        return str(self.server.write_secret(f"apps/web/{name}", {"value": value}, namespace="team"))

    async def remove(self, name):
        self.server.call("delete", f"secret/metadata/apps/web/{name}", namespace="team")

    def attempts(self):
        return self.server.count(prefix="/v1/team/secret/data/")

    @contextlib.asynccontextmanager
    async def fault(self, kind):
        pytest.skip("the same wire as without a namespace")
        yield


class KV1Harness(FakeHarness):
    """A KV v1 mount, its version found out."""

    settings: ClassVar = {"mount_name": "kv1"}

    def prepare(self):
        self.server.call("update", "sys/mounts/kv1", {"type": "kv", "options": {"version": "1"}})

    async def seed(self, name, value):
        self.server.call("update", f"kv1/{name}", {"key": value})

    async def remove(self, name):
        self.server.call("delete", f"kv1/{name}")

    def attempts(self):
        return None

    @contextlib.asynccontextmanager
    async def fault(self, kind):
        pytest.skip("the same wire as KV v2")
        yield


@dataclass(frozen=True)
class Place:
    """A real server, somebody who may prepare it, and the settings to log in to it with."""

    url: str
    token: str
    settings: dict[str, Any]
    namespace: str = ""
    ssl: Any = True

    @classmethod
    def named(cls, **settings):
        """The server that VAULT_ADDR and VAULT_TOKEN name."""
        url, token = os.environ["VAULT_ADDR"], os.environ["VAULT_TOKEN"]
        return cls(url, token, settings or {"token": token})


class RealHarness(ProviderHarness):
    """A real server, prepared over plain HTTP. Everything is below one new folder."""

    unsupported: ClassVar = {**BINARY, **dict.fromkeys(FAULTS, "a real server has no faults on command")}

    accepts = NAMES

    def __init__(self, place):
        self.place = place

    async def __aenter__(self):
        place, folder = self.place, f"asyncsecrets-conformance/{secrets.token_hex(6)}"
        self.session = aiohttp.ClientSession(headers={"X-Vault-Token": place.token})
        self.url = "/".join(filter(None, (place.url, "v1", place.namespace, "secret/{}", folder, "{}")))
        settings = {"addr": place.url, "path_prefix": folder, "secret_namespace": place.namespace, **place.settings}
        self.provider = VaultProvider(VaultSettings(**settings))
        return self

    async def __aexit__(self, *_):
        await self.session.close()

    def _url(self, api, name):
        return URL(self.url.format(api, quote(name)), encoded=True)

    async def seed(self, name, value):
        url, body = self._url("data", name), {"data": {"key": value}}
        async with self.session.post(url, json=body, ssl=self.place.ssl) as answer:
            return str((await answer.json())["data"]["version"])

    async def remove(self, name):
        url = self._url("metadata", name)
        await (await self.session.delete(url, ssl=self.place.ssl)).read()


class TestFake(ProviderConformance):
    """Against the dev server."""

    @pytest.fixture
    def harness(self):
        """KV v2 at its defaults."""
        return FakeHarness()


class TestNamespace(ProviderConformance):
    """In a namespace, below a prefix, with another field."""

    @pytest.fixture
    def harness(self):
        """KV v2 with the settings that move a secret."""
        return NamespaceHarness()


class TestKV1(ProviderConformance):
    """On a KV v1 mount."""

    @pytest.fixture
    def harness(self):
        """KV v1."""
        return KV1Harness()

    async def test_versions(self, harness):
        """KV v1 keeps no versions, and says so."""
        async with harness:
            await harness.provider.open()
            with pytest.raises(UnsupportedOperationError, match="KV version 1"):
                await harness.provider.versions("x")
            await harness.provider.aclose()


if os.environ.get("ASYNCSECRETS_TEST_REAL_VAULT") == "1":  # else there is nothing to collect, not something to skip

    class TestReal(ProviderConformance):
        """Against a real Vault or OpenBao."""

        @pytest.fixture
        def harness(self):
            """KV v2 at `secret/`."""
            return RealHarness(Place.named())
