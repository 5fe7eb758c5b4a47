"""asyncsecrets rotate: a value that is made here, and the command that sets it at its consumer."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path

import pytest

from asyncsecrets.testing.vault_server import VaultServer
from tests.cli.conftest import VALUE, Run, spawn

PENDING = "DB_PASSWORD-rotating"


def kept(vault: VaultServer, name: str = "DB_PASSWORD") -> str:
    found = vault.read_secret(name)
    assert found is not None
    return str(found["key"])


def staged(vault: VaultServer) -> str:
    """The value that is kept until the consumer has it."""
    return str(json.loads(kept(vault, PENDING))["value"])


def command(source: str) -> str:
    """A command line that runs Python source."""
    return shlex.join([sys.executable, "-c", source])


def test_made_here(config: Path, vault: VaultServer, cli: Run) -> None:
    """It is stored, as the rules say, and not shown."""
    done = cli("rotate", "DB_PASSWORD", "--generate", "password", "--length", "20", "--symbols", "--exclude", "abc:/@")
    assert (done.code, done.out, done.err) == (0, "rotated  DB_PASSWORD  default  version 2\n", "")
    value = kept(vault)
    assert (len(value), set(value) & set("abc:/@"), value != VALUE) == (20, set(), True)
    document = cli("rotate", "secret://default/DB_PASSWORD", "--generate", "hex", "--json").json
    assert document == {"name": "secret://default/DB_PASSWORD", "source": "default", "version": "3", "public_key": None}
    assert re.fullmatch("[0-9a-f]{64}", kept(vault))


def test_a_pair(config: Path, vault: VaultServer, cli: Run) -> None:
    """The private key is stored, the public one printed."""
    done = cli("rotate", "DB_PASSWORD", "--generate", "ed25519")
    assert done.out.splitlines()[1] == "-----BEGIN PUBLIC KEY-----"
    assert kept(vault).startswith("-----BEGIN PRIVATE KEY-----\n")
    assert "PRIVATE" not in done.out


def test_the_consumer(config: Path, workdir: Path, vault: VaultServer) -> None:
    """It reads the value from stdin; arguments and environment do not have it, and its output is beside ours."""
    script = """
import os, pathlib, sys
value = sys.stdin.read()
given = [*sys.argv, *os.environ.values(), *pathlib.Path(f"/proc/{os.getppid()}/cmdline").read_text().split(chr(0))]
assert value not in given and len(value) == 32
pathlib.Path("consumer").write_text(value)
print("the consumer has it")
"""
    done = spawn("rotate", "DB_PASSWORD", "--generate", "password", "--exec", command(script))
    assert (done.returncode, done.stdout) == (0, b"rotated  DB_PASSWORD  default  version 2\n")
    assert done.stderr == b"the consumer has it\n"
    assert (workdir / "consumer").read_text() == kept(vault)
    assert vault.read_secret(PENDING) is None


def test_a_consumer_that_fails(config: Path, workdir: Path, vault: VaultServer, cli: Run) -> None:
    """Readers go on with the old value; the next one is given the same new one."""
    fails = command("import pathlib, sys; pathlib.Path('first').write_text(sys.stdin.read()); sys.exit(3)")
    done = cli("rotate", "DB_PASSWORD", "--generate", "token", "--exec", fails)
    assert (done.code, kept(vault)) == (6, VALUE)
    assert f"kept as '{PENDING}'" in done.err
    assert staged(vault) == (workdir / "first").read_text() != ""
    assert cli("rotate", "DB_PASSWORD", "--generate", "token").code == 6
    again = command("import pathlib, sys; assert pathlib.Path('first').read_text() == sys.stdin.read()")
    assert cli("rotate", "DB_PASSWORD", "--generate", "token", "--exec", again).code == 0
    assert kept(vault) == (workdir / "first").read_text()


@pytest.mark.parametrize(
    "more",
    [
        ("--length", "20"),
        ("--restart",),
        ("--generate", "uuid", "--length", "20"),
        ("--generate", "hex", "--symbols"),
        ("--generate", "password", "--length", "x"),
        ("--generate", "password", "--length", "4"),
        ("--generate", "password", "--exec", ""),
        ("--generate", "password", "--exec", "'"),
        ("--generate", "password", "--exec", "no-such-command-anywhere"),
        ("--generate", "letters"),
    ],
)
def test_refused(more: tuple[str, ...], config: Path, vault: VaultServer, cli: Run) -> None:
    """The command line is wrong, and nothing is changed."""
    assert cli("rotate", "DB_PASSWORD", *more).code == 2
    assert kept(vault) == VALUE


def test_not_there_or_not_by_the_manager(config: Path, vault: VaultServer, cli: Run) -> None:
    """What to do instead is said."""
    assert cli("rotate", "NOTHING", "--generate", "uuid").code == 3
    outcome = cli("rotate", "DB_PASSWORD")
    assert (outcome.code, "--generate" in outcome.err) == (7, True)
