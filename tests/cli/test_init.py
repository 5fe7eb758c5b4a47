"""`init`: adds, takes nothing away, and finds everything done the second time."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Run, spawn, write_config

pytest.importorskip("pyrage")

from asyncsecrets.providers.local import LocalProvider

ENV = "DB_PASSWORD=canary-db\nOPENAI_API_KEY='sk-canary0123456789'\nLOG_LEVEL=debug\n"


@pytest.fixture
def dotenv(workdir: Path) -> Path:
    """A .env with two secrets and a setting."""
    path = workdir / ".env"
    path.write_text(ENV)
    return path


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """Where the key goes."""
    return tmp_path / "home" / ".config" / "asyncsecrets" / "key.txt"


def names(folder: Path) -> list[str]:
    """What is in a folder."""
    return [path.name for path in folder.iterdir()]


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file and its content."""
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_first_minute(dotenv: Path, key_file: Path, workdir: Path, cli: Run) -> None:
    """Key, store, configuration and .gitignore are made, and every secret is read back through them."""
    outcome = cli("init")
    assert outcome.code == 0
    assert "2 look like secrets (DB_PASSWORD, OPENAI_API_KEY)" in outcome.out
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(key_file.parent.stat().st_mode) == 0o700
    assert dotenv.read_text() == ENV
    assert (workdir / ".gitignore").read_text().splitlines() == [".env", ".secrets.yaml.lock"]
    assert "canary" not in (workdir / "secrets.yaml").read_text() + (workdir / "config.yaml").read_text()
    assert [line.split()[:2] for line in outcome.out.splitlines() if line.startswith("ok ")] == [
        ["ok", "DB_PASSWORD"],
        ["ok", "OPENAI_API_KEY"],
    ]
    dotenv.unlink()
    assert spawn("run", "--", "sh", "-c", 'test "$DB_PASSWORD" = canary-db').returncode == 0
    assert cli("check").code == 0


