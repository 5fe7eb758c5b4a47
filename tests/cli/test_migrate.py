"""asyncsecrets migrate: the plan, the copy, and what is said of both; never a value."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from asyncsecrets.testing.vault_server import VaultServer
from tests.cli.conftest import VALUE, Run, on_terminal, vault_settings, write_config


@pytest.fixture
def local(vault: VaultServer, workdir: Path, cli: Run) -> Path:
    """A configuration of two managers: the server, and a local store."""
    assert cli("init").code == 0
    settings = {"local_file": str(workdir / "secrets.yaml"), "access_mode": "read_and_write"}
    store = {"key_management_system": "local", "key_management_settings": settings}
    document = {"general_settings": vault_settings(vault), "asyncsecrets": {"sources": {"store": store}}}
    return write_config(workdir, document)


def test_plan_and_apply(local: Path, cli: Run, vault: VaultServer) -> None:
    """Nothing is written without --apply, and nothing twice with it."""
    vault.write_secret("API_KEY", {"key": "canary-api"})
    planned = cli("migrate", "default", "store")
    assert planned.code == 0
    assert planned.out.splitlines() == [
        "NAME         TO           STATE   NOTE",
        "API_KEY      API_KEY      create  -",
        "DB_PASSWORD  DB_PASSWORD  create  -",
        "default -> store: 2 create",
    ]
    assert planned.err.startswith("note: nothing was written; --apply copies the current values")
    assert cli("list", "--source", "store").out == ""
    done = cli("migrate", "default", "store", "--apply")
    assert (done.code, done.out, done.err) == (0, "default -> store: 2 created\n", "")
    assert cli("migrate", "default", "store", "--yes").out == "default -> store: 2 equal\n"
    assert cli("get", "DB_PASSWORD", "--source", "store").out == VALUE


def test_conflicts(local: Path, cli: Run, vault: VaultServer) -> None:
    """They end with 6 and are told of, until they are to be overwritten."""
    cli("set", "DB_PASSWORD", "--source", "store", stdin=b"canary-own")
    for more in ((), ("--apply",)):
        outcome = cli("migrate", "default", "store", *more)
        assert (outcome.code, "another value is there" in outcome.out) == (6, True)
        assert "--overwrite replaces it" in outcome.err
    outcome = cli("migrate", "default", "store", "--apply", "--overwrite", "--json")
    assert outcome.json == {
        "from": "default",
        "to": "store",
        "applied": True,
        "counts": {"replaced": 1},
        "secrets": [
            {"name": "DB_PASSWORD", "to": "DB_PASSWORD", "state": "replaced", "note": None, "error": None},
        ],
    }


def test_names(local: Path, cli: Run, vault: VaultServer) -> None:
    """Renamed by rules; those that meet are told of before anything is written."""
    vault.write_secret("old/DB_PASSWORD", {"key": VALUE})
    meeting = ("migrate", "default", "store", "--rename", "old/*=*")
    planned = cli(*meeting)
    assert (planned.code, planned.out.count("collision")) == (6, 3)
    refused = cli(*meeting, "--apply")
    assert (refused.code, "nothing was written" in refused.err) == (2, True)
    assert cli("list", "--source", "store").out == ""
    one = cli("migrate", "default", "store", "old/DB_PASSWORD", "--rename", "old/*=new/*", "--apply")
    assert one.code == 0
    assert cli("list", "--source", "store").out == "new/DB_PASSWORD\n"


@pytest.mark.parametrize(
    "more",
    [
        ("--rename", "a"),
        ("--rename", "a=b", "--rename", "a=c"),
        ("--rename", "a*=b"),
        ("--source", "store"),
        ("--concurrency", "0"),
        ("--to-config", "nothing.yaml"),
    ],
)
def test_refused(more: tuple[str, ...], local: Path, cli: Run) -> None:
    assert cli("migrate", "default", "store", *more).code == 2


def test_a_source_that_cannot_list(local: Path, cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment is copied from by name."""
    monkeypatch.setenv("FROM_HERE", "canary-env")
    refused = cli("migrate", "environment", "store")
    assert (refused.code, "say which by name" in refused.err) == (7, True)
    assert cli("migrate", "environment", "store", "FROM_HERE", "--apply").code == 0
    assert cli("get", "FROM_HERE", "--source", "store").out == "canary-env"
    assert cli("migrate", "default", "environment", "--apply").code == 7


def test_between_two_configurations(local: Path, cli: Run, workdir: Path, vault: VaultServer) -> None:
    with VaultServer().run_in_thread() as other:
        folder = workdir / "other"
        folder.mkdir()
        path = write_config(folder, {"general_settings": vault_settings(other)})
        outcome = cli("migrate", "default", "default", "--to-config", str(path), "--apply")
        assert outcome.out == "default -> default: 1 created\n"
        assert other.read_secret("DB_PASSWORD") == {"key": VALUE}


def test_on_a_terminal(local: Path, vault: VaultServer) -> None:
    """A bar, and no value."""
    code, seen = on_terminal(["migrate", "default", "store", "--apply"], b"")
    assert (code, b"migrating" in seen, b"canary" in seen) == (0, True, False)


def test_killed_and_gone_on_with(local: Path, cli: Run, vault: VaultServer) -> None:
    """kill -9 in the middle: the next one brings over what is lacking, and nothing twice."""
    names = [f"many/{number:03}" for number in range(100)]
    for name in names:
        vault.write_secret(name, {"key": f"canary-{name}"})
    with VaultServer().run_in_thread() as other:
        folder = local.parent / "other"
        folder.mkdir()
        path = str(write_config(folder, {"general_settings": vault_settings(other)}))
        command = ["migrate", "default", "default", "--to-config", path, "--prefix", "many/", "--apply"]
        environ = {**os.environ, "PYTHONASYNCIODEBUG": ""}
        process = subprocess.Popen(
            [sys.executable, "-m", "asyncsecrets", *command], env=environ, stdout=subprocess.DEVNULL
        )
        while other.read_secret(names[20]) is None:
            assert process.poll() is None
            time.sleep(0.005)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        assert 0 < sum(other.read_secret(name) is not None for name in names) < 100
        outcome = cli(*command, "--json")
        assert outcome.code == 0
        assert set(outcome.json["counts"]) == {"created", "equal"}
        for name in names:
            assert other.read_secret(name) == {"key": f"canary-{name}"}
            assert other.call("read", f"secret/metadata/{name}")["data"]["current_version"] == 1
