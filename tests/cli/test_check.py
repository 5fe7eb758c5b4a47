"""`check`: every reference, where it comes from, whether it can be read, and the remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from asyncsecrets.testing.vault_server import VaultServer
from tests.cli.conftest import VALUE, Run, vault_settings, write_config


def by_name(document: Any) -> dict[str, Any]:
    """The rows of a JSON report."""
    return {row["name"]: row for row in document["secrets"]}


def test_all_is_well(config: Path, cli: Run) -> None:
    """Exit code 0, one row, no value."""
    outcome = cli("check")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert lines[1].split()[:5] == ["ok", "DB_PASSWORD", "default", "(hashicorp_vault)", "1"]
    assert lines[1].endswith(" ms")
    assert VALUE not in outcome.out
    row = by_name(cli("check", "--json").json)["DB_PASSWORD"]
    assert row["places"] == ["general_settings.database_password"]
    assert (row["status"], row["version"], row["error"]) == ("ok", "1", None)
    assert row["milliseconds"] > 0


def test_each_kind_of_answer(workdir: Path, vault: VaultServer, cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found, absent, from the environment, not well-formed, no such field: each says so, and the gravest decides."""
    monkeypatch.setenv("LOG_TOKEN", "canary-environ")
    settings = vault_settings(vault)
    models = [{"key": "os.environ/DB_PASSWORD"}, {"key": "os.environ/MISSING"}, {"key": "os.environ/LOG_TOKEN"}]
    models.append({"key": "secret://default/DB_PASSWORD?field=nope"})
    write_config(workdir, {"general_settings": settings, "model_list": models, "odd": "secret://Nope!/x?y"})
    outcome = cli("check", "--json")
    document = outcome.json
    status = {row["reference"]: row["status"] for row in document["secrets"]}
    assert status == {
        "os.environ/DB_PASSWORD": "ok",
        "os.environ/MISSING": "not_found",
        "os.environ/LOG_TOKEN": "ok",
        "secret://default/DB_PASSWORD?field=nope": "bad_data",
        "secret://Nope!/x?y": "config",
    }
    assert by_name(document)["LOG_TOKEN"]["answered_by"] == "environment"
    assert by_name(document)["MISSING"]["places"] == ["model_list[1].key"]
    assert (outcome.code, document["exit_code"], document["ok"]) == (2, 2, False)
    text = cli("check").out
    assert "environment (absent at default)" in text
    assert "MISSING  MISSING  (model_list[1].key)" in text


def test_hosted_keys_are_checked(workdir: Path, vault: VaultServer, cli: Run) -> None:
    """A hosted key that nothing refers to is one that a program may ask for; one that is referred to is asked once."""
    settings = vault_settings(vault, hosted_keys=["DB_PASSWORD", "GONE"])
    write_config(workdir, {"general_settings": {"x": "os.environ/DB_PASSWORD", **settings}})
    outcome = cli("check", "--json")
    rows = by_name(outcome.json)
    assert rows["DB_PASSWORD"]["places"] == ["general_settings.x", "hosted_keys of source default"]
    assert rows["GONE"]["status"] == "not_found"
    assert outcome.code == 3
    assert vault.count("GET", "/v1/secret/data/DB_PASSWORD") == 1


def test_a_source_that_is_down_is_one_fault(workdir: Path, vault: VaultServer, cli: Run) -> None:
    """It is reported once, with the names behind it; another source is not held up by it."""
    document = {
        "general_settings": vault_settings(vault),
        "asyncsecrets": {"sources": {"team": vault_settings(vault, addr="http://127.0.0.1:9", token="s.x")}},
        "keys": ["os.environ/DB_PASSWORD", "secret://team/A", "secret://team/B", "secret://team/C"],
    }
    write_config(workdir, document)
    outcome = cli("check")
    assert outcome.code == 5
    assert outcome.out.count("DOWN  A, B, C  (source team)\n") == 1
    assert outcome.out.count("no connection to 127.0.0.1:9") == 1
    assert "ok    DB_PASSWORD" in outcome.out
    faults = cli("check", "--json").json["faults"]
    assert [(fault["source"], fault["class"], fault["names"]) for fault in faults] == [
        ("team", "UnavailableError", ["A", "B", "C"])
    ]


def test_a_source_that_cannot_be_opened_is_one_fault(workdir: Path, vault: VaultServer, cli: Run) -> None:
    """A wrong setting of one source does not hide how the others are."""
    broken = {"key_management_system": "hashicorp_vault", "key_management_settings": {"addr": "not an address"}}
    document = {
        "general_settings": vault_settings(vault),
        "asyncsecrets": {"sources": {"team": broken}},
        "keys": ["os.environ/DB_PASSWORD", "secret://team/A"],
    }
    write_config(workdir, document)
    outcome = cli("check", "--json")
    rows = by_name(outcome.json)
    assert (rows["DB_PASSWORD"]["status"], rows["A"]["status"], outcome.code) == ("ok", "config", 2)


def test_denied(workdir: Path, vault: VaultServer, cli: Run) -> None:
    """A token without the policy: exit code 4, the path in the message, no token."""
    token = vault.create_token("default")
    document = {"general_settings": {"x": "os.environ/DB_PASSWORD", **vault_settings(vault, token=token)}}
    write_config(workdir, {**document, "litellm_settings": {}})
    outcome = cli("check")
    assert outcome.code == 4
    assert "DENIED" in outcome.out
    assert "hosted_keys" not in cli("check", "--json").json
    assert "secret/data/DB_PASSWORD" in outcome.out
    assert token not in outcome.out


def test_names_of_ones_own(config: Path, cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names can be given; with --source they are asked of that source alone."""
    monkeypatch.setenv("ONLY_HERE", "canary")
    assert cli("check", "ONLY_HERE").code == 0
    assert cli("check", "ONLY_HERE", "--source", "default").code == 3


def test_nothing_to_check(workdir: Path, cli: Run) -> None:
    """No configuration, or one without a reference, is said, and is no success."""
    assert "asyncsecrets init" in cli("check").err
    write_config(workdir, {"general_settings": {"key_management_system": "env"}})
    outcome = cli("check")
    assert outcome.code == 2
    assert "refers to no secret" in outcome.err


def test_bootstrap_settings_are_not_asked_of_the_manager(
    workdir: Path, vault: VaultServer, cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What leads to a manager is no secret of the manager."""
    monkeypatch.setenv("MY_TOKEN", vault.root_token)
    settings = vault_settings(vault, token="os.environ/MY_TOKEN")
    write_config(workdir, {"general_settings": {"x": "os.environ/DB_PASSWORD", **settings}})
    rows = cli("check", "--json", "--config", "config.yaml").json["secrets"]  # named: it may have any variable
    assert [row["name"] for row in rows] == ["DB_PASSWORD"]


def test_a_manager_that_is_not_configured_is_no_source_without_a_name(workdir: Path, cli: Run) -> None:
    """Nothing is said of the source where it could not be made."""
    write_config(
        workdir,
        {"general_settings": {"key_management_system": "hashicorp_vault"}, "a": "os.environ/A", "b": "os.environ/B"},
    )
    outcome = cli("check")
    assert outcome.code == 2
    assert "\nCONFIG  A, B\n  no Vault address: set " in outcome.out
