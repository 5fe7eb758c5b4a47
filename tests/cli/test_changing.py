"""`delete`, `restore`, `destroy`, `patch`, `metadata`, `rotate`, `encrypt`: against a real server, or a manager that
can."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from asyncsecrets.providers.dotenv import parse_dotenv
from asyncsecrets.testing.vault_server import VaultServer
from tests.cli.conftest import VALUE, Run, on_terminal, vault_settings, write_config

BOTH = {"key": VALUE, "user": "canary-user"}


def test_deleted_and_restored(config: Path, vault: VaultServer, cli: Run) -> None:
    """What is deleted says how it is brought back, and that brings it back."""
    deleted = cli("delete", "DB_PASSWORD", "--yes")
    assert (deleted.code, deleted.out) == (0, "deleted  DB_PASSWORD  default\n")
    assert deleted.err == "note: to bring it back: asyncsecrets restore DB_PASSWORD\n"
    command = shlex.split(deleted.err.partition(": to bring it back: ")[2])
    assert cli(*command[1:]).out == "restored  DB_PASSWORD  default\n"
    assert vault.read_secret("DB_PASSWORD") == {"key": VALUE}
    assert cli("restore", "NEVER_THERE").code == 3


def test_versions_deleted_restored_and_destroyed(config: Path, vault: VaultServer, cli: Run) -> None:
    """One by one, the current one untouched."""
    for number in (2, 3):
        vault.write_secret("DB_PASSWORD", {"key": f"canary-{number}"})

    def states() -> list[str]:
        return [info["state"] for info in cli("versions", "DB_PASSWORD", "--json").json["versions"]]

    deleted = cli("delete", "DB_PASSWORD", "--version", "1", "--version", "2", "--yes", "--source", "default")
    assert deleted.out == "deleted  versions 1, 2 of DB_PASSWORD  default\n"
    assert deleted.err.endswith("restore DB_PASSWORD --version 1 --version 2 --source default\n")
    assert states() == ["deleted", "deleted", "enabled"]
    assert cli("restore", "DB_PASSWORD", "--version", "2", "--json").json["versions"] == ["2"]
    assert states() == ["deleted", "enabled", "enabled"]
    destroyed = cli("destroy", "DB_PASSWORD", "--version", "2", "--yes")
    assert destroyed.out == "gone for good  version 2 of DB_PASSWORD  default\n"
    assert states() == ["deleted", "destroyed", "enabled"]
    assert cli("restore", "DB_PASSWORD", "--version", "2").code == 3
    assert cli("get", "DB_PASSWORD").out == "canary-3"


def test_destroyed(config: Path, vault: VaultServer, cli: Run) -> None:
    """With everything that is known of it, whether it was deleted before or not; it needs a yes."""
    outcome = cli("destroy", "DB_PASSWORD")
    assert (outcome.code, "--yes" in outcome.err) == (2, True)
    assert vault.read_secret("DB_PASSWORD") == {"key": VALUE}
    document = cli("destroy", "DB_PASSWORD", "--yes", "--json").json
    assert document == {"name": "DB_PASSWORD", "source": "default", "versions": None, "destroyed": True}
    assert cli("versions", "DB_PASSWORD").code == 3
    assert cli("restore", "DB_PASSWORD").code == 3


@pytest.mark.parametrize(("command", "said"), [("delete", "gone"), ("destroy", "gone for good")])
def test_what_never_was_is_not_said_to_have_been(config: Path, cli: Run, command: str, said: str) -> None:
    """It is not there afterwards, which is no error and all that is known."""
    assert cli(command, "NOPE", "--yes").out == f"{said}  NOPE  default\n"


def test_destroy_asks(config: Path, vault: VaultServer) -> None:
    """On a terminal it says what goes, and anything but a yes is a no."""
    code, seen = on_terminal(["destroy", "DB_PASSWORD"], b"\n", after=b"[y/N] ")
    assert b"destroy DB_PASSWORD at source default for good, with all its versions?" in seen
    assert (code, vault.read_secret("DB_PASSWORD")) == (7, {"key": VALUE})


def test_delete_where_nothing_is_kept(workdir: Path, vault: VaultServer, cli: Run) -> None:
    """A manager that deletes for good is not said to restore."""
    vault.call("update", "sys/mounts/kv1", {"type": "kv", "options": {"version": "1"}})
    write_config(workdir, {"general_settings": vault_settings(vault, mount_name="kv1")})
    assert cli("set", "A", stdin=b"canary").code == 0
    assert cli("delete", "A", "--yes").err == ""
    outcome = cli("restore", "A")
    assert (outcome.code, "KV version 1" in outcome.err) == (7, True)


def test_patch(config: Path, vault: VaultServer, cli: Run) -> None:
    """The members of stdin's JSON object, the others as they are."""
    vault.write_secret("DB_PASSWORD", BOTH)
    outcome = cli("patch", "DB_PASSWORD", stdin=b'{"key": "canary-new", "host": "canary-host"}')
    assert (outcome.code, outcome.out, outcome.err) == (0, "patched  DB_PASSWORD  default  version 3\n", "")
    assert vault.read_secret("DB_PASSWORD") == {**BOTH, "key": "canary-new", "host": "canary-host"}
    document = cli("patch", "DB_PASSWORD", "--json", "--cas", "3", stdin=b'{"user": null}').json
    assert document == {"name": "DB_PASSWORD", "version": "4", "source": "default"}
    assert cli("patch", "DB_PASSWORD", "--cas", "3", stdin=b'{"key": "canary-lost"}').code == 6
    assert vault.read_secret("DB_PASSWORD") == {"key": "canary-new", "host": "canary-host"}
    assert cli("patch", "NEVER_THERE", stdin=b'{"a": "canary"}').code == 3