def test_the_key_is_on_the_disk_before_the_store(
    dotenv: Path, key_file: Path, workdir: Path, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A loss of power leaves no store whose key is lost: key and folders are synced before it is there."""
    synced, fsync = [], os.fsync

    def noted(descriptor: int) -> None:
        synced.append((os.fstat(descriptor).st_ino, (workdir / "secrets.yaml").exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    assert cli("init").code == 0
    for needed in (key_file, key_file.parent, key_file.parent.parent):
        assert (needed.stat().st_ino, False) in synced
    assert ((workdir / "secrets.yaml").stat().st_ino, False) in synced
    assert (workdir.stat().st_ino, True) in synced


def test_again(dotenv: Path, tmp_path: Path, cli: Run) -> None:
    """The second time nothing changes; a value that was set since then stays."""
    assert cli("init").code == 0
    assert cli("set", "DB_PASSWORD", stdin=b"canary-newer").code == 0
    before = snapshot(tmp_path)
    outcome = cli("init")
    assert outcome.code == 0
    assert snapshot(tmp_path) == before
    assert "DB_PASSWORD" in outcome.out
    assert spawn("run", "--", "sh", "-c", 'test "$DB_PASSWORD" = canary-newer').returncode == 0


def test_existing_configuration_is_never_rewritten(dotenv: Path, workdir: Path, cli: Run) -> None:
    """What to add is printed instead."""
    config = workdir / "config.yaml"
    config.write_text("general_settings:\n  key_management_system: hashicorp_vault  # mine\n")
    before = config.read_bytes()
    outcome = cli("init")
    assert outcome.code == 0
    assert config.read_bytes() == before
    assert "key_management_system: local" in outcome.out
    assert "access_mode: read_and_write" in outcome.out
    assert "hosted_keys" not in outcome.out


def test_new_entries_of_a_known_configuration(dotenv: Path, workdir: Path, cli: Run) -> None:
    """A secret that is new in .env is encrypted; what to add to hosted_keys, where there are some, is said."""
    assert cli("init").code == 0
    settings = {"hosted_keys": ["DB_PASSWORD", "OPENAI_API_KEY"]}
    general = {"key_management_system": "local", "key_management_settings": settings}
    config = write_config(workdir, {"general_settings": general}).read_bytes()
    dotenv.write_text(ENV + "STRIPE_TOKEN=canary-new\n")
    outcome = cli("init", "--json").json
    assert any("add to its hosted_keys: STRIPE_TOKEN" in step["remark"] for step in outcome["steps"])
    assert (workdir / "config.yaml").read_bytes() == config
    assert "STRIPE_TOKEN" in cli("list").out


def test_all_entries(dotenv: Path, cli: Run) -> None:
    """--all takes what does not look like a secret, too."""
    document = cli("init", "--all", "--json").json
    assert [secret["name"] for secret in document["secrets"]] == ["DB_PASSWORD", "OPENAI_API_KEY", "LOG_LEVEL"]


def test_without_a_dotenv(workdir: Path, cli: Run) -> None:
    """An empty store to begin with."""
    assert cli("init").code == 0
    assert cli("list").out == ""
    assert cli("set", "FIRST", stdin=b"canary").code == 0
    assert cli("list").out == "FIRST\n"


def test_a_secret_that_is_stored_later(dotenv: Path, workdir: Path, cli: Run) -> None:
    """What `set` stores after `init` is read and checked like what was there before. `run` wants it named."""
    assert cli("init").code == 0
    stored = cli("set", "NEW_ONE", stdin=b"canary-new")
    assert (stored.code, stored.err) == (0, "")
    assert cli("get", "NEW_ONE").out == "canary-new"
    assert cli("get", "NEW_ONE", "--version", "1").out == "canary-new"
    assert {row["name"] for row in cli("check", "--json").json["secrets"]} == {
        "DB_PASSWORD",
        "NEW_ONE",
        "OPENAI_API_KEY",
    }
    ended = spawn("run", "--", "sh", "-c", 'test "${NEW_ONE-}$DB_PASSWORD" = canary-db')
    assert ended.returncode == 0
    assert b"not set: NEW_ONE, in the local store and not named in" in ended.stderr
    assert b"--only NEW_ONE sets it this time" in ended.stderr
    assert ended.stderr.count(b"\n") == 2
    assert b"canary" not in ended.stderr
    ended = spawn("run", "--only", "NEW_ONE", "--only", "DB_PASSWORD", "--", "sh", "-c", 'echo "$NEW_ONE$DB_PASSWORD"')
    assert (ended.stdout, ended.stderr) == (b"canary-newcanary-db\n", b"")
    with (workdir / "config.yaml").open("a") as config:  # what the note says
        config.write("  NEW_ONE: os.environ/NEW_ONE\n")
    assert spawn("run", "--", "sh", "-c", 'echo "$NEW_ONE$DB_PASSWORD"').stdout == b"canary-newcanary-db\n"


def test_the_next_step_of_an_empty_store(workdir: Path, cli: Run) -> None:
    """With nothing stored yet, every command says what to do first, and then it works."""
    assert "asyncsecrets set NAME   then   asyncsecrets run --only NAME -- YOUR COMMAND" in cli("init").out
    for command in (["check"], ["run", "--", "true"]):
        outcome = cli(*command)
        assert outcome.code == 2
        assert "asyncsecrets set NAME" in outcome.err
    assert cli("set", "FIRST", stdin=b"canary").code == 0
    assert cli("check").code == 0
    outcome = cli("run", "--", "true")
    assert outcome.code == 2
    assert "not set: FIRST" in outcome.err
    assert spawn("run", "--only", "FIRST", "--", "sh", "-c", 'echo "$FIRST"').stdout == b"canary\n"


def test_a_store_that_is_not_there_is_said(workdir: Path, cli: Run) -> None:
    """Where the store alone has the names, what is wrong with it is the answer; beside references it hides none."""
    assert cli("init").code == 0
    (workdir / "secrets.yaml").unlink()
    for command in (["check"], ["run", "--", "true"]):
        assert "make one with: asyncsecrets init" in cli(*command).err
    write_config(workdir, {"general_settings": {"key_management_system": "local", "x": "os.environ/X"}})
    assert cli("check", "--json").json["secrets"][0]["status"] == "config"


PLANTED = [
    *("GIT_CONFIG_PARAMETERS", "BASH_ENV", "HTTPS_PROXY", "https_proxy", "SSL_CERT_FILE", "MAKEFLAGS", "VAULT_ADDR"),
    *("npm_config_registry", "A_VARIABLE_OF_A_TOOL_THAT_NOBODY_KNOWS", "team/key"),
]


def test_stored_names_are_no_variables(dotenv: Path, workdir: Path, key_file: Path, cli: Run) -> None:
    """Who may add a secret chooses no variable of the command, whichever it is: `run` sets what is named, no more."""
    assert cli("init").code == 0
    asyncio.run(_plant(workdir / "secrets.yaml", key_file))
    ended = spawn("run", "--", sys.executable, "-c", "import os, json; print(json.dumps(dict(os.environ)))")
    environ = json.loads(ended.stdout)
    assert {name for name, value in environ.items() if "canary" in value} == {"DB_PASSWORD", "OPENAI_API_KEY"}
    assert b"and 7 more, in the local store and not named in" in ended.stderr
    assert b"--only A_VARIABLE_OF_A_TOOL_THAT_NOBODY_KNOWS sets it this time" in ended.stderr
    assert ended.stderr.count(b"\n") == 2


async def _plant(store: Path, key_file: Path) -> None:
    provider = LocalProvider(store, key_file=key_file)
    await provider.open()
    for name in PLANTED:
        await provider.put(name, "canary-planted")
    await provider.aclose()


def test_a_stored_name_does_not_run_code(dotenv: Path, workdir: Path, cli: Run) -> None:
    """Seen from outside: a startup file that a secret names is not run, not by its name on the command line either."""
    assert cli("init").code == 0
    (workdir / "startup").write_text("touch started\n")
    assert cli("set", "BASH_ENV", stdin=b"startup").code == 0
    assert spawn("run", "--", "bash", "-c", ":").returncode == 0
    assert spawn("run", "--only", "BASH_ENV", "--", "bash", "-c", ":").returncode == 2
    assert not (workdir / "started").exists()
    assert spawn("run", "--only", "BASH_ENV", "--allow", "BASH_ENV", "--", "bash", "-c", ":").returncode == 0
    assert (workdir / "started").exists()


def test_stored_names_that_no_variable_can_have(workdir: Path, cli: Run) -> None:
    """Alone in the store they are told of with the way to set them, and nothing is started."""
    assert cli("init").code == 0
    assert cli("set", "team/key", stdin=b"canary").code == 0
    outcome = cli("run", "--", "true")
    assert outcome.code == 2
    assert "--secret VARIABLE=os.environ/team/key sets it" in outcome.err
    assert cli("run", "--only", "team/key", "--", "true").code == 2


def test_a_binary_secret_in_the_store_stops_no_command(dotenv: Path, cli: Run) -> None:
    """It is not read, unless it is asked for."""
    assert cli("init").code == 0
    assert cli("set", "BINARY", stdin=b"canary\0\xff").code == 0
    assert spawn("run", "--", "true").returncode == 0
    assert spawn("run", "--only", "BINARY", "--", "true").returncode == 8


def test_variables_that_init_names(dotenv: Path, workdir: Path, cli: Run) -> None:
    """Those of the .env file, but none that would need another word; of a file that is there already, it is said."""
    dotenv.write_text(ENV + "NODE_OPTIONS=--canary\n")
    assert cli("init", "--all").code == 0
    text = (workdir / "config.yaml").read_text()
    assert "  LOG_LEVEL: os.environ/LOG_LEVEL\n" in text
    assert "NODE_OPTIONS" not in text
    assert spawn("run", "--", "sh", "-c", 'test "$LOG_LEVEL" = debug && test -z "$NODE_OPTIONS"').returncode == 0
    dotenv.write_text(ENV + "STRIPE_TOKEN=canary-new\n")
    assert "run sets no STRIPE_TOKEN until environment_variables there names it" in cli("init").out
    assert (workdir / "config.yaml").read_text() == text


def test_store_without_its_key(dotenv: Path, key_file: Path, cli: Run) -> None:
    """A cloned repository: no new key is made that opens nothing; where to put the real one is said."""
    assert cli("init").code == 0
    key_file.unlink()
    outcome = cli("init")
    assert outcome.code == 2
    assert str(key_file) in outcome.err
    assert not key_file.exists()


def test_key_that_others_can_read(dotenv: Path, key_file: Path, cli: Run) -> None:
    """It is refused, with the command that mends it."""
    assert cli("init").code == 0
    key_file.chmod(0o644)
    outcome = cli("init")
    assert outcome.code == 2
    assert "chmod 600" in outcome.err


def test_key_in_the_environment(
    dotenv: Path, key_file: Path, workdir: Path, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With ASYNCSECRETS_KEY, as in CI, no key file is written and none is named."""
    from asyncsecrets.providers.local_keys import generate_key

    monkeypatch.setenv("ASYNCSECRETS_KEY", generate_key()[0])
    assert cli("init").code == 0
    assert not key_file.exists()
    assert "local_key_file" not in (workdir / "config.yaml").read_text()


def test_broken_dotenv(dotenv: Path, workdir: Path, cli: Run) -> None:
    """A line that is none is named by its number, never quoted. In a file that is named it stops everything."""
    dotenv.write_text("API_KEY=canary-api-key\ncanary canary\n")
    outcome = cli("init", "--env-file", ".env")
    assert outcome.code == 2
    assert "line 2" in outcome.err
    assert names(workdir) == [".env"]
    outcome = cli("init")
    assert outcome.code == 0
    assert "added   API_KEY" in outcome.out
    assert "asyncsecrets: warning: .env, line 2: not NAME=value" in outcome.err
    assert outcome.err.endswith("; the rest is used\n")
    assert "canary" not in outcome.out + outcome.err


def test_gitignore_keeps_what_it_has(dotenv: Path, workdir: Path, cli: Run) -> None:
    """Lines are added at the end, once."""
    (workdir / ".gitignore").write_text("/.env\n*.pyc")
    assert cli("init").code == 0
    assert (workdir / ".gitignore").read_text() == "/.env\n*.pyc\n.secrets.yaml.lock\n"


def test_without_the_extra(dotenv: Path, workdir: Path, cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The base installation says which extra is missing, and writes nothing."""
    monkeypatch.setitem(__import__("sys").modules, "pyrage", None)
    outcome = cli("init")
    assert outcome.code == 2
    assert 'pip install "asyncsecrets[local]"' in outcome.err
    assert names(workdir) == [".env"]


@pytest.mark.parametrize("step", ["local_key_files.create_file", "local.create_file"])
def test_a_place_that_cannot_be_written_to(cli: Run, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """A read-only disk is named, and is no bug."""

    def refuse(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(f"asyncsecrets.providers.{step}", refuse)
    outcome = cli("init")
    assert outcome.code == 2
    assert outcome.err.endswith("cannot be written: Read-only file system\n")


EXISTING = {
    "another section": ("model_list: []\n", "put into it:", "general_settings:\n"),
    "its general_settings": ("general_settings: {master_key: x}\n", "put into its general_settings:", ""),
    "another manager": (
        "general_settings: {key_management_system: env}\n",
        "put in the place of its key_management_...:",
        "",
    ),
}


@pytest.mark.parametrize("case", EXISTING)
def test_beside_a_configuration_that_is_there(case: str, workdir: Path, cli: Run) -> None:
    """What it says to add makes, with what is there, a file that works: no section stands in it twice."""
    existing, said, head = EXISTING[case]
    (workdir / "config.yaml").write_text(existing)
    (workdir / ".env").write_text("DB_PASSWORD=canary-value\n")
    outcome = cli("init")
    assert outcome.code == 0
    assert said in outcome.out
    assert outcome.out.endswith("next    change config.yaml as said above   then   asyncsecrets check\n")
    assert "unchanged; it is still what programs read" in outcome.out
    text = outcome.out.split(f"{said}\n")[1].split("added   .gitignore")[0]
    assert text.startswith(head + "  key_management_system: local")
    added = yaml.safe_load(text if head else f"general_settings:\n{text}")
    before = yaml.safe_load(existing)
    before["general_settings"] = {**before.get("general_settings", {}), **added["general_settings"]}
    (workdir / "config.yaml").write_text(yaml.safe_dump({**added, **before}))
    assert spawn("run", "--", "sh", "-c", 'test "$DB_PASSWORD" = canary-value').returncode == 0


def test_beside_a_store_of_somebody_else(workdir: Path, cli: Run) -> None:
    """A manifest of Kubernetes is called secrets.yaml as well: that is said before a key is made."""
    (workdir / "secrets.yaml").write_text("apiVersion: v1\nkind: Secret\n")
    outcome = cli("init")
    assert (outcome.code, outcome.out) == (2, "")
    assert "is no store of asyncsecrets: move it, or run init in another folder" in outcome.err
    assert not (Path.home() / ".config").exists()


def test_what_comes_next_names_the_configuration(cli: Run) -> None:
    """Where it is another than the one that is found."""
    assert "next    asyncsecrets set NAME --config my own.yaml" not in cli("init", "--config", "my own.yaml").out
    assert "--config 'my own.yaml'" in cli("init", "--config", "my own.yaml").out


def test_an_env_file_beside_another_manager(workdir: Path, cli: Run) -> None:
    """Programs read that manager: nothing is said of what they read from the .env."""
    (workdir / "config.yaml").write_text("general_settings: {key_management_system: hashicorp_vault}\n")
    (workdir / ".env").write_text("DB_PASSWORD=canary-value\n")
    outcome = cli("init")
    assert outcome.code == 0
    assert "kept    .env                         unchanged\n" in outcome.out
