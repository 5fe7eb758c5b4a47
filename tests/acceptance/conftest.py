"""The servers: a dev server, and the real one that VAULT_ADDR and VAULT_TOKEN name."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import time

import hvac
import pytest

from asyncsecrets import SecretsClient
from asyncsecrets.providers.vault import VaultProvider, VaultSettings
from asyncsecrets.testing.vault_server import VaultServer
from tests.providers.vault.backend import Backend

REAL = os.environ.get("ASYNCSECRETS_TEST_REAL_VAULT") == "1"


class Stage(Backend):
    """A server with a place on it that is this test's alone: a folder of `secret/`, and names for what has none.

    ``server`` is the dev server, or None; ``later`` moves the dev server's clock.
    """

    def __init__(self, url, token, server=None):
        super().__init__(url, token)
        self.server = server
        self.own = f"acceptance-{secrets.token_hex(4)}"

    async def app(self, policy, **role):
        """An AppRole of our own with a policy; returns the settings that log in with it."""
        await self("POST", f"sys/auth/{self.own}", {"type": "approle"})
        await self("POST", f"sys/policies/acl/{self.own}", {"policy": policy})
        await self("POST", f"auth/{self.own}/role/app", {"token_policies": self.own, **role})
        role_id = (await self("GET", f"auth/{self.own}/role/app/role-id"))["data"]["role_id"]
        secret_id = (await self("POST", f"auth/{self.own}/role/app/secret-id", {}))["data"]["secret_id"]
        return {"approle_mount_path": self.own, "approle_role_id": role_id, "approle_secret_id": secret_id}

    @contextlib.asynccontextmanager
    async def provider(self, **settings):
        """An open provider whose names are below the folder; with the root token unless it logs in."""
        clock = settings.pop("clock", time.monotonic)
        login = {} if "approle_role_id" in settings else {"token": self.token}
        given = {"addr": self.url, "path_prefix": self.own, **login, **settings}
        provider = VaultProvider(VaultSettings(**given), clock=clock)
        await provider.open()
        try:
            yield provider
        finally:
            await provider.aclose()

    @contextlib.asynccontextmanager
    async def client(self, provider, **options):
        """A client of that provider, and of nothing else."""
        options = {"environ": {}, "hosted_keys": None, **options}
        async with SecretsClient.from_provider(provider, **options) as client:
            yield client

    async def clean(self):
        """Leave a real server as it was."""
        for path in (f"sys/auth/{self.own}", f"sys/mounts/{self.own}", f"sys/policies/acl/{self.own}"):
            with contextlib.suppress(ValueError):
                await self("DELETE", path)
        async with self.provider(attempt_timeout=60.0) as provider:
            gate = asyncio.Semaphore(8)

            async def destroy(name):
                async with gate:
                    await provider.destroy(name)

            await asyncio.gather(*(destroy(name) for name in await provider.list()))


@pytest.fixture(params=["fake", *(["real"] if REAL else [])])
async def stage(request):
    """A place on the dev server, and on a real one."""
    if request.param == "fake":
        now = [time.time()]
        async with VaultServer(root_token="canary-root", clock=lambda: now[0]) as server:
            stage = Stage(server.url, server.root_token, server)
            stage.now = now
            yield stage
        return
    stage = Stage(os.environ["VAULT_ADDR"], os.environ["VAULT_TOKEN"])
    try:
        yield stage
    finally:
        await stage.clean()


@pytest.fixture
async def they(stage):
    """The same server through hvac; ``await they(function, ...)`` calls it in a thread."""
    made = hvac.Client(url=stage.url, token=stage.token)

    async def ask(function, *args, **kwargs):
        return await asyncio.to_thread(function, *args, **kwargs)

    ask.kv = made.secrets.kv.v2
    ask.client = made
    yield ask
    made.adapter.close()
