"""`export`: what `run` would set, as text; values only where they were asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asyncsecrets.testing.vault_server import VaultServer
from tests.cli.conftest import VALUE, Run, on_terminal, vault_settings, write_config


def test_names_of_the_configuration(workdir: Path, vault: VaultServer, cli: Run) -> None:
    """The same as `run` sets, in the form that was asked for."""
    vault.write_secret("db", {"password": "canary's"})
    given = {"PASSWORD": "os.environ/DB_PASSWORD", "URL": "pg://app:${url:secret:///db?field=password}@h"}
    write_config(workdir, {"environment_variables": given, "general_settings": vault_settings(vault)})
    assert cli("export").out == f"PASSWORD='{VALUE}'\nURL='pg://app:canary%27s@h'\n"
    assert json.loads(cli("export", "--format", "json", "--only", "PASSWORD").out) == {"PASSWORD": VALUE}
    only = cli("export", "--format", "shell", "--secret", "P=secret:///db?field=password")
    assert (only.code, only.out) == (0, "export P='canary'\\''s'\n")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--secret", "DB_PASSWORD", "--secret", "MISSING"], 3),
        (["--secret", "DB_PASSWORD", "--secret", "NASTY"], 8),
        (["--secret", "DB_PASSWORD", "--secret", "LD_PRELOAD"], 2),
        (["--secret", "DB_PASSWORD", "--secret", "X;id=os.environ/DB_PASSWORD"], 2),
        (["--format", "canary"], 2),
    ],
)
def test_all_or_nothing(options: list[str], code: int, config: Path, vault: VaultServer, cli: Run) -> None:
    """What cannot be read or carried is an error that shows no value, and nothing is printed."""
    vault.write_secret("NASTY", {"key": "canary' $x"})
    outcome = cli("export", *options)
    assert (outcome.code, outcome.out) == (code, "")
    assert "canary" not in outcome.err


def test_json_shows_values_only_when_asked(config: Path, cli: Run) -> None:
    """--json is about the secrets, as everywhere."""
    assert cli("export", "--json").json == {"variables": {"DB_PASSWORD": None}}
    assert cli("export", "--json", "--reveal").json == {"variables": {"DB_PASSWORD": VALUE}}


def test_a_terminal_sees_masks(config: Path) -> None:
    """With the way to see more."""
    code, seen = on_terminal(["export"], b"")
    assert (code, VALUE.encode() in seen) == (0, False)
    assert b"DB_PASSWORD='**********'" in seen
    assert b"--reveal shows the values" in seen
