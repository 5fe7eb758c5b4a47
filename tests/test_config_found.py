"""A program that was given no configuration: the variable that names a file, or the file of the working directory."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asyncsecrets.config import Config, SourceConfig, load_config
from asyncsecrets.errors import ConfigError
from tests.configured import writer

write = pytest.fixture(writer)


def test_with_nothing_given_the_environment_is_asked(tmp_path: Path):
    """No file, no variable: one source, the environment."""
    assert Config.from_environment({}, tmp_path).sources == {"default": SourceConfig(name="default", system="env")}


def test_the_variable_names_the_file(write: Callable[..., Path], tmp_path: Path):
    """A relative path is relative to the working directory, and goes before a config.yaml there."""
    write("general_settings: {key_management_system: aws_kms}")
    write("general_settings: {key_management_system: google_kms}", "other.yaml")
    for path in ("other.yaml", str(tmp_path / "other.yaml")):
        loaded = Config.from_environment({"ASYNCSECRETS_CONFIG": path}, tmp_path)
        assert loaded.sources["default"].system == "google_kms"


@pytest.mark.parametrize("path", ["missing.yaml", ".", "a\x00b"])
def test_a_file_that_cannot_be_read_is_named(path: str, tmp_path: Path):
    """What the variable names must be there; the environment does not step in."""
    with pytest.raises(ConfigError, match="cannot be read") as caught:
        Config.from_environment({"ASYNCSECRETS_CONFIG": path}, tmp_path)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "text",
    [
        "general_settings: {key_management_system: aws_kms}",
        "asyncsecrets: {sources: {default: {key_management_system: aws_kms}}}",
    ],
)
def test_a_config_yaml_of_ours_in_the_working_directory_is_used(write: Callable[..., Path], text: str):
    """It is ours if it has a manager or our section, and it goes before the variable that names a manager."""
    folder = write(text).parent
    environ = {"ASYNCSECRETS_KEY_MANAGEMENT_SYSTEM": "google_kms", "ASYNCSECRETS_CONFIG": ""}
    assert Config.from_environment(environ, folder).sources["default"].system == "aws_kms"


@pytest.mark.parametrize(
    "text",
    [
        "model_list: []",
        "general_settings: {master_key: canary}",
        "password: !secret canary",
        "a: 1\na: 2",
        "x: &a {b: c}\ny: {<<: *a, d: 2001-01-01}",
        "{}",
    ],
)
def test_a_config_yaml_of_another_program_is_left_alone(write: Callable[..., Path], text: str):
    """What it has for others is theirs; the variable that names a manager holds all the same."""
    folder = write(text).parent
    assert Config.from_environment({}, folder).sources["default"].system == "env"
    environ = {"ASYNCSECRETS_KEY_MANAGEMENT_SYSTEM": "aws_kms"}
    assert Config.from_environment(environ, folder).sources["default"].system == "aws_kms"


@pytest.mark.parametrize(
    "text",
    [
        "- canary",
        "",
        "# general_settings: {key_management_system: local}",
        b"\xff\xfe",
        b"x" * 2_000_000,
        "a: 1\n---\nb: 2",
        "general_setings: {key_management_system: local}",
        "general_settings: {key_managment_system: local}",
        "general_settings: {key_management_settings: {hosted_keys: [A]}}",
        "general_settings: [key_management_system]",
        "general_settings:\nkey_management_system: local",
        "asyncsecret: {}",
        "asyncsecrets: [canary]",
        "include: canary",
        "include: [missing.yaml]",
        Path.mkdir,
        os.mkfifo,
        lambda path: path.symlink_to("missing.yaml"),
    ],
)
def test_a_file_that_is_found_is_checked_like_one_that_is_named(tmp_path: Path, text: Any):
    """Nothing that is wrong in it has the environment, or the manager that a variable names, answer instead."""
    path = tmp_path / "config.yaml"
    text(path) if callable(text) else path.write_bytes(text if isinstance(text, bytes) else text.encode())
    for environ in ({}, {"ASYNCSECRETS_KEY_MANAGEMENT_SYSTEM": "env"}):
        with pytest.raises(ConfigError, match=r"config\.yaml") as caught:
            Config.from_environment(environ, tmp_path)
        assert "canary" not in str(caught.value)
        assert "\n" not in str(caught.value)
        assert caught.value.__context__ is None
    if not path.is_fifo():
        with pytest.raises(ConfigError) as named:
            load_config(path, {})
        assert str(caught.value).startswith(str(named.value))


def test_a_config_yaml_of_ours_that_is_broken_is_an_error(write: Callable[..., Path]):
    """A mistake in the file never makes the environment answer instead of the manager."""
    folder = write("general_settings:\n  key_management_system: aws_kms\n key: 'canary").parent
    with pytest.raises(ConfigError, match=r"config\.yaml, line 3") as caught:
        Config.from_environment({}, folder)
    assert "canary" not in str(caught.value)


def test_the_variable_that_names_a_manager(tmp_path: Path):
    """Settings come from the environment only; a wrong name is an error that names the variable."""
    environ = {"ASYNCSECRETS_KEY_MANAGEMENT_SYSTEM": "hashicorp_vault", "HCP_VAULT_REFRESH_INTERVAL": "60"}
    source = Config.from_environment(environ, tmp_path).sources["default"]
    assert (source.system, source.settings, source.freshness.refresh_interval) == ("hashicorp_vault", {}, 60)
    with pytest.raises(ConfigError, match=r"ASYNCSECRETS_KEY_MANAGEMENT_SYSTEM: .*did you mean 'hashicorp_vault'"):
        Config.from_environment({"ASYNCSECRETS_KEY_MANAGEMENT_SYSTEM": "hashicorp_vaults"}, tmp_path)


@pytest.mark.parametrize("value", ["", " ", "\n"])
def test_variables_that_are_blank_are_unset(tmp_path: Path, value: str):
    """docker compose and Helm pass on as empty what is not set; blanks around what is set are none of it."""
    names = ["ASYNCSECRETS_CONFIG", "ASYNCSECRETS_KEY_MANAGEMENT_SYSTEM", "SECRET_MANAGER_REFRESH_INTERVAL"]
    blank = dict.fromkeys(names, value)
    assert Config.from_environment(blank, tmp_path).sources == {"default": SourceConfig(name="default", system="env")}
    named = {
        "ASYNCSECRETS_KEY_MANAGEMENT_SYSTEM": f"hashicorp_vault{value}",
        "HCP_VAULT_REFRESH_INTERVAL": f"60{value}",
    }
    source = Config.from_environment({**blank, **named}, tmp_path).sources["default"]
    assert (source.system, source.freshness.refresh_interval) == ("hashicorp_vault", 60)
