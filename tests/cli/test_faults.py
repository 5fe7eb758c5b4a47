"""Every command while its manager fails in every way: an exit code, a message, and nothing of what the manager said."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from asyncsecrets.cli.app import COMMANDS
from asyncsecrets.testing.vault_server import VaultServer
from tests.canaries import CANARY
from tests.cli.conftest import VALUE, Run

OWN: Final = frozenset({"completion", "demo", "dev", "init", "litellm"})  # they ask no manager

COMMAND_LINES: Final[Mapping[str, tuple[list[str], bytes]]] = {
    "get": (["get", "DB_PASSWORD"], b""),
    "set": (["set", "DB_PASSWORD"], VALUE.encode()),
    "patch": (["patch", "DB_PASSWORD"], json.dumps({"key": VALUE}).encode()),
    "delete": (["delete", "DB_PASSWORD", "--yes"], b""),
    "restore": (["restore", "DB_PASSWORD"], b""),
    "destroy": (["destroy", "DB_PASSWORD", "--yes"], b""),
    "list": (["list"], b""),
    "versions": (["versions", "DB_PASSWORD"], b""),
    "metadata": (["metadata", "DB_PASSWORD"], b""),
    "rotate": (["rotate", "DB_PASSWORD"], b""),
    "keys": (["keys", "list"], b""),
    "migrate": (["migrate", "default", "default", "--rename", "*=new/*"], b""),
    "recipients": (["recipients"], b""),
    "encrypt": (["encrypt", "DB_PASSWORD"], VALUE.encode()),
    "check": (["check"], b""),
    "resolve": (["resolve", "config.yaml"], b""),
    "run": (["run", "--secret", "DB_PASSWORD", "--secret", "OTHER", "--", "true"], b""),
    "export": (["export", "--secret", "DB_PASSWORD", "--secret", "OTHER"], b""),
}

FAULTS: Final[Mapping[str, Callable[[VaultServer], Any]]] = {
    "an error page": lambda server: server.faults.status(500, f"<html>{CANARY}</html>"),
    "no permission": lambda server: server.faults.status(403, f"permission denied {CANARY}"),
    "a bad request": lambda server: server.faults.status(400, CANARY),
    "no JSON": lambda server: server.faults.garbage(f"<html>{CANARY}</html>".encode()),
    "another shape": lambda server: server.faults.garbage(f'{{"data": ["{CANARY}"]}}'.encode()),
    "no UTF-8": lambda server: server.faults.garbage(CANARY.encode() + b"\xff"),
    "a reset": lambda server: server.faults.reset(),
    "a configuration that is wrong": lambda _: Path("config.yaml").write_text(f"general_settings: [{CANARY}"),
}


def test_every_command_is_here() -> None:
    """Also one that is added tomorrow."""
    assert set(COMMANDS) == OWN | COMMAND_LINES.keys()


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("command", COMMAND_LINES)
@pytest.mark.usefixtures("config")
def test_a_command_that_fails_shows_nothing(command: str, fault: str, cli: Run, vault: VaultServer) -> None:
    """On neither stream, with --debug either. No exception leaves the program, so that none takes its frames along."""
    FAULTS[fault](vault)
    argv, stdin = COMMAND_LINES[command]
    outcome = cli("--debug", *argv, stdin=stdin)
    assert outcome.code not in {0, 1}
    assert CANARY not in outcome.out + outcome.err


@pytest.mark.parametrize("command", COMMAND_LINES)
@pytest.mark.usefixtures("config")
def test_a_message_is_two_lines_at_most(command: str, cli: Run, vault: VaultServer) -> None:
    """However many secrets could not be read; what to do stands last."""
    vault.faults.status(403, "permission denied")
    argv, stdin = COMMAND_LINES[command]
    outcome = cli(*argv, stdin=stdin)
    assert outcome.err.count("\n") <= 2
    if command in {"run", "export"}:
        assert outcome.err.startswith("asyncsecrets: 2 secrets could not be read: DB_PASSWORD, OTHER; DB_PASSWORD: ")
        assert outcome.err.splitlines()[-1].startswith("what to do: ")
