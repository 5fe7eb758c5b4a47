"""Commands in a folder that somebody else can write: nothing is sent, nothing is taken, and the file is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncsecrets.testing.vault_server import VaultServer
from tests.cli.conftest import Run, vault_settings, write_config


@pytest.mark.parametrize(
    "argv",
    [
        ["check"],
        ["check", "DB_PASSWORD"],
        ["get", "DB_PASSWORD"],
        ["list"],
        ["versions", "DB_PASSWORD"],
        ["set", "DB_PASSWORD"],
        ["delete", "DB_PASSWORD", "--yes"],
        ["run", "--secret", "DB_PASSWORD", "--", "true"],
        ["resolve", "config.yaml"],
        ["init"],
    ],
    ids=lambda argv: argv[0],
)
def test_config_yaml_that_others_can_write(argv: list[str], config: Path, vault: VaultServer, cli: Run) -> None:
    """No command obeys it, and every command obeys one that is named."""
    config.chmod(0o666)
    asked = len(vault.requests)
    outcome = cli(*argv, stdin=b"canary-new")
    assert outcome.code == 2
    assert "config.yaml: nobody named this file" in outcome.err
    assert "chmod" in outcome.err
    assert len(outcome.err.splitlines()) <= 2
    assert len(vault.requests) == asked
    if argv[0] != "run":  # which would go on as another program
        assert "nobody named" not in cli(argv[0], "--config", "config.yaml", *argv[1:], stdin=b"canary-new").err


def test_variable_of_another_manager(
    workdir: Path, vault: VaultServer, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is neither sent nor printed."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-of-aws")
    for setting in ("token", "namespace", "mount_name", "path_prefix", "approle_role_id", "addr"):
        settings = vault_settings(vault, **{setting: "os.environ/AWS_SECRET_ACCESS_KEY"})
        write_config(workdir, {"general_settings": {"x": "os.environ/DB_PASSWORD", **settings}})
        asked = len(vault.requests)
        outcome = cli("check")
        assert outcome.code == 2
        assert f"{setting} may not have the variable 'AWS_SECRET_ACCESS_KEY'" in outcome.err
        assert "canary" not in outcome.out + outcome.err
        assert len(vault.requests) == asked


@pytest.mark.parametrize(
    "argv", [["get", "NAME"], ["run", "--secret", "NAME", "--", "env"], ["check", "NAME"], ["init"]]
)
def test_dotenv_that_others_can_write(argv: list[str], workdir: Path, cli: Run) -> None:
    """Its values reach nobody, not even the local store."""
    (workdir / ".env").write_text("NAME=canary-planted\n")
    (workdir / ".env").chmod(0o666)
    outcome = cli(*argv)
    assert outcome.code == 2
    assert ".env: nobody named this file" in outcome.out + outcome.err
    assert "canary" not in outcome.out + outcome.err
    assert not (workdir / "secrets.yaml").exists()
