"""A write that was applied and not answered is never taken for somebody else's, in whatever form Vault keeps it."""

from __future__ import annotations

import pytest

from asyncsecrets import SecretsClient
from asyncsecrets.errors import ConflictError, WriteOutcomeUnknownError
from asyncsecrets.testing.vault_server import VaultServer

SAME = ['{"b": 1, "a": "canary"}', '{"a": 1.10}', '{"a": 1e2, "b": [1.0, {"d": 2, "c": null}]}']


def client_at(server: VaultServer) -> SecretsClient:
    settings = {"secret_field": "", "access_mode": "read_and_write"}
    general = {"key_management_system": "hashicorp_vault", "key_management_settings": settings}
    environ = {"VAULT_ADDR": server.url, "VAULT_TOKEN": server.root_token}
    return SecretsClient.from_config({"general_settings": general}, environ=environ)


@pytest.mark.parametrize("value", SAME)
async def test_what_was_applied_is_known_again(value):
    """Without a compare-and-set it is done; with one it may be an equal one of somebody else's."""
    async with VaultServer() as server, client_at(server) as client:
        await client.put("name", '{"first": "canary"}')
        server.faults.reset(when="after", method="POST", prefix="/v1/secret/data/name", times=1)
        written = await client.put("name", value)
        assert written.version == "2"
        assert written.equals(await client.refresh("name"))
        server.faults.reset(when="after", method="POST", prefix="/v1/secret/data/name", times=1)
        with pytest.raises(WriteOutcomeUnknownError):
            await client.put("name", value, cas="2")


async def test_what_others_wrote_is_theirs():
    async with VaultServer() as server, client_at(server) as client, client_at(server) as other:
        await client.put("name", '{"first": "canary"}')
        await other.put("name", '{"a": true}')
        server.faults.reset(when="before", method="POST", prefix="/v1/secret/data/name", times=1)
        with pytest.raises(ConflictError):
            await client.put("name", '{"a": 1}', cas="1")
