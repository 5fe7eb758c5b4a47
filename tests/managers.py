"""Every manager that can be written to, each behind its own wire: servers in threads, for tests of what is above them
all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from asyncsecrets.providers.local import init_store
from asyncsecrets.retry import RetryPolicy
from asyncsecrets.testing.kit import servers
from asyncsecrets.testing.threads import served_in_thread
from tests.providers.azure.conftest import known
from tests.providers.local_support import PUBLIC, SECRET

__all__ = ["MANAGERS", "PATIENT", "Place", "place"]

PATIENT = RetryPolicy(attempts=3, deadline=60.0, backoff=(0.001, 0.01))
"""For a machine that is busy."""


@dataclass(frozen=True)
class Place:
    """A running manager, and how a program finds it."""

    kind: str
    system: str
    settings: dict[str, Any]
    environ: dict[str, str] = field(default_factory=dict)
    server: Any = None

    @property
    def compares(self) -> bool:
        """Whether it has a compare-and-set."""
        return self.kind not in {"azure", "vault 1"}

    @property
    def keeps_deleted(self) -> bool:
        """Whether a deleted name is taken for a while."""
        return self.kind in {"aws", "azure"}

    def section(self, **more: Any) -> dict[str, Any]:
        """The part of a configuration that declares it."""
        settings = {"access_mode": "read_and_write", **self.settings, **more}
        return {"key_management_system": self.system, "key_management_settings": settings}


@contextmanager
def _vault(version: str) -> Iterator[Place]:
    with servers.vault() as server:
        server.call("update", "sys/mounts/kv", {"type": "kv", "options": {"version": version}})
        settings = {"addr": server.url, "token": server.root_token, "mount_name": "kv"}
        yield Place(f"vault {version}", "hashicorp_vault", settings, server=server)


@contextmanager
def _local(folder: Path) -> Iterator[Place]:
    init_store(folder / "secrets.yaml", PUBLIC)
    settings = {"local_file": str(folder / "secrets.yaml"), "local_key": SECRET}
    yield Place("local", "local", settings)


@contextmanager
def _aws() -> Iterator[Place]:
    from tests.providers.aws.conftest import ENVIRON
    from tests.providers.aws.proxy import AwsProxy

    with servers.aws() as moto, served_in_thread(AwsProxy(moto.url), "127.0.0.1") as server:
        environ = {**ENVIRON, "AWS_ENDPOINT_URL": server.url, "AWS_EC2_METADATA_DISABLED": "true"}
        yield Place("aws", "aws_secret_manager", {"attempt_timeout": "20"}, environ, server)


@contextmanager
def _google() -> Iterator[Place]:
    with servers.google() as server:
        settings = {
            "google_secret_manager_project_id": "example-project",
            "google_endpoint": f"http://{server.endpoint}",
            "auth_method": "none",
            "attempt_timeout": "20",
        }
        yield Place("google", "google_secret_manager", settings, server=server)


@contextmanager
def _azure() -> Iterator[Place]:
    with servers.azure() as server, known(server.addresses):
        settings = {"azure_ca_cert": server.ca_file, "attempt_timeout": "20"}
        yield Place("azure", "azure_key_vault", settings, server.environ(), server)


MANAGERS: dict[str, Callable[[Path], AbstractContextManager[Place]]] = {
    "vault 1": lambda _: _vault("1"),
    "vault 2": lambda _: _vault("2"),
    "aws": lambda _: _aws(),
    "google": lambda _: _google(),
    "azure": lambda _: _azure(),
    "local": _local,
}

_NEEDS = {"aws": ("moto", "aiobotocore"), "google": ("grpc", "google.auth"), "azure": ("azure.keyvault", "trustme")}


def _is_there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False


@pytest.fixture(scope="module", params=MANAGERS)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Each of them in turn, once for a module: tests take names that no other one has."""
    if not all(map(_is_there, _NEEDS.get(request.param, ()))):
        pytest.skip(f"the packages for {request.param} are not installed")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("AWS_", "AZURE_", "GOOGLE_", "VAULT_"))]:
            patch.delenv(name)
        with MANAGERS[request.param](tmp_path_factory.mktemp("place")) as found:
            yield found
