"""Fixtures for the Vault provider's tests."""

from __future__ import annotations

import contextlib
import functools

import pytest

from asyncsecrets.providers.vault import VaultProvider, VaultSettings
from asyncsecrets.testing.vault_server import VaultServer


@contextlib.asynccontextmanager
async def opened(addr, *, clock=None, interval=0.0, **settings):
    """A provider at an address, open, with a canary token unless another login is given."""
    logins = {"token_file", "approle_role_id", "cert_role", "kubernetes_role", "jwt_file", "auth_method"}
    if not logins & set(settings):
        settings.setdefault("token", "canary-root")
    more = {"clock": clock} if clock else {}
    provider = VaultProvider(VaultSettings(addr=addr, **settings), token_file_interval=interval, **more)
    await provider.open()
    try:
        yield provider
    finally:
        await provider.aclose()


@pytest.fixture
async def server():
    """A dev server."""
    async with VaultServer(root_token="canary-root", namespaces=["team"]) as server:
        yield server


@pytest.fixture
def provider_at():
    """Open a provider: ``async with provider_at(url, **settings)``."""
    return functools.partial(opened)
