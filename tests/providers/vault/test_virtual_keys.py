"""Virtual keys in a KV mount, of version 1 and 2; teams with a namespace and a mount of their own."""

from __future__ import annotations

import pytest

from asyncsecrets import SecretsClient
from asyncsecrets.errors import ConfigError, DecodeError
from tests.virtual_keys.scenarios import document, life
from tests.virtual_keys.support import Times, keys_of


def client_of(server, **settings):
    environ = {"HCP_VAULT_ADDR": server.url, "HCP_VAULT_TOKEN": "canary-root"}
    return SecretsClient.from_config(document("hashicorp_vault", **settings), environ=environ)


@pytest.mark.parametrize("version", ["1", "2"])
async def test_life(server, version):
    """Deleted keys are not listed, although Vault lists them."""
    server.call("update", "sys/mounts/keys", {"type": "kv", "options": {"version": version}})
    async with client_of(server, mount_name="keys") as client:
        await life(client)


async def test_teams(server):
    """Each has its own place, by settings as LiteLLM spells them; the same ones lead to the same source."""
    async with client_of(server) as client:
        keys = keys_of(client, Times())
        await keys.store("key", "sk-canary-of-all")
        flat = {"namespace": "team", "mount": "secret", "path_prefix": "a/b", "data": "password", "aws_role_name": "x"}
        team = keys.team(flat)
        await team.store("key", "sk-canary-of-the-team")
        assert keys.team({"secret_manager_settings": dict(reversed(flat.items()))}) is team
        assert keys.team({}) is keys.team({"namespace": "", "secret_manager_settings": {}}) is keys
        assert keys.team(None) is keys.team({"secret_manager_settings": None}) is keys  # metadata of LiteLLM's database
        assert (await keys.verify("sk-canary-of-all")).alias == "key"
        assert await keys.verify("sk-canary-of-the-team") is None
        assert (await team.rotate("key")).alias == "key"
        assert [source.name for source in client.status()] == ["environment", "default", "default:1"]
        place = keys.team({"mount": "secret", "path_prefix": "a/b"})
        assert place.team({"namespace": "team", "data": "password"}) is team
        for wrong in ({"addr": "https://canary.example"}, {"token": "canary"}, {"namespce": "x"}, {"data": 7}):
            with pytest.raises(ConfigError):
                keys.team(wrong)
        for wrong in ({"secret_manager_settings": "canary"}, "canary", ["canary"]):
            with pytest.raises(ConfigError, match="mapping"):
                keys.team(wrong)
        with pytest.raises(ConfigError, match="mount_name must be a text"):
            keys.team({"mount": ["canary"]})
    assert server.count("POST", "/v1/team/secret/data/a/b/keys/of/key") == 2


async def test_what_is_no_key_hides_none(server):
    """Somebody's secret of another shape stands among the keys: they are listed, verified and compared all the same."""
    async with client_of(server) as client:
        keys = keys_of(client, Times())
        await keys.create("team-a")
        server.call("create", "secret/data/keys/of/note", {"data": {"note": "canary"}})
        await keys.delete("team-a")
        key = await keys.create("team-b")
        assert await keys.list() == ["note", "team-b"]
        assert [one.alias for one in await keys.reconcile(known=["team-b"])] == ["note"]
        assert (await keys.verify(key.reveal())).alias == "team-b"
        with pytest.raises(DecodeError, match="no field 'key'"):
            await keys.rename("team-b", "note")
        assert await keys.reconcile() == []
