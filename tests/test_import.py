"""What an import costs, and that every module says truly what it offers."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import asyncsecrets

HEAVY = {
    "aiohttp", "yarl", "yaml", "tenacity", "rich", "pyrage", "boto3", "botocore", "aioboto3", "aiobotocore", "azure",
    "google", "grpc", "hvac", "pydantic", "pytest", "hypothesis", "argparse", "json",
}  # fmt: skip

PROBE = """
import sys, threading, gc
before = set(sys.modules)
{statement}
import json
print(json.dumps({{
    "modules": sorted(set(sys.modules) - before),
    "threads": threading.active_count(),
}}))
"""


def probe(statement: str) -> dict[str, list[str]]:
    """What an import brings with it, in a fresh interpreter."""
    environ = {"PYTHONPATH": str(Path(asyncsecrets.__file__).parents[1])}
    command = [sys.executable, "-W", "error", "-c", PROBE.format(statement=statement)]
    result = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    assert result.stderr == ""
    loaded: dict[str, list[str]] = json.loads(result.stdout)
    return loaded


def test_importing_the_package_loads_next_to_nothing() -> None:
    """No HTTP client, parser, retry library or SDK, not even asyncio; no thread. Of ours, front door and errors."""
    loaded = probe("import asyncsecrets")
    assert {name.partition(".")[0] for name in loaded["modules"]} & ((HEAVY | {"asyncio"}) - {"json"}) == set()
    assert loaded["threads"] == 1
    assert [name for name in loaded["modules"] if name.startswith("asyncsecrets")] == [
        "asyncsecrets",
        "asyncsecrets.boundary",
        "asyncsecrets.default",
        "asyncsecrets.errors",
        "asyncsecrets.lazily",
    ]


@pytest.mark.parametrize(
    ("statement", "never"),
    [
        ("from asyncsecrets import SecretsClient", HEAVY - {"yaml", "json"}),
        ("from asyncsecrets import SingleFlightCache, CachePolicy", HEAVY - {"json"}),
        ("from asyncsecrets import Secret", HEAVY - {"json"}),
        ("import asyncsecrets.providers.memory", HEAVY - {"json"}),
        ("from asyncsecrets import errors", HEAVY - {"json"}),
    ],
)
def test_what_is_asked_for_brings_what_it_needs(statement: str, never: set[str]) -> None:
    """And starts no thread."""
    loaded = probe(statement)
    assert {name.partition(".")[0] for name in loaded["modules"]} & never == set()
    assert loaded["threads"] == 1


def _modules() -> list[str]:
    found = [info.name for info in pkgutil.walk_packages(asyncsecrets.__path__, "asyncsecrets.")]
    return ["asyncsecrets", *(name for name in found if not name.endswith("__main__"))]


def _load(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("asyncsecrets"):
            raise
        pytest.skip(f"needs {error.name}")


def _is_public(name: str) -> bool:
    return not any(part.startswith("_") for part in name.split("."))


@pytest.mark.parametrize("name", [name for name in _modules() if _is_public(name)])
def test_a_module_says_truly_what_it_offers(name: str) -> None:
    """It has a docstring; __all__ is sorted, and everything in it is there."""
    module = _load(name)
    assert module.__doc__, f"{name} has no docstring"
    offered = getattr(module, "__all__", None)
    if offered is None:
        return
    assert len(set(offered)) == len(offered)
    assert list(offered) == _in_order(offered)
    for public in offered:
        assert _offered(module, public) is not None, f"{name}.__all__ lists {public}, which is not there"


def _offered(module: ModuleType, public: str) -> object:
    """What ``module`` offers by this name, perhaps imported only now from what needs a package; or None."""
    try:
        return getattr(module, public, None)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("asyncsecrets"):
            raise
        pytest.skip(f"needs {error.name}")


def _in_order(names: list[str]) -> list[str]:
    """The order that RUF022 keeps: CONSTANTS, then Classes, then the rest."""

    def rank(name: str) -> tuple[int, str]:
        letters = name.lstrip("_")
        if letters.isupper() and len(letters) > 1:
            return 0, name
        return (1 if letters[:1].isupper() else 2), name

    return sorted(names, key=rank)


@pytest.mark.parametrize("name", [name for name in _modules() if _is_public(name)])
def test_every_public_name_says_what_it_is(name: str) -> None:
    """Classes and functions in __all__ have docstrings, and so have the public methods of what is at the front door."""
    module = _load(name)
    silent = []
    for public in getattr(module, "__all__", ()):
        found = _offered(module, public)
        if not (inspect.isclass(found) or inspect.isfunction(found)) or found.__module__ != name:
            continue
        if not inspect.getdoc(found):
            silent.append(public)
        if inspect.isclass(found) and (
            public in asyncsecrets.__all__ or name in {"asyncsecrets.errors", "asyncsecrets.client.status"}
        ):
            silent += [f"{public}.{member}" for member in _silent_members(found)]
    assert silent == []


def _silent_members(kind: type) -> list[str]:
    return [
        name
        for name, member in vars(kind).items()
        if not name.startswith("_")
        and (inspect.isfunction(member) or isinstance(member, property | classmethod | staticmethod))
        and not inspect.getdoc(member)
    ]


def test_the_front_door() -> None:
    """Every public name is to be had, is listed, and an unknown one is an AttributeError that names it."""
    assert asyncsecrets.__all__ == sorted(asyncsecrets.__all__)
    for name in asyncsecrets.__all__:
        assert getattr(asyncsecrets, name) is not None
        assert name in dir(asyncsecrets)
    with pytest.raises(AttributeError, match="canary"):
        _ = asyncsecrets.canary  # type: ignore[attr-defined]


def test_the_package_is_typed() -> None:
    """py.typed is where type checkers look for it."""
    assert (Path(asyncsecrets.__file__).parent / "py.typed").exists()


def test_an_old_python_is_told_as_that():
    """Where no installer has seen to it, the version is said to be wrong, not a name of the standard library."""
    code = "import sys; sys.version_info = (3, 10, 13); import asyncsecrets"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "ImportError: asyncsecrets needs Python 3.11 or newer" in done.stderr
