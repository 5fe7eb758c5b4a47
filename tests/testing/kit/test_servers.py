"""The servers that answer as the managers do, as fixtures, each asked by a program that finds it in its environment."""

from __future__ import annotations

import asyncio
import sys

import pytest

from asyncsecrets import SecretsClient, errors
from asyncsecrets.testing.kit import servers


def config(system, **settings):
    return {"general_settings": {"key_management_system": system, "key_management_settings": settings}}


def read(name, document, environ, **options):
    async def main():
        async with SecretsClient.from_config(document, environ=environ, **options) as client:
            return (await client.get(name)).reveal()

    return asyncio.run(main())


def test_vault(vault_server, session_vault_server):
    """One of the test, and one of the session."""
    for server in (vault_server, session_vault_server):
        server.write_secret("DB", {"key": "canary-vault"})
        environ = {"VAULT_ADDR": server.url, "VAULT_TOKEN": server.root_token}
        assert read("DB", config("hashicorp_vault"), environ) == "canary-vault"
    assert vault_server is not session_vault_server


def test_aws(aws_server):
    """moto, empty for each test."""
    pytest.importorskip("aiobotocore", reason="needs the extra aws")

    async def main():
        document = config("aws_secret_manager", access_mode="read_and_write")
        async with SecretsClient.from_config(document, environ=aws_server.environ()) as client:
            with pytest.raises(errors.SecretNotFoundError):
                await client.get("DB")
            await client.put("DB", "canary-aws")
            assert (await client.refresh("DB")).equals("canary-aws")

    asyncio.run(main())
    aws_server.clear()
    with pytest.raises(errors.SecretNotFoundError):
        read("DB", config("aws_secret_manager"), aws_server.environ())
    assert "AwsServer http://127.0.0.1" in repr(aws_server)


def test_google(google_server):
    """Over gRPC."""
    google_server.add("DB", "canary-google")
    assert google_server.value("DB") == b"canary-google"


def test_azure(azure_server):
    """Under Azure's names."""
    azure_server.add("DB", "canary-azure")
    assert azure_server.value("DB") == "canary-azure"


@pytest.mark.parametrize(
    ("start", "module", "install"),
    [
        (servers.google, "grpc", r"asyncsecrets\[google\]"),
        (servers.azure, "azure.keyvault.secrets", r"asyncsecrets\[azure\]"),
        (servers.aws, "moto.server", r"asyncsecrets\[testing-aws\]"),
    ],
)
def test_what_is_missing_is_named(monkeypatch, start, module, install):
    """With what to install."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(errors.MissingDependencyError, match=install), start():
        pass
