"""A clean place to run commands in: an empty folder, an environment without managers, a Vault-compatible server."""

from __future__ import annotations

import io
import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from asyncsecrets.cli import main
from asyncsecrets.testing.vault_server import VaultServer

VALUE = "canary-value-4711"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on stdout; with it, stderr must be silent."""
        assert self.err == ""
        assert self.out.count("\n") == 1
        return json.loads(self.out)


Run = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def workdir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and an environment that leads to no manager."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    for name in list(os.environ):
        if name.startswith(("HCP_VAULT_", "VAULT_", "ASYNCSECRETS_", "AWS_", "SECRET_MANAGER_")):
            monkeypatch.delenv(name)
    return folder


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in this process, with ``stdin`` piped in."""

    def run(*argv: str, stdin: bytes = b"") -> Outcome:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = main(list(argv))
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    return run


def spawn(*argv: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run a command in a process of its own."""
    command = [sys.executable, "-m", "asyncsecrets", *argv]
    environ = {**os.environ, "PYTHONASYNCIODEBUG": "", **(env or {})}
    return subprocess.run(command, input=stdin, capture_output=True, env=environ, timeout=30, check=False)


def on_terminal(argv: Sequence[str], typed: bytes, *, after: bytes = b"") -> tuple[int, bytes]:
    """Run a command on a terminal; type ``typed`` once it has printed ``after``. The exit code and what was to be seen.

    The child's terminal is its controlling one, so that a hidden prompt finds it.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(
            sys.executable, [sys.executable, "-m", "asyncsecrets", *argv], {**os.environ, "PYTHONASYNCIODEBUG": ""}
        )
    seen, sent, deadline = b"", False, time.monotonic() + 30
    while time.monotonic() < deadline:
        ready, _, _ = select.select([terminal], [], [], 0.1)
        try:
            chunk = os.read(terminal, 65536) if ready else b""
        except OSError:  # Linux says EIO when the other side is gone
            break
        if ready and not chunk:
            break
        seen += chunk
        if not sent and after in seen:
            os.write(terminal, typed)
            sent = True
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return os.waitstatus_to_exitcode(status), seen


@pytest.fixture
def vault() -> Iterator[VaultServer]:
    """A server in a thread of its own, with one secret DB_PASSWORD."""
    with VaultServer().run_in_thread() as server:
        server.write_secret("DB_PASSWORD", {"key": VALUE})
        yield server


def vault_settings(server: VaultServer, **settings: Any) -> dict[str, Any]:
    """The sections of a configuration for ``server``."""
    own = {"addr": server.url, "token": server.root_token, "access_mode": "read_and_write", **settings}
    return {"key_management_system": "hashicorp_vault", "key_management_settings": own}


@pytest.fixture
def config(vault: VaultServer, workdir: Path) -> Path:
    """A config.yaml that leads to ``vault`` and uses DB_PASSWORD."""
    document = {"general_settings": {"database_password": "os.environ/DB_PASSWORD", **vault_settings(vault)}}
    return write_config(workdir, document)


def write_config(folder: Path, document: dict[str, Any]) -> Path:
    """Write ``document`` as config.yaml (JSON is YAML)."""
    path = folder / "config.yaml"
    path.write_text(json.dumps(document))
    return path
