"""What is said besides: what a name may have meant, which fault is behind many names, that the output is lost."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from asyncsecrets.testing.vault_server import VaultServer
from tests.cli.conftest import Run, spawn, vault_settings, write_config


def lists(vault: VaultServer) -> int:
    """How often the server was asked for names."""
    return vault.count(prefix="/v1/secret/metadata")


def test_a_name_that_the_source_has(config: Path, vault: VaultServer, cli: Run) -> None:
    """A typo in a name that no configuration uses is known by asking the source for its names."""
    vault.write_secret("team/api_key", {"key": "canary"})
    outcome = cli("get", "team/api_kye")
    assert (outcome.code, outcome.err.count("did you mean 'team/api_key'?")) == (3, 1)
    assert lists(vault) == 1
    assert "did you mean 'team/api_key'?" in cli("get", "secret://default/team/apikey").err
    assert "did you mean" not in cli("get", "team/something-else").err
    assert (
        "did you mean 'team/api_key'?"
        in cli("get", "api_kye", "--source", "default", "--json").json["error"]["message"]
    )


def test_a_name_that_the_configuration_uses(config: Path, vault: VaultServer, cli: Run) -> None:
    """It is known without asking anybody."""
    for typo in ("DB_PASWORD", "db_password", "db-password"):
        assert "did you mean 'DB_PASSWORD'?" in cli("get", typo).err
    assert lists(vault) == 0


def test_a_name_that_is_there_needs_no_list(config: Path, vault: VaultServer, cli: Run) -> None:
    """Neither does one that was deleted: it is no typo."""
    assert cli("get", "DB_PASSWORD").code == 0
    vault.delete_secret("DB_PASSWORD")
    assert cli("get", "DB_PASSWORD").code == 3
    assert cli("check").code == 3
    assert lists(vault) == 0


def test_who_may_not_list_gets_no_hint(workdir: Path, vault: VaultServer, cli: Run) -> None:
    """And the error that it is absent, all the same."""
    vault.faults.status(403, "permission denied", prefix="/v1/secret/metadata")
    write_config(workdir, {"general_settings": vault_settings(vault)})
    outcome = cli("get", "DB_PASSWORDS", "--source", "default")
    assert (outcome.code, "did you mean" in outcome.err) == (3, False)


def test_check_asks_once_for_all_that_are_absent(workdir: Path, vault: VaultServer, cli: Run) -> None:
    """However many names are."""
    vault.write_secret("API_KEY", {"key": "canary"})
    document = {"general_settings": vault_settings(vault), "keys": ["os.environ/DB_PASWORD", "os.environ/API_KYE"]}
    write_config(workdir, document)
    outcome = cli("check")
    assert outcome.code == 3
    for name in ("DB_PASSWORD", "API_KEY"):
        assert f"did you mean '{name}'?" in outcome.out
    assert lists(vault) == 1


@pytest.mark.parametrize("status", [503, 429])
def test_one_fault_of_a_source_is_told_once(status: int, workdir: Path, vault: VaultServer, cli: Run) -> None:
    """However it is put for each name."""
    keys = ["os.environ/A", "os.environ/B", "secret://default/C?field=x", "secret://default/folder/D?version=2"]
    write_config(workdir, {"general_settings": vault_settings(vault), "keys": keys})
    vault.faults.status(status, "x", headers={"Retry-After": "0"}, prefix="/v1/secret/")
    outcome = cli("check")
    assert outcome.code == 5
    assert outcome.out.count("\nDOWN  A, B, C, folder/D  (source default)\n") == 1
    assert [fault["names"] for fault in cli("check", "--json").json["faults"]] == [["A", "B", "C", "folder/D"]]


def test_one_setting_that_is_wrong_is_told_once(workdir: Path, vault: VaultServer, cli: Run) -> None:
    """And so is one policy, with the path of all; what is missing is told one by one, with its place."""
    keys = ["os.environ/AA", "os.environ/folder/BB"]
    write_config(workdir, {"general_settings": vault_settings(vault, mount_name="nowhere"), "keys": keys})
    outcome = cli("check")
    assert (outcome.code, outcome.out.count("\nCONFIG  AA, folder/BB  (source default)\n")) == (2, 1)
    assert "'nowhere/data/NAME'" in outcome.out
    token = vault.create_token("default")
    write_config(workdir, {"general_settings": vault_settings(vault, token=token), "keys": keys})
    outcome = cli("check")
    assert (outcome.code, outcome.out.count("\nDENIED  AA, folder/BB  (source default)\n")) == (4, 1)
    assert "secret/data/NAME" in outcome.out
    write_config(workdir, {"general_settings": vault_settings(vault), "keys": keys})
    outcome = cli("check")
    assert outcome.code == 3
    assert "\nMISSING  AA  (keys[0])\n" in outcome.out
    assert "\nMISSING  folder/BB  (keys[1])\n" in outcome.out


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("argv", [["list"], ["get", "DB_PASSWORD"], ["list", "--json"]])
def test_a_full_disk_is_no_bug(argv: list[str], config: Path) -> None:
    """Exit code 9, one line on stderr, and no complaint of the interpreter."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "asyncsecrets", *argv], stdout=full, stderr=subprocess.PIPE, check=False, timeout=30
        )
    assert done.returncode == 9
    message = done.stderr.decode()
    if "--json" in argv:
        assert json.loads(message)["error"]["family"] == "output"
    else:
        assert message == f"asyncsecrets: the output could not be written: {os.strerror(28)}\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_errors_that_cannot_be_told_keep_their_exit_code(config: Path) -> None:
    """Nobody hears them, and the code still says what it was."""
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "asyncsecrets", "get", "NEVER_THERE"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=full, check=False, timeout=30)
    assert (done.returncode, done.stdout) == (3, b"")


