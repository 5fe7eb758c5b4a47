"""Files that credentials are in, as other programs leave them."""

from __future__ import annotations

import os
import re
from importlib.util import find_spec

import pytest

from asyncsecrets import SecretsClient
from asyncsecrets.errors import AsyncSecretsError, ConfigError
from asyncsecrets.providers.credential_files import read_credential_file
from asyncsecrets.retry import RetryPolicy
from asyncsecrets.settings import FILES, SENT_FILES, SYSTEMS


@pytest.mark.parametrize(
    "content", [b"canary", b"canary\n", b"canary\r\n", b"\xef\xbb\xbfcanary\r\n", b" \tcanary \n\n", b"\ncanary\r"]
)
def test_what_is_around_it(tmp_path, content):
    """Blanks, line breaks and a byte order mark are none of it."""
    (tmp_path / "token").write_bytes(content)
    assert read_credential_file(str(tmp_path / "token"), "token_file") == "canary"


def test_what_is_inside_is_left(tmp_path):
    """What to do about it is for whoever knows what it should be."""
    (tmp_path / "token").write_bytes(b'{"token":\n"canary"}\n')
    assert read_credential_file(str(tmp_path / "token"), "token_file") == '{"token":\n"canary"}'


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b" \n\xef\xbb\xbf", "not ASCII"),
        (b"\xef\xbb\xbf\n", "is empty"),
        (b"c\xe4nary", "not ASCII"),
        ("canary".encode("utf-16"), "not ASCII"),
        (b"canary" * 20_000, "longer than"),
        (b"canary" * 200_000, "no file that"),
        ("pipe", "no file that"),
        ("folder", "no file that"),
        ("missing", "cannot be read"),
    ],
)
def test_what_is_none(tmp_path, content, says):
    """It is said, with the file and without what is in it; a pipe is not waited for."""
    path = tmp_path / "token"
    if content == "pipe":
        os.mkfifo(path)
    elif content == "folder":
        path.mkdir()
    elif content != "missing":
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"^token_file 'x' .*{says}") as caught:
        read_credential_file(str(path), "token_file 'x'")
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None


def test_quotation_marks_around_its_path():
    """As ``docker --env-file`` passes them on."""
    with pytest.raises(ConfigError, match="leave them out"):
        read_credential_file('"/etc/key.json"', "token_file")


NEEDED = {
    "approle_secret_id_file": {"approle_role_id": "x"},
    "azure_ca_cert": {"azure_tenant_id": "t", "azure_client_id": "c", "azure_client_secret": "canary"},
    "aws_web_identity_token": {"aws_role_name": "arn:aws:iam::123456789012:role/some"},
    "ca_path": {"token": "canary"},
    "ca_cert": {"token": "canary"},
    "client_cert": {"client_key": "canary-a-key-that-is-in-the-setting-0a1b2c"},
    "client_key": {"client_cert": "/nowhere.pem"},
    "jwt_file": {"jwt_role": "x"},
    "kubernetes_token_file": {"kubernetes_role": "x"},
    "local_key_file": {"local_file": "/nowhere.yaml"},
}
ABOUT = {
    "hashicorp_vault": {"addr": "https://127.0.0.1:1"},
    "aws_secret_manager": {"aws_region_name": "eu-central-1"},
    "azure_key_vault": {"azure_key_vault_uri": "https://a.vault.azure.net"},
    "google_secret_manager": {"google_secret_manager_project_id": "a"},
    "local": {},
}
SDKS = {
    "aws_secret_manager": "botocore",
    "azure_key_vault": "azure",
    "google_secret_manager": "grpc",
    "local": "pyrage",
}
LATER = {"local_file", "azure_client_certificate_path", "azure_federated_token_file"}
"""What is no credential, and what is read when a vault has asked for a token (tests/providers/azure)."""


@pytest.mark.parametrize(
    "setting", sorted((FILES | SENT_FILES) & {key for words in SYSTEMS.values() for key in words} - LATER)
)
async def test_a_setting_that_holds_what_belongs_into_the_file(setting, caplog):
    """Whoever has pasted the credential itself where its path was to be does not read it in an error, nor in a log."""
    system = next(system for system in ABOUT if setting in SYSTEMS[system])
    if system in SDKS and find_spec(SDKS[system]) is None:
        pytest.skip("its SDK is not installed")
    pasted = '{"private_key": "-----BEGIN PRIVATE KEY-----\\ncanary"}'
    settings = {**ABOUT[system], **NEEDED.get(setting, {}), setting: pasted}
    document = {"general_settings": {"key_management_system": system, "key_management_settings": settings}}
    with pytest.raises(AsyncSecretsError, match=re.escape("(not shown, as it does not look like a path")) as caught:
        async with SecretsClient.from_config(document, environ={}, retry=RetryPolicy(attempts=1)) as client:
            await client.get("A")
    assert "canary" not in str(caught.value)
    assert "canary" not in caplog.text
