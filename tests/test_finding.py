"""A configuration that nobody named: looked for here and above, up to the repository's folder, and said."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from asyncsecrets import SecretsClient
from asyncsecrets.config import Config
from asyncsecrets.documents import references
from asyncsecrets.errors import ConfigError

KMS = "general_settings: {key_management_system: aws_kms}"
LITELLM = "model_list: [{api_key: os.environ/A}]"


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    """A folder in a repository in a folder: the innermost first."""
    inner = tmp_path / "repository" / "service" / "src"
    inner.mkdir(parents=True)
    (tmp_path / "repository" / ".git").mkdir()
    return [inner, *inner.parents[:3]]


def system(cwd: Path, environ: dict[str, str] | None = None) -> str:
    return Config.from_environment(environ or {}, cwd).sources["default"].system


@pytest.mark.parametrize("where", [0, 1, 2])
def test_here_and_above(folders: list[Path], where: int, caplog: pytest.LogCaptureFixture):
    """Up to the folder of the repository, that included; and operators are told which one it is."""
    (folders[where] / "config.yaml").write_text(KMS)
    caplog.set_level(logging.DEBUG, "asyncsecrets")
    loaded = Config.from_environment({}, folders[0])
    assert loaded.sources["default"].system == "aws_kms"
    assert loaded.origin == str(folders[where] / "config.yaml")
    assert [(record.name, record.levelname, record.getMessage()) for record in caplog.records] == [
        ("asyncsecrets.config", "INFO", f"the configuration is {loaded.origin}, which was found")
    ]
    assert SecretsClient(loaded).explain("A").configuration == loaded.origin


def test_not_beyond_the_repository(folders: list[Path]):
    """What is above it is another matter; where there is none, so is all that is above."""
    (folders[3] / "config.yaml").write_text(KMS)
    assert system(folders[0]) == "env"
    (folders[2] / ".git").rmdir()
    assert system(folders[0]) == "env"
    assert system(folders[2]) == "env"
    (folders[3] / ".git").write_text("gitdir: /elsewhere")  # a worktree has a file there
    assert system(folders[0]) == "aws_kms"


def test_the_nearest_one(folders: list[Path]):
    """It is the first that names a manager; one that is another program's does not hide it, and is used if alone."""
    (folders[0] / "config.yaml").write_text(LITELLM)
    (folders[1] / "config.yaml").write_text(KMS)
    (folders[2] / "config.yaml").write_text("general_settings: {key_management_system: local}")
    assert system(folders[0]) == "aws_kms"
    assert system(folders[2]) == "local"
    (folders[1] / "config.yaml").unlink()
    (folders[2] / "config.yaml").unlink()
    loaded = Config.from_environment({}, folders[0])
    assert loaded.origin == str(folders[0] / "config.yaml")
    assert [text for _, text in references(loaded.document.reveal())] == ["os.environ/A"]
    assert system(folders[0], {"ASYNCSECRETS_KEY_MANAGEMENT_SYSTEM": "google_kms"}) == "google_kms"


@pytest.mark.parametrize("where", [0, 1, 2])
def test_each_one_is_checked(folders: list[Path], where: int):
    """A mistake in any of them that is looked at is one, wherever the next one is."""
    (folders[0] / "config.yaml").write_text(LITELLM)
    (folders[2] / "config.yaml").write_text(KMS)
    (folders[where] / "config.yaml").write_text("general_setting: {key_management_system: local}")
    with pytest.raises(ConfigError, match="did you mean 'general_settings'"):
        system(folders[0])


@pytest.mark.parametrize(
    "text", [KMS, "[canary]", "general_setting: {}", "include: [a]", "environment_variables: {A: b}"]
)
def test_each_one_is_judged(folders: list[Path], text: str):
    """By who could have written it or its folder, if it has anything for us; else it is passed over."""
    path = folders[1] / "config.yaml"
    path.write_text(text)
    for place in (path, folders[1]):
        mode = place.stat().st_mode
        place.chmod(0o777)
        with pytest.raises(ConfigError, match=r"config\.yaml: nobody named this file, and others can write it"):
            system(folders[0])
        place.chmod(mode)
    path.chmod(0o666)
    path.write_text(LITELLM)
    assert Config.from_environment({}, folders[0]).origin == ""


def test_a_link_to_the_folder(folders: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The working directory is where it really is."""
    (folders[2] / "config.yaml").write_text(KMS)
    (tmp_path / "link").symlink_to(folders[0])
    monkeypatch.chdir(tmp_path / "link")
    assert system(Path.cwd()) == "aws_kms"
    assert os.environ.get("ASYNCSECRETS_CONFIG") is None
