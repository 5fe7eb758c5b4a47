"""The documented file for Vault, as it is: from the command line and from a program."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncsecrets import SecretsClient, VirtualKeys
from asyncsecrets.testing.vault_server import VaultServer
from tests.cli.conftest import VALUE, Run

SEED = Path(__file__).parents[1] / "data" / "seed-configs" / "05-hashicorp-vault.yaml"


@pytest.fixture
def environ(vault: VaultServer, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The documented variables, and no others."""
    variables = {"HCP_VAULT_ADDR": vault.url, "HCP_VAULT_TOKEN": vault.root_token}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


def test_by_command(environ: dict[str, str], vault: VaultServer, cli: Run) -> None:
    """Read, written, rotated, deleted; and a virtual key."""
    at = ("--config", str(SEED))
    assert cli(*at, "get", "DB_PASSWORD").out == VALUE
    assert cli(*at, "set", "NEW", stdin=b"canary-new").code == 0
    assert cli(*at, "rotate", "NEW", "--generate", "password").code == 0
    assert cli(*at, "get", "NEW").out == vault.read_secret("NEW")["key"] != "canary-new"
    assert cli(*at, "delete", "NEW", "--yes").code == 0
    assert cli(*at, "get", "NEW").code == 3
    key = cli(*at, "keys", "create", "team-a").out
    assert vault.read_secret("litellm/team-a") == {"key": key}
    assert cli(*at, "keys").out == "team-a\n"


async def test_by_a_program(environ: dict[str, str], vault: VaultServer) -> None:
    """The same."""
    async with SecretsClient.from_config(SEED, environ=environ) as client:
        assert (await client.get("DB_PASSWORD")).equals(VALUE)
        await client.put("NEW", "canary-new")
        assert (await client.get("NEW")).equals("canary-new")
        assert vault.read_secret("NEW") == {"key": "canary-new"}
        key = await VirtualKeys(client).create("team-a")
        assert vault.read_secret("litellm/team-a") == {"key": key.reveal()}
