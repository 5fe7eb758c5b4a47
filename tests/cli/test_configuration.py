"""Which configuration a command obeys, and what it says of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .conftest import Run, spawn

MEMORY = (
    "general_settings:\n  key_management_system: memory\n"
    "  key_management_settings: {secrets: {A: canary-a, PROD_B: canary-b}, hosted_keys: [A, PROD_B]}\n"
)


def test_check_says_which_one(workdir: Path, cli: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that was found above is named; the names of it are checked."""
    (workdir / ".git").mkdir()
    (workdir / "config.yaml").write_text(MEMORY)
    (workdir / "sub").mkdir()
    monkeypatch.chdir(workdir / "sub")
    outcome = cli("check")
    assert outcome.code == 0
    assert outcome.err == f"asyncsecrets: the configuration is {workdir / 'config.yaml'}\n"
    assert "default (memory)" in outcome.out
    assert cli("check", "--json").json["configuration"] == str(workdir / "config.yaml")
    assert cli("check", "--config", "../config.yaml").err == ""
    assert cli("get", "A").out == "canary-a"


@pytest.mark.shows_values("run gives the command values")
def test_included_files_and_variables(workdir: Path, cli: Run) -> None:
    """The names of an included file are checked and run with, and so are those that the file gives another name."""
    (workdir / "config.yaml").write_text(
        "include: [secrets.yaml]\n"
        "environment_variables: {B: os.environ/PROD_B, HOST: redis.internal}\n"
        "cache: {password: os.environ/B, host: os.environ/HOST}\n"
    )
    (workdir / "secrets.yaml").write_text(MEMORY)
    outcome = cli("check")
    assert outcome.code == 0
    for name in ("A", "B", "PROD_B", "HOST"):
        assert f" {name} " in outcome.out
    done = spawn("run", "--", "env")
    assert done.returncode == 0
    lines = done.stdout.decode().splitlines()
    assert {"A=canary-a", "B=canary-b", "HOST=redis.internal"} <= set(lines)


def test_warnings_are_told(workdir: Path, cli: Run) -> None:
    """What a program would have in its log is on stderr, once; nothing of it is in the way of JSON."""
    (workdir / "config.yaml").write_text(MEMORY.replace("hosted_keys:", "kms_key_id: canary, hosted_keys:"))
    (workdir / ".env").write_text("BARE\nC=canary-c\n")
    for _ in range(2):
        outcome = cli("check", "A", "C")
        assert outcome.code == 0
        place, key = workdir / "config.yaml", "general_settings.key_management_settings.kms_key_id"
        first, second, third = outcome.err.splitlines()
        assert first == f"asyncsecrets: warning: {place}: {key} has no effect on memory"
        assert second.startswith("asyncsecrets: warning: .env, line 1: a name without a value; ")
        assert third == f"asyncsecrets: the configuration is {place}"
    assert cli("check", "A", "C", "--json").json["ok"]


def test_the_rest_of_a_file_is_other_programs(workdir: Path, cli: Run) -> None:
    """Merge keys, duplicate keys and tags there stand in nobody's way."""
    (workdir / "config.yaml").write_text(
        MEMORY + "x: &x {api_key: os.environ/A}\n"
        "model_list:\n- {model_name: !!str 4, litellm_params: {<<: *x, model: m, model: n}}\n"
    )
    for command in (["check"], ["get", "A"], ["run", "--", "true"]):
        assert spawn(*command).returncode == 0, command


@pytest.mark.parametrize("odd", ["folder", "pipe", "empty", "typo"])
def test_a_file_that_is_wrong_is_no_reason_to_ask_the_environment(workdir: Path, odd: str) -> None:
    """Each command says so and ends."""
    path = workdir / "config.yaml"
    make = {"folder": path.mkdir, "pipe": lambda: os.mkfifo(path), "empty": path.touch}
    make.get(odd, lambda: path.write_text("general_setting: {key_management_system: local}"))()
    for command in (["check", "A"], ["get", "A"], ["run", "--secret", "A", "--", "true"]):
        done = spawn(*command, env={"A": "canary-stale"})
        assert done.returncode == 2, command
        assert b"config.yaml" in done.stderr
        assert b"canary" not in done.stdout + done.stderr


@pytest.mark.parametrize("named", [False, True])
def test_init_beside_a_folder(workdir: Path, cli: Run, named: bool) -> None:
    """A folder called .env (Docker makes one) is told of; one that is named is an error."""
    (workdir / ".env").mkdir()
    outcome = cli("init", *(["--env-file", ".env"] if named else []))
    assert outcome.code == (2 if named else 0)
    assert ".env" in outcome.err