def test_init_without_a_file_recommends_what_can_be_done(workdir: Path, cli: Run) -> None:
    """Nothing is used yet, so there is nothing to check."""
    outcome = cli("init")
    assert outcome.out.splitlines()[-1].startswith("next    asyncsecrets set NAME")
    assert cli("set", "NAME", stdin=b"canary").code == 0
    done = spawn("run", "--secret", "NAME", "--", "sh", "-c", "echo ${#NAME}")
    assert (done.returncode, done.stdout) == (0, b"6\n")
    (workdir / ".env").write_text("API_KEY=canary-0123456789\n")
    (workdir / "config.yaml").unlink()
    assert cli("init").out.splitlines()[-1].startswith("next    asyncsecrets check")


def test_a_missing_key_says_where_it_is_looked_for(workdir: Path, cli: Run) -> None:
    """The file that init makes, by its path."""
    assert cli("init").code == 0
    assert cli("set", "NAME", stdin=b"canary").code == 0
    key = Path(os.environ["HOME"]) / ".config" / "asyncsecrets" / "key.txt"
    key.unlink()
    outcome = cli("get", "NAME")
    assert (outcome.code, str(key) in outcome.err) == (4, True)


def test_a_name_outside_hosted_keys(workdir: Path, vault: VaultServer, cli: Run) -> None:
    """Whoever asks for it is told why the manager was not asked, and how to have it asked."""
    write_config(workdir, {"general_settings": vault_settings(vault, hosted_keys=["DB_PASSWORD"])})
    vault.write_secret("NEW_ONE", {"key": "canary"})
    how = f"add NEW_ONE to hosted_keys in {workdir / 'config.yaml'}, or ask it by name: --source default"
    for command, code in ((["get", "NEW_ONE"], 3), (["get", "NEW_ONE", "--version", "1"], 7)):
        outcome = cli(*command)
        assert outcome.code == code
        assert how in outcome.err
    assert how in cli("check", "NEW_ONE").out
    assert cli("get", "NEW_ONE", "--source", "default").out == "canary"


def test_the_remedy_for_a_missing_secret(workdir: Path, vault: VaultServer, cli: Run) -> None:
    """`check` says the command that sets what is missing, for each kind of place; `get` where no name is like it."""
    sources = {
        "team": vault_settings(vault),
        "locked": vault_settings(vault, access_mode="read_only"),
        "one": vault_settings(vault, primary_secret_name="all"),
        "here": {"key_management_system": "env"},
    }
    vault.write_secret("all", {"OTHER": "canary"})
    names = [f"secret://{source}/MISSING_{number}" for number, source in enumerate(sources)]
    document = {"general_settings": vault_settings(vault), "asyncsecrets": {"sources": sources}}
    write_config(workdir, {**document, "keys": ["os.environ/GONE", *names]})
    rows = {row["name"]: row["error"]["message"] for row in cli("check", "--json").json["secrets"]}
    assert rows["GONE"].endswith("; set it: asyncsecrets set GONE")
    assert rows["MISSING_0"].endswith("; set it: asyncsecrets set MISSING_0 --source team")
    assert "access_mode: read_and_write" in rows["MISSING_1"]
    assert rows["MISSING_1"].endswith("asyncsecrets set MISSING_1 --source locked")
    assert rows["MISSING_2"].endswith("; set it: asyncsecrets patch all --source one")
    assert rows["MISSING_3"].endswith("; set it in the environment or in .env")
    assert "set it: asyncsecrets set ELSE --config config.yaml" in cli("get", "ELSE", "--config", "config.yaml").err
    assert "asyncsecrets versions says" in cli("get", "DB_PASSWORD", "--version", "9").err


