"""Which versions are the lowest that are declared."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from asyncsecrets.registry import BUILT_IN
from tests.lowest import lowest

ROOT = Path(__file__).parents[1]

PROJECT = """
[project]
name = "asyncsecrets"
dependencies = ["aiohttp>=3.14.2", "pyyaml>=6.0"]
[project.optional-dependencies]
aws = ["some-sdk[crt]>=15"]
other-aws = ["its-core>=3"]
all = ["asyncsecrets[aws]"]
[dependency-groups]
test = ["pytest>=8"]
"""


def test_lowest():
    """Of what is installed with us, these extras included; of the test tools it is no promise."""
    assert lowest(PROJECT, ["aws"]) == ["aiohttp==3.14.2", "pyyaml==6.0", "some-sdk==15"]


def test_an_extra_that_is_not_there():
    """An extra that was renamed is not left out in silence."""
    with pytest.raises(SystemExit, match="no such extra: awz"):
        lowest(PROJECT, ["aws", "awz"])


@pytest.mark.parametrize("loose", ["pyyaml", "pyyaml<7", "pyyaml>=6,<7", "pyyaml~=6.0"])
def test_a_bound_that_is_not_one(loose):
    """Each dependency declares the lowest version that works, and nothing else."""
    with pytest.raises(SystemExit, match="pyyaml"):
        lowest(PROJECT.replace("pyyaml>=6.0", loose), ["aws"])


def test_as_make_runs_it():
    """The line of the Makefile works from the project's root, with the extras that it names."""
    [line] = re.findall(r"bin/python (-m tests\.lowest .*) >", (ROOT / "Makefile").read_text(encoding="utf-8"))
    done = subprocess.run([sys.executable, *line.split()], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "aioboto3==15.0" in done.stdout.splitlines()


IMPORTED_AS = {
    "azure-identity": "azure.identity",
    "azure-keyvault-secrets": "azure.keyvault.secrets",
    "google-cloud-kms": "google.cloud.kms_v1",
    "google-cloud-secret-manager": "google.cloud.secretmanager_v1",
    "google-crc32c": "google_crc32c",
    "grpcio": "grpc",
}


def test_extras_are_for_what_is_there():
    """Every package that an extra brings is imported by something of ours; what a message names is an extra."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    source = "\n".join(path.read_text() for path in (ROOT / "asyncsecrets").rglob("*.py"))
    brought = {re.split(r"[\[>]", line)[0] for lines in extras.values() for line in lines} - {"asyncsecrets"}
    assert len(brought) >= 6
    modules = {IMPORTED_AS.get(name, name) for name in brought}
    assert sorted(name for name in modules if not re.search(rf'(import |from |["\']){re.escape(name)}\b', source)) == []
    assert set(re.findall(r"asyncsecrets\[([a-z,-]+)\]", source)) <= extras.keys()
    assert {entry.extra for entry in BUILT_IN.values() if entry.extra} <= extras.keys()
