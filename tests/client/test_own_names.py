"""Names as their owners write them mean the same in every form of a question, and at every manager that has them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from asyncsecrets import SecretsClient
from asyncsecrets.errors import InvalidNameError
from asyncsecrets.providers.environment import EnvironmentProvider
from asyncsecrets.providers.local import LocalProvider, init_store
from asyncsecrets.providers.local_keys import generate_key
from asyncsecrets.providers.memory import MemoryProvider
from asyncsecrets.providers.vault import VaultProvider, VaultSettings
from asyncsecrets.references import Reference, render
from asyncsecrets.testing.conformance import UNUSUAL_NAMES
from asyncsecrets.testing.vault_server import VaultServer

VALUE = '{"password": "canary-password"}'
NAMES = [make("db") for make in UNUSUAL_NAMES.values()]
SLASHES = ["/prod/db", "team/db/", "a//db"]


async def check(client: SecretsClient, name: str, version: str | None) -> None:
    """Ask for a name in every form there is."""
    assert (await client.get(name)).equals(VALUE)
    assert (await client.get(f"os.environ/{name}", field="password")).equals("canary-password")
    assert (await client.get(name, source="default")).equals(VALUE)
    assert (await client.get(render(Reference(name, field="password")))).equals("canary-password")
    assert (await client.get(render(Reference(name, "default")))).equals(VALUE)
    assert await client.resolve({"a": render(Reference(name, field="password"))}) == {"a": "canary-password"}
    if version is not None:
        assert (await client.get(name, version=version, field="password")).equals("canary-password")
        assert (await client.get(render(Reference(name, version=version)))).equals(VALUE)


async def check_all(provider: Any, names: list[str]) -> None:
    """Write, read and list names."""
    async with SecretsClient.from_provider(provider, environ={}) as client:
        written = {name: (await client.put(name, VALUE)).version for name in names}
        await asyncio.gather(*(check(client, name, version) for name, version in written.items()))
        assert set(await client.list()) == set(names)


async def test_memory():
    """Memory has every name."""
    await check_all(MemoryProvider(), NAMES)


async def test_local(tmp_path: Path):
    """So has a local file."""
    secret, public = generate_key()
    init_store(tmp_path / "store", public)
    await check_all(LocalProvider(tmp_path / "store", key=secret), NAMES)


async def test_environment():
    """The environment has those without an equals sign."""
    names = [name for name in NAMES if "=" not in name]
    provider = EnvironmentProvider(dict.fromkeys(names, VALUE))
    async with SecretsClient.from_provider(provider, environ={}) as client:
        for name in names:
            await check(client, name, None)


async def test_vault():
    """Vault has those whose slashes are between something, and says what it calls the others."""
    async with VaultServer(root_token="canary-root") as server:
        provider = VaultProvider(VaultSettings(addr=server.url, token="canary-root"))
        await check_all(provider, [name for name in NAMES if name not in SLASHES])
        assert all(server.read_secret(name) for name in NAMES if name not in SLASHES)
        async with SecretsClient.from_provider(provider, environ={}) as client:
            for name in SLASHES:
                alike = "/".join(part for part in name.split("/") if part)
                for text in (name, render(Reference(name, field="password"))):
                    with pytest.raises(InvalidNameError, match=f"Vault knows it as '{alike}'"):
                        await client.get(text)
