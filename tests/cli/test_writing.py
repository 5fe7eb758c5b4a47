"""`set`, `delete`, `list`, `versions`: against a real server."""

from __future__ import annotations

import argparse
import io
import warnings
from pathlib import Path

import pytest

from asyncsecrets.cli import values
from asyncsecrets.cli.console import Console
from asyncsecrets.errors import ConfigError
from asyncsecrets.testing.vault_server import VaultServer
from tests.cli.conftest import VALUE, Run, on_terminal, spawn, vault_settings, write_config


@pytest.mark.parametrize("value", [b"canary\n", b" canary \r\n\n", "canary-ü".encode()])
def test_stdin_is_stored_exactly(value: bytes, config: Path, vault: VaultServer, cli: Run) -> None:
    """What is piped in is the value, its last line break included."""
    outcome = cli("set", "NEW", stdin=value)
    assert (outcome.code, outcome.out) == (0, "stored  NEW  default  version 1\n")
    assert vault.read_secret("NEW") == {"key": value.decode()}


@pytest.mark.parametrize(
    ("piped", "stored"),
    [(b"canary\n", "canary"), (b"canary\r\n", "canary"), (b"canary\n\n", "canary\n"), (b"canary", "canary")],
    ids=["LF", "CRLF", "two", "none"],
)
def test_stdin_line(piped: bytes, stored: str, config: Path, vault: VaultServer, cli: Run) -> None:
    """--stdin-line takes off one line break, and no more."""
    assert cli("set", "NEW", "--stdin-line", stdin=piped).code == 0
    assert vault.read_secret("NEW") == {"key": stored}


def test_prompt(config: Path, vault: VaultServer) -> None:
    """On a terminal the value is asked for, and not echoed."""
    code, seen = on_terminal(["set", "NEW"], b"canary-typed\n", after=b"value: ")
    assert code == 0
    assert b"canary" not in seen
    assert b"stored" in seen
    assert vault.read_secret("NEW") == {"key": "canary-typed"}


