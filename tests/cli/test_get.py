"""`get`: what is printed where."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from asyncsecrets.testing.vault_server import VaultServer
from tests.cli.conftest import VALUE, Run, on_terminal, spawn, vault_settings, write_config

pytestmark = pytest.mark.shows_values("`get` prints values")


def test_piped_it_is_the_value_and_nothing_else(config: Path) -> None:
    """Byte for byte: no line break is added."""
    done = spawn("get", "DB_PASSWORD")
    assert (done.returncode, done.stdout, done.stderr) == (0, VALUE.encode(), b"")


@pytest.mark.parametrize("value", [f" {VALUE}\r\n\n", f"{VALUE} ü \u2028 \U0001f511", "\x00\x1b[31m" + VALUE])
def test_values_are_not_touched(value: str, config: Path, vault: VaultServer, cli: Run) -> None:
    """Blanks, line breaks and control characters come out as they are stored."""
    vault.write_secret("DB_PASSWORD", {"key": value})
    assert cli("get", "DB_PASSWORD").out == value


def test_on_a_terminal_it_is_masked(config: Path) -> None:
    """Nobody who looks at the screen sees it, but that it is there, and how to see it."""
    code, seen = on_terminal(["get", "DB_PASSWORD"], b"")
    assert code == 0
    assert VALUE.encode() not in seen
    assert b"**********" in seen
    assert b"--reveal" in seen


def test_on_a_terminal_it_can_be_revealed(config: Path) -> None:
    """With --reveal it is shown, on a line of its own."""
    code, seen = on_terminal(["get", "DB_PASSWORD", "--reveal"], b"")
    assert (code, seen) == (0, VALUE.encode() + b"\r\n")


def test_json_describes_without_the_value(config: Path, cli: Run) -> None:
    """With --json alone the value is null, also in a pipe: descriptions end up in logs."""
    outcome = cli("get", "DB_PASSWORD", "--json")
    assert VALUE not in outcome.out
    found = outcome.json
    assert found.pop("created").startswith("20")
    assert found == {"name": "DB_PASSWORD", "version": "1", "source": "default", "value": None, "encoding": None}


def test_json_with_the_value(config: Path, cli: Run) -> None:
    """With --reveal, the value is text, and says so."""
    found = cli("get", "DB_PASSWORD", "--json", "--reveal").json
    assert (found["value"], found["encoding"]) == (VALUE, "utf-8")


def test_json_of_a_binary_value(workdir: Path, cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not UTF-8 is base64, and says so."""
    data = b"canary\xff\x00"
    monkeypatch.setenv("BLOB", "canary\udcff")  # no variable can hold the NUL
    found = cli("get", "BLOB", "--json", "--reveal").json
    assert found["encoding"] == "base64"
    assert base64.b64decode(found["value"]) == data[:-1]
    assert spawn("get", "BLOB").stdout == data[:-1]


def test_versions_and_fields(config: Path, vault: VaultServer, cli: Run) -> None:
    """--version and --field say which; a reference says it, too."""
    vault.write_secret("DB_PASSWORD", {"key": "canary-2", "user": "canary-user"})
    assert cli("get", "DB_PASSWORD", "--version", "1").out == VALUE
    assert cli("get", "DB_PASSWORD").out == "canary-2"
    assert cli("get", "DB_PASSWORD", "--field", "user").out == "canary-user"
    assert cli("get", "secret://default/DB_PASSWORD?version=2&field=user").out == "canary-user"


def test_absent(config: Path, cli: Run) -> None:
    """Exit code 3, which rule applied, and the name that was probably meant."""
    outcome = cli("get", "DB_PASSWROD")
    assert (outcome.code, outcome.out) == (3, "")
    assert "did you mean 'DB_PASSWORD'?" in outcome.err
    assert "the environment stands in" in outcome.err
    assert outcome.err.count("\n") == 1


def test_no_such_field(config: Path, cli: Run) -> None:
    """A payload that is not what was asked for is exit code 8."""
    outcome = cli("get", "DB_PASSWORD", "--field", "nope")
    assert (outcome.code, outcome.out) == (8, "")


def test_members_of_an_object_of_somebody_elses(config: Path, vault: VaultServer, cli: Run) -> None:
    """The error says which there are and how to name one; each is printed as it stands in the payload."""
    vault.write_secret("REAL", {"user": "canary-user", "port": 5432, "db": {"on": True, "hosts": ["canary-host"]}})
    outcome = cli("get", "REAL")
    assert (outcome.code, outcome.out) == (8, "")
    assert "it has 'db', 'port', 'user' (name one by field=, --field or ?field=)" in outcome.err
    assert cli("get", "REAL", "--field", "port").out == "5432"
    assert cli("get", "REAL", "--field", "/db/on").out == "true"
    assert cli("get", "REAL", "--field", "json:/db/hosts").out == '["canary-host"]'
    assert cli("get", "secret:///REAL?field=/db/hosts/0").out == "canary-host"
    outcome = cli("get", "REAL", "--field", "db")
    assert (outcome.code, "such as '/db/hosts'" in outcome.err, "canary" in outcome.err) == (8, True, False)


def test_denied(workdir: Path, vault: VaultServer, cli: Run) -> None:
    """A wrong token is exit code 4; the token is not shown."""
    write_config(workdir, {"general_settings": vault_settings(vault, token="s.canarytoken")})
    outcome = cli("get", "DB_PASSWORD")
    assert (outcome.code, outcome.out) == (4, "")
    assert "canarytoken" not in outcome.err
    assert "permission" in outcome.err or "token" in outcome.err


def test_down(config: Path, vault: VaultServer) -> None:
    """A manager that is not there is exit code 5, never the environment."""
    vault.seal()
    done = spawn("get", "DB_PASSWORD", env={"DB_PASSWORD": "canary-environment"})
    assert (done.returncode, done.stdout) == (5, b"")
    assert b"sealed" in done.stderr
    assert done.stderr.count(b"\n") == 1


def test_unknown_source(config: Path, cli: Run) -> None:
    """A typo in --source is a configuration error that names the nearest."""
    outcome = cli("get", "DB_PASSWORD", "--source", "defualt")
    assert outcome.code == 2
    assert "did you mean 'default'?" in outcome.err


def test_without_any_configuration(workdir: Path, cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment and .env are the source."""
    monkeypatch.setenv("FROM_ENVIRON", "canary-1")
    (workdir / ".env").write_text("FROM_FILE=canary-2\n")
    assert cli("get", "FROM_ENVIRON").out == "canary-1"
    assert cli("get", "FROM_FILE").out == "canary-2"
