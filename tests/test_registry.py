"""The registry: which managers there are, how their classes are found, and what it says when one is not."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from types import ModuleType

import pytest

from asyncsecrets import registry
from asyncsecrets.errors import ConfigError, MissingDependencyError
from asyncsecrets.providers.environment import EnvironmentProvider
from asyncsecrets.registry import BUILT_IN, build, check, load
from asyncsecrets.settings import SYSTEMS

MANAGERS = [
    *("aws_kms", "aws_secret_manager", "azure_key_vault", "custom", "env", "google_kms", "google_secret_manager"),
    *("hashicorp_vault", "local", "memory"),
]


class Stand:
    """A provider class as somebody else would write one."""

    def __init__(self, settings: Mapping[str, object]) -> None:
        self.settings = settings

    @classmethod
    def from_settings(cls, settings: Mapping[str, object], environ: Mapping[str, str]) -> Stand:
        return cls({**settings, "home": environ.get("HOME_canary")})


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """An importable module ``their_secrets`` that holds the class Stand."""
    module = ModuleType("their_secrets")
    module.Stand = Stand  # type: ignore[attr-defined]
    module.thing = "not a class"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "their_secrets", module)
    return module


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    """The entry points that installed packages declare in our group; tests append to it."""
    points: list[EntryPoint] = []
    monkeypatch.setattr(registry, "entry_points", lambda **wanted: EntryPoints(points).select(**wanted))
    return points


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name=name, value=value, group=registry.ENTRY_POINTS)


def test_every_manager_is_listed_in_order_with_its_vocabulary():
    """One line per manager, sorted, and settings are known for each."""
    assert list(BUILT_IN) == MANAGERS
    assert set(SYSTEMS) == set(MANAGERS)


def test_the_environment_is_loaded_and_built():
    """A manager without an SDK is imported and made from its settings."""
    assert load("env") is EnvironmentProvider
    assert isinstance(build("env", {}, {"A": "canary"}), EnvironmentProvider)


@pytest.mark.parametrize("system", [system for system in MANAGERS if system != "custom"])
def test_every_class_that_is_listed_can_be_imported(system: str):
    """The table names real classes, and each knows the system that it is listed under."""
    pytest.importorskip("pyrage") if system == "local" else None
    provider = load(system)
    assert provider.system == system  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        *(("aws_secrets_manager", "aws_secret_manager"), ("hashicorp_vualt", "hashicorp_vault"), ("ENV", "env")),
        *(("azure_keyvault", "azure_key_vault"), ("google_secrets", "google_secret_manager"), ("locale", "local")),
    ],
)
def test_a_typo_is_answered_with_the_nearest_name(typo: str, meant: str):
    """The message suggests what was probably meant and lists what can be talked to."""
    with pytest.raises(ConfigError, match=f"'{typo}', did you mean '{meant}'") as caught:
        load(typo)
    listed = str(caught.value).partition("(known: ")[2].rstrip(")").split(", ")
    assert listed == MANAGERS


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("vault", "'azure_key_vault' or 'hashicorp_vault'"),
        ("aws", "'aws_kms' or 'aws_secret_manager'"),
        ("KMS", "'aws_kms' or 'google_kms'"),
    ],
)
def test_a_part_of_a_name_is_answered_with_the_whole(word: str, meant: str):
    """People call managers by what they are called elsewhere."""
    with pytest.raises(ConfigError, match=f"did you mean {re.escape(meant)}\\?"):
        check(word)


@pytest.mark.parametrize("system", ["", "x" * 10_000, "a\nb", "\ud800", "os", "asyncsecrets.providers.memory"])
def test_any_other_text_is_no_manager(system: str):
    """The message stays short and printable."""
    with pytest.raises(ConfigError, match="no secret manager is called") as caught:
        check(system)
    assert len(str(caught.value)) < 500
    assert str(caught.value).isprintable()


def test_a_missing_sdk_names_the_extra_and_the_command(monkeypatch: pytest.MonkeyPatch):
    """MissingDependencyError is an ImportError, says what to run, and carries no foreign exception."""
    monkeypatch.setitem(registry.BUILT_IN, "azure_key_vault", registry.Entry("no_such_sdk.aio:Client", "local"))  # type: ignore[arg-type]
    with pytest.raises(MissingDependencyError, match=r"'no_such_sdk'.*pip install \"asyncsecrets\[local\]\"") as caught:
        load("azure_key_vault")
    assert caught.value.extra == "local"
    assert isinstance(caught.value, ImportError)
    assert caught.value.__context__ is None


def test_a_missing_sdk_that_comes_in_two_ways(monkeypatch: pytest.MonkeyPatch):
    """Beside LiteLLM the extra of aioboto3 cannot be installed, so the other one is named too."""
    entry = registry.Entry("no_such_sdk:Client", "aws", "aws-aiobotocore")
    monkeypatch.setitem(registry.BUILT_IN, "aws_kms", entry)  # type: ignore[arg-type]
    with pytest.raises(MissingDependencyError, match=r"\[aws\]\", or beside LiteLLM \"asyncsecrets\[aws-aiobotocore\]"):
        load("aws_kms")


def test_a_missing_module_of_our_own_is_not_blamed_on_an_extra(monkeypatch: pytest.MonkeyPatch):
    """A broken installation shows itself as what it is."""
    entry = registry.Entry("asyncsecrets.providers.no_such_module:Client", "local")
    monkeypatch.setitem(registry.BUILT_IN, "azure_key_vault", entry)  # type: ignore[arg-type]
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        load("azure_key_vault")


@pytest.mark.parametrize("target", ["their_secrets.Stand", "their_secrets:Stand"])
def test_a_custom_class_is_found_by_its_name(module: ModuleType, target: str):
    """``custom_secret_manager`` names a class, which gets the settings as they were checked, and the environment."""
    provider = build("custom", {"custom_secret_manager": target, "shelf": "3"}, {"HOME_canary": "here"})
    assert isinstance(provider, Stand)
    assert provider.settings == {"custom_secret_manager": target, "shelf": "3", "home": "here"}


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        (None, "needs the setting custom_secret_manager"),
        ("", "needs the setting custom_secret_manager"),
        ("Stand", "names no class"),
        ("their_secrets.", "names no class"),
        ("../their_secrets.Stand", "names no class"),
        ("their_secrets.Stand()", "names no class"),
        ("their secrets.Stand", "names no class"),
        ("a\n.b", "names no class"),
        ("their_secrets.Missing", "not a class with a class method from_settings"),
        ("their_secrets.thing", "not a class with a class method from_settings"),
        ("builtins.dict", "not a class with a class method from_settings"),
        ("no_such_module_at_all.Stand", "no module named 'no_such_module_at_all'"),
    ],
)
def test_a_custom_class_that_cannot_be_used_is_a_config_error(module: ModuleType, target: str | None, problem: str):
    """What is wrong with the name or the class is said; nothing foreign is chained."""
    with pytest.raises(ConfigError, match=problem) as caught:
        load("custom", target)
    assert caught.value.__context__ is None


def test_an_entry_point_is_a_manager_like_any_other(module: ModuleType, installed: list[EntryPoint]):
    """A package's registered name is a key_management_system, is suggested for typos, and is loaded."""
    installed.append(point("team_store", "their_secrets:Stand"))
    check("team_store")
    assert load("team_store") is Stand
    with pytest.raises(ConfigError, match="did you mean 'team_store'"):
        check("team_stor")


def test_an_entry_point_cannot_take_over_a_built_in_name(module: ModuleType, installed: list[EntryPoint]):
    """Installing a package never changes who is asked for ``env``."""
    installed.append(point("env", "their_secrets:Stand"))
    assert load("env") is EnvironmentProvider


def test_two_packages_with_one_name_are_refused(installed: list[EntryPoint]):
    """Which of two would be asked must not depend on the order of installation; one that is listed twice is one."""
    installed += [point("team_store", "a:B"), point("team_store", "a:B")]
    check("team_store")
    installed.append(point("team_store", "c:D"))
    with pytest.raises(ConfigError, match="several installed packages"):
        check("team_store")


def test_looking_names_up_imports_no_provider_and_no_sdk():
    """Configuration can be checked without paying for, or having, any SDK."""
    code = """
import sys
from asyncsecrets import registry
registry.check("hashicorp_vault"); registry.check("local")
heavy = {"aiohttp", "tenacity", "pyrage", "yaml", "aiobotocore", "asyncsecrets.providers.environment"}
print(sorted(heavy & set(sys.modules)))
"""
    root = Path(registry.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "[]"
