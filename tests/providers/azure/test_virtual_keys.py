"""Virtual keys in a vault, which has no compare-and-set and keeps what is deleted."""

from __future__ import annotations

import pytest

from asyncsecrets import SecretsClient
from asyncsecrets.errors import ConflictError
from tests.providers.azure.conftest import SYSTEM, settings_at
from tests.virtual_keys.scenarios import document, life
from tests.virtual_keys.support import Times, keys_of


def client_of(server, **settings):
    found = document(SYSTEM, **settings_at(server, **settings))
    return SecretsClient.from_config(found, environ=server.environ())


async def test_life(server):
    """Aliases that were deleted are free again, where that is configured."""
    async with client_of(server, recover_deleted="true") as client:
        await life(client)


async def test_a_name_that_was_deleted(server):
    """It is not recovered in silence."""
    async with client_of(server) as client:
        keys = keys_of(client, Times())
        await keys.create("team-a")
        await keys.delete("team-a")
        with pytest.raises(ConflictError, match="recover_deleted"):
            await keys.create("team-a")


async def test_aliases_that_a_vault_spells_alike(server):
    """Capitals, underscores and hyphens: each alias has a key of its own."""
    aliases = ["A_B", "A-B", "a_b", "a-b", "A-b"]
    async with client_of(server) as client:
        keys = keys_of(client, Times())
        for alias in aliases:
            await keys.store(alias, f"sk-canary-{alias}")
        assert await keys.list() == sorted(aliases)
        assert [(await keys.verify(f"sk-canary-{alias}")).alias for alias in aliases] == aliases