def test_the_remedy_beside_a_name_that_is_there(config: Path, cli: Run) -> None:
    """A typo and a name that was never stored look the same: `check` says both ways out."""
    error = cli("check", "DB_PASSWRD").out
    assert "did you mean 'DB_PASSWORD'? Else set it: asyncsecrets set DB_PASSWRD" in error


def test_run_says_where_to_look_for_what_is_missing(config: Path, vault: VaultServer, cli: Run) -> None:
    """The command that tells what to do about it; not where the server is down, which is all there is to say."""
    outcome = cli("run", "--secret", "GONE", "--config", "config.yaml", "--", "true")
    assert outcome.code == 3
    command = shlex.split(outcome.err.partition("what to do: ")[2])
    assert command == ["asyncsecrets", "check", "--config", "config.yaml", "GONE"]
    assert "set it: asyncsecrets set GONE" in cli(*command[1:]).out
    vault.faults.status(503, "x", prefix="/v1/secret/")
    assert "what to do" not in cli("run", "--", "true").err


def test_a_login_that_failed_is_told_without_the_name_that_met_it(config: Path, cli: Run) -> None:
    """The token is wrong for all of them."""
    document = json.loads(config.read_text())
    document["general_settings"]["key_management_settings"]["token"] = "s.wrong"
    config.write_text(json.dumps({**document, "other": "os.environ/OTHER"}))
    outcome = cli("check")
    assert (outcome.code, "DENIED  DB_PASSWORD, OTHER  (source default)" in outcome.out) == (4, True)
    assert "wanted for" not in outcome.out


def test_another_source_for_what_names_none(workdir: Path, vault: VaultServer, cli: Run) -> None:
    """--source is never ignored: check, run and resolve ask it for every name that says no source."""
    sources = {"new": vault_settings(vault), "here": {"key_management_system": "env"}}
    keys = ["os.environ/DB_PASSWORD", "secret://here/LOCAL"]
    write_config(workdir, {"general_settings": vault_settings(vault), "asyncsecrets": {"sources": sources}, "k": keys})
    rows = cli("check", "--source", "new", "--json").json["secrets"]
    assert [(row["reference"], row["source"]) for row in rows] == [
        ("secret://new/DB_PASSWORD", "new"),
        ("secret://here/LOCAL", "environment"),
    ]
    asked = cli("run", "--source", "here", "--secret", "DB_PASSWORD", "--", "true")
    assert (asked.code, "'DB_PASSWORD' is not set" in asked.err) == (3, True)
    asked = cli("run", "--source", "here", "--", "true")
    assert (asked.code, "'DB_PASSWORD' is not set" in asked.err) == (3, True)
    (workdir / "app.yaml").write_text("a: os.environ/DB_PASSWORD\n")
    assert cli("resolve", "app.yaml", "--source", "here").code == 3
    assert cli("resolve", "app.yaml", "--source", "new").code == 0


@pytest.mark.parametrize("path", ["secret/data/team/db", "secret/team/db"])
def test_a_path_with_the_mount_in_it(path: str, config: Path, vault: VaultServer, cli: Run) -> None:
    """As the API and the CLI of Vault write it: the mount is a setting."""
    vault.write_secret("team/db", {"key": "canary-value"})
    outcome = cli("get", path)
    assert outcome.code == 3
    assert outcome.err.endswith("; leave the mount out, it is a setting (mount_name): team/db\n")
    assert cli("get", "team/db").code == 0


def test_a_name_in_the_place_of_a_source(config: Path, cli: Run) -> None:
    """`secret://team/db` names a source; the way to write a name of the default one is said."""
    error = cli("get", "secret://team/db").err
    assert "there is no source 'team' (configured: default, environment); a name of the default source" in error
    assert error.endswith("secret:///NAME\n")
