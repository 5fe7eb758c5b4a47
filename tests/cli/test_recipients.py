"""asyncsecrets recipients: who can read the local store, and what is said of it."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run, on_terminal, spawn, write_config

pytest.importorskip("pyrage")

from asyncsecrets.providers.local_keys import generate_key

VALUE = "canary-of-the-team"


@pytest.fixture(autouse=True)
def store(cli: Run, workdir: Path) -> Path:
    """A store with one secret, made by the one who runs the commands."""
    (workdir / ".env").write_text(f"DB_PASSWORD={VALUE}\n")
    assert cli("init").code == 0
    return workdir / "secrets.yaml"


@pytest.fixture
def bob(cli: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """The public key of somebody else, whose file is not this user's."""
    with monkeypatch.context() as patch:
        patch.setenv("ASYNCSECRETS_KEY_FILE", str(tmp_path / "bob.txt"))
        return cli("recipients", "key").out.strip()


def reads(cli: Run, monkeypatch: pytest.MonkeyPatch, key_file: Path) -> bool:
    """Whether who has this key reads the secret."""
    with monkeypatch.context() as patch:
        patch.setenv("ASYNCSECRETS_KEY_FILE", str(key_file))
        return cli("get", "DB_PASSWORD").out == VALUE


def test_in_and_out(cli: Run, bob: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Added by the key, removed by the name; what that does not undo is said each time somebody is removed."""
    assert not reads(cli, monkeypatch, tmp_path / "bob.txt")
    added = cli("recipients", "add", bob, "--name", "bob")
    assert added.code == 0
    assert [line.split()[0] for line in added.out.splitlines()] == ["NAME", "-", "bob"]
    assert reads(cli, monkeypatch, tmp_path / "bob.txt")
    removed = cli("recipients", "remove", "bob")
    assert removed.code == 0
    assert "bob" not in removed.out
    assert "can still read every earlier copy" in removed.err
    assert "1 secret has to be given new values" in removed.err
    assert not reads(cli, monkeypatch, tmp_path / "bob.txt")


def test_list(cli: Run, bob: str) -> None:
    """The list is what is shown where nothing is asked for, and marks one's own key."""
    own = cli("recipients", "key").out.strip()
    cli("recipients", "add", bob, "--name", "bob")
    listed = cli("recipients")
    assert listed.err == ""
    assert listed.out == cli("recipients", "list").out
    assert [line.endswith("  you") for line in listed.out.splitlines()] == [False, True, False]
    assert cli("recipients", "--json").json == {
        "source": "default",
        "recipients": [{"name": None, "key": own, "own": True}, {"name": "bob", "key": bob, "own": False}],
        "mismatched": [],
    }
    assert cli("recipients", "remove", "bob", "--json").json["rotate"] == ["DB_PASSWORD"]


def test_a_list_that_was_changed_by_hand(cli: Run, bob: str, store: Path) -> None:
    """It is noted, refused, and accepted only by somebody's yes."""
    store.write_text(store.read_text().replace("\nsecrets:", f"\n- {bob}\nsecrets:"))
    noted = cli("recipients")
    assert (noted.code, bob in noted.out) == (0, True)
    assert "encrypted to others than these: DB_PASSWORD" in noted.err
    before = store.read_bytes()
    refused = cli("recipients", "add", generate_key()[1])
    assert refused.code == 8
    assert refused.err.splitlines()[1].startswith("what to do: ")
    asked = cli("recipients", "accept")
    assert (asked.code, "--yes" in asked.err) == (2, True)
    assert store.read_bytes() == before
    assert cli("recipients", "accept", "--yes").code == 0
    assert store.read_bytes() != before
    assert cli("recipients").err == ""


def test_who_stores_a_value_is_told_of_a_list_that_was_changed(cli: Run, bob: str, store: Path) -> None:
    """It is stored, and not committed yet; where nobody changed the list nothing is said."""
    cli("recipients", "add", bob)
    assert cli("set", "OTHER", stdin=b"canary-other").err == ""
    store.write_text(store.read_text().replace(bob, generate_key()[1]))
    stored = cli("set", "OTHER", stdin=b"canary-newer")
    assert (stored.code, stored.out) == (0, "stored  OTHER  default  version 2\n")
    assert "changed list of recipients\nwhat to do: " in stored.err


@pytest.mark.parametrize(("answer", "code"), [(b"n\n", 7), (b"y\n", 0)])
def test_accepting_on_a_terminal(bob: str, store: Path, answer: bytes, code: int) -> None:
    """The list is shown before anybody is asked."""
    store.write_text(store.read_text().replace("\nsecrets:", f"\n- {bob}\nsecrets:"))
    before = store.read_bytes()
    outcome, seen = on_terminal(["recipients", "accept"], answer, after=b"[y/N]")
    assert outcome == code
    assert bob.encode() in seen.partition(b"[y/N]")[0]
    assert (store.read_bytes() == before) == (code != 0)


def test_key(cli: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It prints the public half alone, makes a key where there is none, and never another one."""
    path = tmp_path / "new" / "key.txt"
    monkeypatch.setenv("ASYNCSECRETS_KEY_FILE", str(path))
    first = cli("recipients", "key")
    assert first.out.startswith("age1")
    assert f"made {path}" in first.err
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert cli("recipients", "key").out == first.out
    assert cli("recipients", "key", "--json").json == {"key": first.out.strip(), "from": str(path)}
    secret, public = generate_key()
    monkeypatch.setenv("ASYNCSECRETS_KEY", f"# of CI\r\n{secret}\r\n")
    assert cli("recipients", "key").out == f"{public}\n"
    path.write_text("# nothing\n")
    monkeypatch.setenv("ASYNCSECRETS_KEY", " \n")
    assert cli("recipients", "key").code == 2


def test_the_key_of_ci(cli: Run, bob: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the variable alone it reads and runs; the command that it runs gets the secret and not the key."""
    cli("recipients", "add", bob, "--name", "ci")
    key = (tmp_path / "bob.txt").read_text()
    environ = {"ASYNCSECRETS_KEY": key, "HOME": str(tmp_path / "ci"), "ASYNCSECRETS_KEY_FILE": ""}
    code = "import os, json; print(json.dumps(dict(os.environ)))"
    ran = spawn("run", "--only", "DB_PASSWORD", "--", sys.executable, "-c", code, env=environ)
    assert ran.returncode == 0
    assert VALUE.encode() in ran.stdout
    assert b"AGE-SECRET-KEY" not in ran.stdout
    for name, text in environ.items():
        monkeypatch.setenv(name, text)
    for argv in (["--debug", "get", "NOWHERE"], ["recipients", "--json"], ["recipients", "remove", bob]):
        outcome = cli(*argv)
        assert "AGE-SECRET-KEY" not in outcome.out + outcome.err
    monkeypatch.setenv("ASYNCSECRETS_KEY", "canary-that-is-no-key")
    refused = cli("get", "DB_PASSWORD")
    assert (refused.code, "ASYNCSECRETS_KEY" in refused.err) == (2, True)
    assert "canary" not in refused.err


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (["canary-action"], 2),
        (["add"], 2),
        (["remove"], 2),
        (["add", "canary-key"], 2),
        (["add", "AGE-SECRET-KEY-1CANARY-KEY"], 2),
        (["list", "canary-key"], 2),
        (["key", "canary-key"], 2),
        (["remove", "bob", "--name", "canary-name"], 2),
        (["remove", "canary-who"], 3),
        (["add", "age1x", "canary-more"], 2),
    ],
)
def test_what_is_typed_wrongly(cli: Run, argv: list[str], code: int, store: Path) -> None:
    """It is not repeated, and nothing is changed."""
    before = store.read_bytes()
    outcome = cli("recipients", *argv)
    assert outcome.code == code
    assert "canary" not in (outcome.out + outcome.err).lower()
    assert store.read_bytes() == before


