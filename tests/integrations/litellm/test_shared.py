"""What LiteLLM needs is there before it starts, or it does not start; and the environment stands in for none of it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from asyncsecrets.config import load_config
from asyncsecrets.errors import ConfigError, ResolveError
from asyncsecrets.integrations.litellm import shared as sharing
from asyncsecrets.integrations.litellm.files import find, load, needs_of, patience_of
from asyncsecrets.integrations.litellm.shared import Shared, shared

HOOK = """
general_settings:
  master_key: os.environ/MASTER
  database_url: os.environ/DATABASE
  key_management_system: custom
  key_management_settings: {custom_secret_manager: secret_manager.AsyncSecrets%s}
model_list:
  - {model_name: a, litellm_params: {model: openai/a, api_key: os.environ/CHAT, api_base: secret://default/NO}}
  - {model_name: b, litellm_params: {model: openai/b, api_key: os.environ/OTHER}}
asyncsecrets:
%s  sources:
    default:
      key_management_system: memory
      key_management_settings: {secrets: {%s}}
"""
ALL = "MASTER: canary-master, DATABASE: canary-url, CHAT: canary-chat, OTHER: canary-other"


@pytest.fixture
def write(tmp_path: Path):
    """Write a LiteLLM configuration."""

    def write(secrets: str = ALL, hosted: str = "", ours: str = "") -> Path:
        path = tmp_path / "config.yaml"
        path.write_text(HOOK % (f", hosted_keys: [{hosted}]" if hosted else "", ours, secrets))
        return path

    return write


@pytest.fixture
def start():
    """Start what the instances of a process share, with an environment of its own."""
    made: list[Shared] = []

    def start(path: Path, environ=None) -> Shared:
        made.append(Shared(load(path, {}), {} if environ is None else environ))
        made[-1].start()
        return made[-1]

    yield start
    for one in made:
        one.resident.close()


# what is needed


def test_what_litellm_needs_is_what_its_file_refers_to(write):
    """``general_settings`` and ``hosted_keys`` are required, the rest is used; LiteLLM knows no other references."""
    needs = needs_of(load(write(hosted="MASTER, EXTRA"), {}))
    assert needs.required == ("EXTRA", "MASTER", "DATABASE")
    assert needs.used == ("CHAT", "OTHER")
    assert needs.hosted == {"MASTER", "EXTRA"}


def test_names_of_included_files_are_needed_too(tmp_path: Path):
    """LiteLLM takes their models as its own."""
    (tmp_path / "more.yaml").write_text("model_list: [{litellm_params: {api_key: os.environ/MORE}}]\n")
    path = tmp_path / "config.yaml"
    path.write_text("include: [more.yaml]\nmodel_list: [{litellm_params: {api_key: os.environ/FIRST}}]\n")
    assert needs_of(load_config(path, {})).used == ("FIRST", "MORE")


def test_everything_is_warm_when_it_has_started(start, write):
    """The first request waits for nothing."""
    started = start(write())
    client = started.resident.client
    assert {name: client.peek(name).reveal() for name in ("MASTER", "DATABASE", "CHAT", "OTHER")} == {
        "MASTER": "canary-master",
        "DATABASE": "canary-url",
        "CHAT": "canary-chat",
        "OTHER": "canary-other",
    }


@pytest.mark.parametrize(
    ("secrets", "hosted", "missing"),
    [
        ("CHAT: canary-chat", "", {"MASTER", "DATABASE"}),
        (ALL, "MASTER, DATABASE, NOWHERE, ELSEWHERE", {"NOWHERE", "ELSEWHERE"}),
    ],
)
def test_litellm_does_not_start_without_what_is_required(start, write, secrets, hosted, missing):
    """One error lists every name, and nothing is left running."""
    with pytest.raises(ResolveError) as caught:
        start(write(secrets, hosted))
    assert set(caught.value.failures) == missing


def test_litellm_does_not_start_on_an_old_variable(start, write):
    """The environment does not stand in for a master key that the manager is said to have."""
    with pytest.raises(ResolveError) as caught:
        start(write("DATABASE: canary-url", "MASTER, DATABASE"), {"MASTER": "canary-stale"})
    assert set(caught.value.failures) == {"MASTER"}


def test_what_is_used_and_nowhere_is_told_once(start, write, caplog):
    """LiteLLM starts without it, as it does without a variable."""
    start(write("MASTER: canary-master, DATABASE: canary-url"))
    told = [record.getMessage() for record in caplog.records if "uses what is nowhere" in record.getMessage()]
    assert len(told) == 1
    assert told[0].endswith(": CHAT, OTHER")


def test_what_could_not_be_asked_for_keeps_litellm_from_starting(start, write, tmp_path):
    """Down is not absent: a model would go without its key until the next start."""
    path = write()
    text = path.read_text().replace("key_management_system: memory", "key_management_system: hashicorp_vault")
    settings = "{addr: 'http://127.0.0.1:1', token: canary-token}"
    path.write_text(
        text.replace(f"{{secrets: {{{ALL}}}}}", settings).replace("sources:", "retry: {attempts: 1}\n  sources:")
    )
    with pytest.raises(ResolveError) as caught:
        start(path)
    assert set(caught.value.failures) == {"MASTER", "DATABASE", "CHAT", "OTHER"}


def test_variables_of_hosted_names_are_taken_out_of_the_environment(start, write, caplog):
    """LiteLLM uses the environment when anything fails, so there must be nothing in it that is the manager's."""
    environ = {"MASTER": "canary-stale", "OTHER": "canary-own", "HOME": "/"}
    start(write(hosted="MASTER, DATABASE"), environ)
    assert environ == {"OTHER": "canary-own", "HOME": "/"}
    told = [record for record in caplog.records if "taken out" in record.getMessage()]
    assert [record.levelno for record in told] == [logging.WARNING]
    assert told[0].getMessage().endswith("MASTER")


def test_a_manager_that_is_only_written_to_leaves_the_environment_alone(start, write, monkeypatch):
    """Nothing is read from it, so every variable is what LiteLLM uses."""
    monkeypatch.setenv("MASTER", "canary-own")
    monkeypatch.setenv("DATABASE", "canary-url")
    path = write(hosted="MASTER")
    path.write_text(path.read_text().replace("hosted_keys:", "access_mode: write_only, hosted_keys:"))
    environ = {"MASTER": "canary-own"}
    assert start(path, environ).answers.read("MASTER") == "canary-own"
    assert environ == {"MASTER": "canary-own"}


def test_what_leads_to_the_manager_stays_in_the_environment(start, write):
    """A manager that reads its own token from a variable keeps that variable."""
    path = write(hosted="MASTER, DATABASE, VAULT_TOKEN", secrets=f"{ALL}, VAULT_TOKEN: canary-token")
    second = "    other: {key_management_system: hashicorp_vault, key_management_settings: {addr: 'https://v'}}\n"
    path.write_text(path.read_text() + second)
    environ = {"VAULT_TOKEN": "canary-token"}
    start(path, environ)
    assert environ == {"VAULT_TOKEN": "canary-token"}


# one for each process


def test_instances_of_one_process_share_a_client(write, monkeypatch):
    """LiteLLM makes two of them in a command's process."""
    path = write()
    monkeypatch.setattr(sharing, "_shared", {})
    first = shared(path)
    try:
        assert shared(str(path)) is first
        assert first.answers.read("MASTER") == "canary-master"
    finally:
        first.resident.close()


def test_one_that_did_not_start_is_tried_anew(write, monkeypatch):
    """LiteLLM's supervisor starts a worker again."""
    monkeypatch.setattr(sharing, "_shared", {})
    path = write("")
    with pytest.raises(ResolveError):
        shared(path)
    write()
    started = shared(path)
    assert started.answers.read("MASTER") == "canary-master"
    started.resident.close()


# the file


def test_the_file_is_the_one_that_litellm_reads(write, monkeypatch, tmp_path):
    """The hook is made without arguments, so LiteLLM's own variable says which file it is."""
    path = write()
    assert find(None, {"WORKER_CONFIG": str(path)}) == path
    assert find(None, {"CONFIG_FILE_PATH": str(path), "WORKER_CONFIG": "{}"}) == path
    proxy = type("proxy_server", (), {"user_config_file_path": str(path)})
    monkeypatch.setitem(__import__("sys").modules, "litellm.proxy.proxy_server", proxy)
    assert find(None, {}) == path
    assert find(None, {"ASYNCSECRETS_CONFIG": "other.yaml"}) == Path("other.yaml").absolute()
    assert find("named.yaml", {"ASYNCSECRETS_CONFIG": "other.yaml"}) == Path("named.yaml").absolute()


@pytest.mark.parametrize("environ", [{}, {"WORKER_CONFIG": '{"model": "x"}'}, {"CONFIG_FILE_PATH": "/nowhere.yaml"}])
def test_without_a_file_it_is_said_how_to_name_one(environ):
    """A configuration in a bucket is no file."""
    with pytest.raises(ConfigError, match="ASYNCSECRETS_CONFIG"):
        find(None, environ)


def test_a_file_that_does_not_say_whom_to_ask_is_told_how(tmp_path):
    """``custom`` is LiteLLM's way to us, and leads no further."""
    path = tmp_path / "config.yaml"
    path.write_text(
        "general_settings:\n  key_management_system: custom\n"
        "  key_management_settings: {custom_secret_manager: secret_manager.AsyncSecrets}\n"
    )
    with pytest.raises(ConfigError, match=r"sources:\n    default:"):
        load(path, {})


def test_patience_is_a_number_of_seconds(write):
    """None is taken unless it is asked for."""
    assert patience_of(load(write(), {})) == 0.0
    assert patience_of(load(write(ours="  litellm: {patience: 0.01}\n"), {})) == 0.01
    assert patience_of(load(write(ours="  litellm:\n"), {})) == 0.0


@pytest.mark.parametrize("litellm", ["{patience: long}", "{patient: 1}", "[1]", "{patience: -1}"])
def test_patience_that_is_none_is_refused(write, litellm):
    """A typo does not become the default."""
    with pytest.raises(ConfigError, match=r"asyncsecrets\.litellm"):
        patience_of(load(write(ours=f"  litellm: {litellm}\n"), {}))
