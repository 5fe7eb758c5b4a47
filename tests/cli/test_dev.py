"""`dev`: the fake in the foreground."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from asyncsecrets.testing.vault_server import VaultServer
from tests.cli.conftest import VALUE, Run, spawn


def quiet() -> dict[str, str]:
    """This environment without asyncio's debug mode, which reports what is slow on a busy machine."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONASYNCIODEBUG"}


@contextlib.contextmanager
def dev(*options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """Run `dev`; the process, and the variables it says to export."""
    command = [sys.executable, "-m", "asyncsecrets", "dev", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=quiet()) as process:
        assert process.stdout is not None
        try:
            lines = [process.stdout.readline().strip() for _ in range(2)]
            yield process, dict(line.removeprefix("export ").split("=", 1) for line in lines)
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serves_until_it_is_told_to_end(number: signal.Signals) -> None:
    """It says what it is and how to reach it, can be used at once, and ends with 0."""
    with dev() as (process, exports):
        env = {**exports, "ASYNCSECRETS_KEY_MANAGEMENT_SYSTEM": "hashicorp_vault"}
        assert exports["VAULT_ADDR"].startswith("http://127.0.0.1:")
        assert spawn("list", env=env).returncode == 0
        process.send_signal(number)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 0
    assert said.startswith("a fake for development")
    assert "Traceback" not in said


def test_tokens_are_random() -> None:
    """Every start has another one, and another is refused."""
    with dev() as (_, first), dev() as (_, second):
        assert first["VAULT_TOKEN"] != second["VAULT_TOKEN"]
        env = {**first, "VAULT_TOKEN": second["VAULT_TOKEN"], "ASYNCSECRETS_KEY_MANAGEMENT_SYSTEM": "hashicorp_vault"}
        assert spawn("get", "X", env=env).returncode == 4


def test_filled_from_a_configuration(config: Path, vault: VaultServer) -> None:
    """--from config.yaml reads the names it uses, and serves them."""
    with dev("--from", str(config)) as (_, exports):
        env = {**exports, "ASYNCSECRETS_KEY_MANAGEMENT_SYSTEM": "hashicorp_vault"}
        (config).unlink()
        assert spawn("get", "DB_PASSWORD", env=env).stdout == VALUE.encode()


def test_filled_from_a_store(workdir: Path, cli: Run) -> None:
    """--from secrets.yaml decrypts all of it."""
    pytest.importorskip("pyrage")
    (workdir / ".env").write_text("DB_PASSWORD=canary-local\n")
    assert cli("init").code == 0
    with dev("--from", "secrets.yaml") as (_, exports):
        (workdir / "config.yaml").unlink()
        (workdir / ".env").unlink()
        env = {**exports, "ASYNCSECRETS_KEY_MANAGEMENT_SYSTEM": "hashicorp_vault"}
        assert spawn("get", "DB_PASSWORD", env=env).stdout == b"canary-local"


def test_missing_secret(workdir: Path, config: Path, vault: VaultServer, cli: Run) -> None:
    """--from is all or nothing."""
    vault.delete_secret("DB_PASSWORD")
    assert cli("dev", "--port", "0", "--from", str(config)).code == 3


def test_token_file(workdir: Path) -> None:
    """The token of a file is used, and not shown: the line to export reads the file."""
    path = workdir / "my token"
    path.write_text("canary-root-token\n")
    with dev("--token-file", str(path)) as (process, exports):
        assert exports["VAULT_TOKEN"] == f"\"$(cat '{path}')\""
        env = {"VAULT_ADDR": exports["VAULT_ADDR"], "VAULT_TOKEN": "canary-root-token"}
        env["ASYNCSECRETS_KEY_MANAGEMENT_SYSTEM"] = "hashicorp_vault"
        assert spawn("list", env=env).returncode == 0
        assert b"canary" not in Path(f"/proc/{process.pid}/cmdline").read_bytes()


@pytest.mark.parametrize("token", ["", "short", "canary with blanks", "canary\nsecond"])
def test_bad_token_files(token: str, workdir: Path, cli: Run) -> None:
    """A token that no header could carry is refused without being shown."""
    (workdir / "token").write_text(token)
    outcome = cli("dev", "--token-file", "token")
    assert outcome.code == 2
    assert "canary" not in outcome.err


def test_port_in_use(cli: Run) -> None:
    """It says so, and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        outcome = cli("dev", "--port", str(taken.getsockname()[1]))
    assert outcome.code == 2
    assert "--port 0" in outcome.err


def test_json() -> None:
    """One document, once it is ready."""
    command = [sys.executable, "-m", "asyncsecrets", "dev", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=quiet()) as process:
        assert process.stdout is not None
        document = json.loads(process.stdout.readline())
        process.terminate()
        rest, said = process.communicate(timeout=20)
    assert (process.returncode, rest, said) == (0, b"", b"")
    assert document["fake"] is True
    assert document["pid"] == process.pid != os.getpid()
    assert document["url"].startswith("http://127.0.0.1:")


def test_hostnames(cli: Run) -> None:
    """--hostname allows a name beside those of loopback; what is none is refused."""
    with dev("--hostname", "vault.test") as (_, exports):
        for host, status in (("vault.test:8200", 200), ("other.test", 403)):
            connection = http.client.HTTPConnection(exports["VAULT_ADDR"].removeprefix("http://"))
            connection.request("GET", "/v1/sys/health", headers={"Host": host})
            assert connection.getresponse().status == status
            connection.close()
    outcome = cli("dev", "--hostname", "http://vault.test")
    assert outcome.code == 2
    assert "--hostname" in outcome.err