def test_patch_numbers(config: Path, vault: VaultServer, cli: Run) -> None:
    """As many digits as the server keeps, and not one less without a word."""
    assert cli("patch", "DB_PASSWORD", stdin=b'\xef\xbb\xbf{"port": 5432, "ratio": 1.10, "on": true}').code == 0
    assert vault.read_secret("DB_PASSWORD") == {"key": VALUE, "port": 5432, "ratio": 1.1, "on": True}
    for number in (b"12345678901234567890.5", b"3.14159265358979323846", b"9007199254740993", b"1e400"):
        outcome = cli("patch", "DB_PASSWORD", stdin=b'{"a": [%b]}' % number)
        assert (outcome.code, "more digits" in outcome.err, number.decode() in outcome.err) == (2, True, False)


def test_patch_prompt(config: Path, vault: VaultServer) -> None:
    """On a terminal the changes are asked for, and not echoed."""
    code, seen = on_terminal(["patch", "DB_PASSWORD"], b'{"key": "canary-typed"}\n', after=b"JSON object: ")
    assert (code, b"canary" in seen) == (0, False)
    assert vault.read_secret("DB_PASSWORD") == {"key": "canary-typed"}


@pytest.mark.parametrize(
    "changes", [b"", b"canary", b'["canary"]', b'{"a": "canary-1", "a": "canary-2"}', b"{}", b"\xff"]
)
def test_changes_that_are_none(changes: bytes, config: Path, vault: VaultServer, cli: Run) -> None:
    """Refused before anything is sent, and not shown."""
    outcome = cli("patch", "DB_PASSWORD", stdin=changes)
    assert outcome.code in {2, 8}
    assert "canary" not in outcome.out + outcome.err
    assert vault.count() == 0


def test_changes_are_no_argument(config: Path, cli: Run) -> None:
    """What was typed there is not repeated."""
    outcome = cli("patch", "DB_PASSWORD", '{"key": "canary"}')
    assert (outcome.code, "canary" in outcome.err, "stdin" in outcome.err) == (2, False, True)


def test_metadata(config: Path, vault: VaultServer, cli: Run) -> None:
    """Printed, changed, added to key by key, taken away."""
    before = cli("metadata", "DB_PASSWORD")
    assert [line.split() for line in before.out.splitlines()][:3] == [
        ["KEY", "VALUE"], ["current", "version", "1"], ["versions", "1"],
    ]  # fmt: skip
    changed = cli(
        "metadata", "DB_PASSWORD", "--set", "team=a", "--set", "note=x=y", "--max-versions", "5", "--cas-required"
    )
    assert changed.out == "changed  DB_PASSWORD  default  max_versions, cas_required, custom\n"
    assert cli("metadata", "DB_PASSWORD", "--set", "team=b", "--delete-version-after", "720h").code == 0
    document = cli("metadata", "DB_PASSWORD", "--json").json
    assert document["custom"] == {"team": "b", "note": "x=y"}
    assert (document["max_versions"], document["cas_required"]) == (5, True)
    assert (document["delete_version_after"], document["versions"]) == ("720h0m0s", ["1"])
    assert cli("metadata", "DB_PASSWORD", "--unset", "note", "--no-cas-required", "--json").json == {
        "name": "DB_PASSWORD", "source": "default", "changed": ["cas_required", "custom"],
    }  # fmt: skip
    document = cli("metadata", "DB_PASSWORD", "--json").json
    assert (document["custom"], document["cas_required"]) == ({"team": "b"}, False)
    assert "custom team" in cli("metadata", "DB_PASSWORD").out
    assert cli("metadata", "NEVER_THERE").code == 3


