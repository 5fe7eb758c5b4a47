"""moto in a thread of its own, once; a fresh strict proxy before it for each test."""

from __future__ import annotations

import os
from functools import cache
from importlib.util import find_spec

import pytest

from tests.providers.aws.proxy import AwsProxy

if find_spec("moto") is None or find_spec("aiobotocore") is None:
    collect_ignore_glob = ["test_*.py"]  # installed_test.py says so

ENVIRON = {
    "AWS_ACCESS_KEY_ID": "AKIACANARYcanary0001",
    "AWS_SECRET_ACCESS_KEY": "canary-secret-access-key",
    "AWS_REGION_NAME": "eu-central-1",
}


@pytest.fixture(scope="session")
def moto():
    """The address of the moto server."""
    from moto.kms import models
    from moto.server import ThreadedMotoServer

    models.generate_private_key = cache(models.generate_private_key)  # for all its keys; nobody signs
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(autouse=True)
def no_aws_of_this_machine(monkeypatch, tmp_path):
    """Nothing of the machine that runs the tests: no keys, no profiles, no metadata service."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


@pytest.fixture
async def aws(moto):
    """A proxy before an empty moto."""
    async with AwsProxy(moto) as proxy:
        await proxy.reset()
        yield proxy


@pytest.fixture
def environ(aws):
    """The environment of a program at that AWS."""
    return {**ENVIRON, "AWS_ENDPOINT_URL": aws.url}