def test_a_store_that_is_read_only(cli: Run, bob: str, workdir: Path) -> None:
    """Who may not write may look."""
    config = workdir / "config.yaml"
    config.write_text(config.read_text().replace("read_and_write", "read_only"))
    assert cli("recipients").code == 0
    assert cli("recipients", "add", bob).code == 7


def test_another_manager(cli: Run, workdir: Path) -> None:
    """Recipients are of a local store; an unknown source is said."""
    general = {"key_management_system": "hashicorp_vault", "key_management_settings": {"addr": "https://vault.invalid"}}
    write_config(workdir, {"general_settings": general})
    outcome = cli("recipients")
    assert (outcome.code, "hashicorp_vault" in outcome.err) == (7, True)
    assert cli("recipients", "--source", "nowhere").code == 2


def test_a_clone_without_a_key(cli: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Who has the store and no key is told how to get in: by a key of his own."""
    monkeypatch.setenv("HOME", str(tmp_path / "new"))
    outcome = cli("init")
    assert outcome.code == 2
    assert "asyncsecrets recipients key" in outcome.err
    assert not os.path.lexists(tmp_path / "new")


def test_a_place_that_cannot_be_written_to(cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named, and is no bug."""
    monkeypatch.setenv("ASYNCSECRETS_KEY_FILE", "/proc/1/nowhere/key.txt")
    outcome = cli("recipients", "key")
    assert outcome.code == 2
    assert outcome.err.endswith("/proc/1/nowhere/key.txt: cannot be written: No such file or directory\n")