@pytest.mark.parametrize("argv", [["--set", "canary"], ["--set", "=canary"], ["--max-versions", "canary"]])
def test_metadata_that_is_none(argv: list[str], config: Path, vault: VaultServer, cli: Run) -> None:
    """Refused before anything is sent, and not repeated."""
    outcome = cli("metadata", "DB_PASSWORD", *argv)
    assert (outcome.code, "canary" in outcome.err) == (2, False)
    assert vault.count() == 0


def test_a_manager_that_cannot(config: Path, cli: Run) -> None:
    """Exit code 7, and which managers can."""
    for argv in (["rotate", "DB_PASSWORD"], ["encrypt"]):
        outcome = cli(*argv, stdin=b"canary")
        assert (outcome.code, "managers that can: aws_" in outcome.err) == (7, True)


def test_read_only(workdir: Path, vault: VaultServer, cli: Run) -> None:
    """Nothing is sent."""
    write_config(workdir, {"general_settings": vault_settings(vault, access_mode="read_only")})
    for argv in (
        ["restore", "A"],
        ["destroy", "A", "--yes"],
        ["rotate", "A"],
        ["metadata", "A", "--max-versions", "1"],
        ["patch", "A"],
    ):
        outcome = cli(*argv, stdin=b'{"a": "canary"}')
        assert (outcome.code, "access_mode: read_and_write" in outcome.err) == (7, True)
    assert vault.count() == 0


KEY_SERVICE = """
import base64
from asyncsecrets.providers.memory import MemoryProvider

class Provider(MemoryProvider):
    system = "custom"

    @classmethod
    def from_settings(cls, settings, environ):
        return cls({"NAME": "canary"})

    async def encrypt(self, plaintext):
        data = plaintext.encode() if isinstance(plaintext, str) else plaintext
        return base64.b64encode(data[::-1]).decode()

    async def rotate(self, name, *, token=""):
        return self.set(name, token)
"""


@pytest.fixture
def key_service(workdir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A custom manager that encrypts and rotates."""
    (workdir / "canary_keys.py").write_text(KEY_SERVICE)
    monkeypatch.syspath_prepend(str(workdir))
    monkeypatch.delitem(sys.modules, "canary_keys", raising=False)
    settings: dict[str, Any] = {"custom_secret_manager": "canary_keys.Provider", "access_mode": "read_and_write"}
    write_config(
        workdir, {"general_settings": {"key_management_system": "custom", "key_management_settings": settings}}
    )


@pytest.mark.usefixtures("key_service")
def test_encrypt(cli: Run) -> None:
    """The ciphertext alone, as a line of a .env file, for a shell, and as JSON."""
    ciphertext = "cC15cmFuYWM="
    assert cli("encrypt", stdin=b"canary-p").out == f"{ciphertext}\n"
    assert cli("encrypt", "DB", stdin=b"canary-p").out == f"DB={ciphertext}\n"
    assert parse_dotenv(cli("encrypt", "DB", stdin=b"canary-p").out.encode(), origin=".env") == {"DB": ciphertext}
    assert cli("encrypt", "DB", "--export", "--stdin-line", stdin=b"canary-p\n").out == f"export DB={ciphertext}\n"
    document = cli("encrypt", "DB", "--json", stdin=b"canary-p").json
    assert document == {"name": "DB", "source": "default", "ciphertext": ciphertext}
    assert cli("encrypt", stdin=b"").code == 2


@pytest.mark.usefixtures("key_service")
@pytest.mark.parametrize("argv", [["canary value"], ["DB", "canary"], ["--export"], ["canary=x"]])
def test_encrypt_takes_no_value(argv: list[str], cli: Run) -> None:
    """What was typed in its place is not repeated."""
    outcome = cli("encrypt", *argv, stdin=b"canary")
    assert (outcome.code, "canary" in outcome.out + outcome.err) == (2, False)


@pytest.mark.usefixtures("key_service")
def test_rotate(cli: Run) -> None:
    """The version that it will make, and that it takes its time."""
    outcome = cli("rotate", "NAME")
    assert (outcome.code, outcome.out) == (0, "rotating  NAME  default  version 2\n")
    assert "takes its time" in outcome.err
    assert cli("rotate", "NAME", "--json").json == {"name": "NAME", "source": "default", "version": "2"}
    assert json.dumps(cli("get", "NAME", "--json").json["version"]) == '"1"'


def test_delete_says_nothing_of_restoring_what_it_cannot_ask(workdir: Path, vault: VaultServer, cli: Run) -> None:
    """A source that may only be written to is not read for a note; the delete is done."""
    write_config(workdir, {"general_settings": vault_settings(vault, access_mode="write_only")})
    outcome = cli("delete", "DB_PASSWORD", "--yes")
    assert (outcome.code, outcome.err) == (0, "")
    assert vault.read_secret("DB_PASSWORD") is None
