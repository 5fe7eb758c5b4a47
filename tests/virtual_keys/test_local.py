"""Virtual keys in the local store, and in memory behind a default field."""

from __future__ import annotations

from asyncsecrets import SecretsClient
from asyncsecrets.providers.local import init_store
from asyncsecrets.providers.memory import MemoryProvider
from tests.providers.local_support import PUBLIC, SECRET
from tests.virtual_keys.scenarios import document, life


async def test_life_in_the_local_store(tmp_path):
    """In one file, whose names can be read and whose values cannot."""
    path = tmp_path / "secrets.yaml"
    init_store(path, PUBLIC)
    found = document("local", local_file=str(path))
    async with SecretsClient.from_config(found, environ={"ASYNCSECRETS_KEY": SECRET}) as client:
        await life(client)
    text = path.read_text()
    assert "keys/of/T" in text
    assert "sk-" not in text


async def test_life_in_memory():
    """As declared in a configuration."""
    memory = MemoryProvider()
    async with SecretsClient.from_config(document("memory"), environ={}, providers={"default": memory}) as client:
        await life(client)