def test_prompt_that_cannot_hide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where echo cannot be switched off, nothing is read."""

    def fall_back(_: str) -> str:
        warnings.warn("Can not control echo on the terminal.", values.getpass.GetPassWarning, stacklevel=1)
        return VALUE

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(values.getpass, "getpass", fall_back)
    args = argparse.Namespace(generate=None, from_file=None, stdin_line=False, allow_empty=False)
    with pytest.raises(ConfigError, match="cannot hide") as error:
        values.read(args, Console(as_json=False, stdin=Terminal()))
    assert error.value.__context__ is None


@pytest.mark.parametrize("typed", [b"\n", b"\x04"], ids=["empty", "end of file"])
def test_prompt_without_an_answer(typed: bytes, config: Path, vault: VaultServer) -> None:
    """An empty answer stores nothing."""
    code, _ = on_terminal(["set", "NEW"], typed, after=b"value: ")
    assert code == 2
    assert vault.read_secret("NEW") is None


def test_empty_values_are_usually_accidents(config: Path, vault: VaultServer, cli: Run) -> None:
    """`$(a command that failed)` must not wipe a secret; --allow-empty may."""
    assert cli("set", "DB_PASSWORD").code == 2
    assert vault.read_secret("DB_PASSWORD") == {"key": VALUE}
    assert cli("set", "DB_PASSWORD", "--allow-empty").code == 0
    assert vault.read_secret("DB_PASSWORD") == {"key": ""}


def test_generate(config: Path, vault: VaultServer, cli: Run) -> None:
    """A generated value is of the length asked for, different each time, and not shown."""
    outcome = cli("set", "A", "--generate", "40")
    assert outcome.code == 0
    assert cli("set", "B", "--generate").code == 0
    first, second = vault.read_secret("A"), vault.read_secret("B")
    assert first is not None
    assert second is not None
    assert len(first["key"]) == 40
    assert len(second["key"]) == 32
    assert first["key"].isalnum()
    assert first["key"][:32] != second["key"]
    assert first["key"] not in outcome.out + outcome.err


def test_from_file(workdir: Path, config: Path, vault: VaultServer, cli: Run) -> None:
    """A file is stored exactly; one that is not there is named."""
    (workdir / "key.pem").write_text("-----BEGIN canary-----\n")
    assert cli("set", "PEM", "--from-file", "key.pem").code == 0
    assert vault.read_secret("PEM") == {"key": "-----BEGIN canary-----\n"}
    outcome = cli("set", "PEM", "--from-file", "kye.pem")
    assert (outcome.code, "kye.pem: cannot be read" in outcome.err) == (2, True)


def test_too_large(workdir: Path, config: Path, cli: Run) -> None:
    """A value is read up to a limit, whatever it comes from."""
    (workdir / "big").write_bytes(b"canary" * 200_000)
    assert "more than 1048576 bytes" in cli("set", "BIG", "--from-file", "big").err
    assert "more than 1048576 bytes" in cli("set", "BIG", stdin=b"canary" * 200_000).err


def test_compare_and_set(config: Path, vault: VaultServer) -> None:
    """--cas writes only over the version that was seen; a conflict is exit code 6."""
    assert spawn("set", "DB_PASSWORD", "--cas", "0", stdin=b"canary").returncode == 6
    assert spawn("set", "DB_PASSWORD", "--cas", "1", stdin=b"canary-2").returncode == 0
    assert vault.read_secret("DB_PASSWORD") == {"key": "canary-2"}


def test_read_only_source(workdir: Path, vault: VaultServer, cli: Run) -> None:
    """Without access_mode: read_and_write nothing is sent, and the message says what to set."""
    write_config(workdir, {"general_settings": vault_settings(vault, access_mode="read_only")})
    outcome = cli("set", "NEW", stdin=b"canary")
    assert outcome.code == 7
    assert "access_mode: read_and_write" in outcome.err
    assert vault.requests == []


def test_set_says_where_programs_read_it(workdir: Path, vault: VaultServer, cli: Run) -> None:
    """A name outside hosted_keys is written, and read from the environment all the same: better said than found out."""
    write_config(workdir, {"general_settings": vault_settings(vault, hosted_keys=["DB_PASSWORD"])})
    outcome = cli("set", "NEW", stdin=b"canary")
    assert outcome.code == 0
    assert "not among hosted_keys" in outcome.err
    assert f"add NEW to hosted_keys in {workdir / 'config.yaml'}, or ask it by name: --source default" in outcome.err
    assert cli("set", "DB_PASSWORD", stdin=b"canary").err == ""


def test_set_as_json(config: Path, cli: Run) -> None:
    """The outcome as one document."""
    document = cli("set", "NEW", "--generate", "--json").json
    assert document == {"name": "NEW", "version": "1", "source": "default", "note": None}


def test_delete_needs_a_yes(config: Path, vault: VaultServer, cli: Run) -> None:
    """Where nobody can be asked, --yes is needed."""
    outcome = cli("delete", "DB_PASSWORD")
    assert outcome.code == 2
    assert "--yes" in outcome.err
    assert vault.read_secret("DB_PASSWORD") == {"key": VALUE}
    assert cli("delete", "DB_PASSWORD", "--yes").code == 0
    assert vault.read_secret("DB_PASSWORD") is None


@pytest.mark.parametrize(("typed", "code", "kept"), [(b"y\n", 0, False), (b"\n", 7, True), (b"nope\n", 7, True)])
def test_delete_asks(typed: bytes, code: int, kept: bool, config: Path, vault: VaultServer) -> None:
    """On a terminal it asks, and anything but a yes is a no."""
    ended, seen = on_terminal(["delete", "DB_PASSWORD"], typed, after=b"[y/N] ")
    assert b"delete DB_PASSWORD at source default?" in seen
    assert ended == code
    assert (vault.read_secret("DB_PASSWORD") is not None) == kept


def test_delete_what_is_not_there(config: Path, cli: Run) -> None:
    """Absent already is no error."""
    document = cli("delete", "NEVER_THERE", "--yes", "--json").json
    assert document == {
        "name": "NEVER_THERE", "source": "default", "versions": None, "deleted": True, "note": None,
    }  # fmt: skip


def test_list(config: Path, vault: VaultServer, cli: Run) -> None:
    """Names, one a line, sorted, under a prefix."""
    vault.write_secret("team/b", {"key": "canary"})
    vault.write_secret("team/a", {"key": "canary"})
    assert cli("list").out == "DB_PASSWORD\nteam/a\nteam/b\n"
    assert cli("list", "team/").out == "team/a\nteam/b\n"
    assert cli("list", "nothing/").out == ""
    assert cli("list", "--json").json == {"names": ["DB_PASSWORD", "team/a", "team/b"]}


def test_list_where_there_is_no_list(cli: Run) -> None:
    """A source that cannot list says so, with exit code 7."""
    outcome = cli("list")
    assert outcome.code == 7
    assert "cannot list" in outcome.err


def test_versions(config: Path, vault: VaultServer, cli: Run) -> None:
    """Every version with its state, oldest first."""
    vault.write_secret("DB_PASSWORD", {"key": "canary-2"})
    vault.delete_secret("DB_PASSWORD")
    rows = [line.split() for line in cli("versions", "DB_PASSWORD").out.splitlines()]
    assert rows[0] == ["VERSION", "STATE", "CREATED"]
    assert [row[:2] for row in rows[1:]] == [["1", "enabled"], ["2", "deleted"]]
    document = cli("versions", "DB_PASSWORD", "--json").json
    assert [info["version"] for info in document["versions"]] == ["1", "2"]
    assert cli("versions", "NEVER_THERE").code == 3


@pytest.mark.parametrize("command", ["set", "patch"])
@pytest.mark.parametrize("name", ["FOO=canary-value", "FOO=", "=canary-value", "team/db=canary value"])
def test_a_value_beside_the_name_is_refused(command: str, name: str, config: Path, cli: Run) -> None:
    """Nothing is stored, and what was typed is not repeated; a name that has a = is written as a reference."""
    outcome = cli(command, name, stdin=b"{}")
    assert (outcome.code, outcome.out) == (2, "")
    assert "canary" not in outcome.err
    assert "takes a NAME, and never a value" in outcome.err
    assert cli("set", "os.environ/A=B", "--source", "default", stdin=b"canary").code in {0, 7}


@pytest.mark.parametrize(
    ("piped", "noticed"),
    [
        (b"canary\n", True),
        (b"canary\r\n", True),
        (b"\n", True),
        (b"canary", False),
        (b"-----BEGIN CANARY-----\nAAAA\n-----END CANARY-----\n", False),
        (b"canary\n\n", False),
    ],
)
def test_a_line_break_at_the_end_is_noticed(piped: bytes, noticed: bool, config: Path, cli: Run) -> None:
    """What is piped is stored exactly. What `echo` adds is told of, with the way to leave it out."""
    outcome = cli("set", "DB_PASSWORD", stdin=piped)
    assert (outcome.code, "--stdin-line" in outcome.err) == (0, noticed)
    assert ("line break" in (cli("set", "DB_PASSWORD", "--json", stdin=piped).json["note"] or "")) is noticed
    assert cli("set", "DB_PASSWORD", "--stdin-line", stdin=piped.strip() + b"\n" if piped.strip() else b"x\n").err == ""
