"""The fake of Google for each test, with TLS and tokens where they are asked for, and settings of a program at it."""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

if find_spec("grpc") is None or find_spec("google.auth") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(autouse=True)
def no_google_of_this_machine(monkeypatch, tmp_path):
    """Nothing of the machine that runs the tests: no login of gcloud's, no variables, no metadata server."""
    for name in [name for name in os.environ if name.startswith(("GOOGLE_", "GCE_", "GCLOUD_", "CLOUDSDK_"))]:
        monkeypatch.delenv(name)
    for name in ("http_proxy", "https_proxy", "grpc_proxy", "HTTP_PROXY", "HTTPS_PROXY", "SSLKEYLOGFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("asyncsecrets.providers.google.machine._PRODUCT", tmp_path / "product_name")


@pytest.fixture
async def google():
    """A running fake that asks nobody who he is."""
    from asyncsecrets.testing.google_server import GoogleServer

    async with GoogleServer() as server:
        yield server


@pytest.fixture
async def guarded():
    """A running fake with TLS, which accepts the tokens that it issues."""
    from asyncsecrets.testing.google_server import GoogleServer

    async with GoogleServer(tls=True, tokens=()) as server:
        yield server


def plain_key(server: Any) -> Any:
    """A key of KMS that marks its ciphertexts with nothing that a shell or a file would take for something else."""
    keys = (server.key(f"key{number}") for number in range(1000))
    return next(key for key in keys if not re.search(rb"""["'`\\$# ]""", key.mark(1)[3:]))


def settings_at(server: Any, credentials: Path | str | None = None) -> dict[str, str]:
    """The ``key_management_settings`` of a program at a fake, by a file of credentials or by none."""
    found = {"google_endpoint": server.endpoint, "attempt_timeout": "10"}
    if server.ca_file:
        found["google_ca_cert"] = server.ca_file
    else:
        found["google_endpoint"] = f"http://{server.endpoint}"
    if credentials is not None:
        return {**found, "google_application_credentials": str(credentials)}
    return found if server.tokens is not None else {**found, "auth_method": "none"}
