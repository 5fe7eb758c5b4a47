"""The AWS command line client as an independent reader and writer: what one writes, the other reads."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from asyncsecrets.providers.aws import AwsKmsProvider, AwsSecretsManagerProvider

pytestmark = pytest.mark.skipif(
    find_spec("awscli") is None, reason="the AWS command line client is not installed (pip install awscli)"
)

CLIENT = """
import contextlib, io, json, os, sys
from awscli.clidriver import create_clidriver
driver = create_clidriver()
for line in sys.stdin:
    arguments, environ = json.loads(line)
    os.environ.update(environ)
    with contextlib.redirect_stdout(io.StringIO()) as output, contextlib.redirect_stderr(io.StringIO()) as errors:
        code = driver.main(["--output", "json", *arguments])
    print(json.dumps([code, output.getvalue(), errors.getvalue()]), flush=True)
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    """The AWS command line client, started once: a line is a command and the environment that it has."""
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path_factory.mktemp("home")),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_DEFAULT_REGION": "eu-central-1",
    }
    with subprocess.Popen([sys.executable, "-c", CLIENT], env=environ, stdin=-1, stdout=-1, text=True) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def command(client, environ, tmp_path):
    """Run a command of the AWS command line client at that AWS; values travel in files, not in arguments."""
    variables = {**environ}

    def ask(arguments):
        client.stdin.write(json.dumps([arguments, variables]) + "\n")
        client.stdin.flush()
        return json.loads(client.stdout.readline())

    async def run(*arguments, **files):
        for option, data in files.items():
            file = tmp_path / option
            file.write_bytes(data)
            scheme = "fileb" if option in {"secret_binary", "plaintext", "ciphertext_blob"} else "file"
            arguments += (f"--{option.replace('_', '-')}", f"{scheme}://{file}")
        code, output, errors = await asyncio.to_thread(ask, arguments)
        assert code == 0, errors[-500:].replace("canary", "…")
        return json.loads(output) if output.strip() else {}

    return run


@pytest.fixture
async def provider(environ):
    provider = AwsSecretsManagerProvider.from_settings({"attempt_timeout": "15", "recovery_window_days": "9"}, environ)
    await provider.open()
    yield provider
    await provider.aclose()


async def test_command_writes(aws, command, provider):
    """What the AWS command line client creates, updates and deletes is what we read."""
    value = '  canary "quoted" ümläut\n'
    await command("secretsmanager", "create-secret", "--name", "cli/text", secret_string=value.encode())
    assert (await provider.get("cli/text")).equals(value)
    updated = await command("secretsmanager", "put-secret-value", "--secret-id", "cli/text", secret_string=b"canary 2")
    secret = await provider.get("cli/text")
    assert secret.equals("canary 2")
    assert secret.version == updated["VersionId"]
    assert (await provider.get("cli/text", "AWSPREVIOUS")).equals(value)
    await command("secretsmanager", "create-secret", "--name", "cli/bin", secret_binary=b"canary \x00\xff")
    assert (await provider.get("cli/bin")).equals(b"canary \x00\xff")
    assert await provider.list("cli/") == ["cli/bin", "cli/text"]


async def test_command_reads(aws, command, provider):
    """What we write, the AWS command line client reads, with our versions; either restores what the other deleted."""
    first = await provider.put("our/text", "canary one\n")
    second = await provider.put("our/text", "canary two\n")
    read = await command("secretsmanager", "get-secret-value", "--secret-id", "our/text")
    assert (read["SecretString"], read["VersionId"]) == ("canary two\n", second.version)
    listed = await command(
        "secretsmanager", "list-secret-version-ids", "--secret-id", "our/text", "--include-deprecated"
    )
    assert {each["VersionId"] for each in listed["Versions"]} == {first.version, second.version}
    await provider.delete("our/text")
    described = await command("secretsmanager", "describe-secret", "--secret-id", "our/text")
    assert described["DeletedDate"]
    await command("secretsmanager", "restore-secret", "--secret-id", "our/text")
    assert (await provider.get("our/text")).equals("canary two\n")
    await command("secretsmanager", "delete-secret", "--secret-id", "our/text")
    await provider.restore("our/text")
    third = await provider.put("our/text", "canary three\n", cas=second.version)
    read = await command("secretsmanager", "get-secret-value", "--secret-id", "our/text")
    assert (read["SecretString"], read["VersionId"]) == ("canary three\n", third.version)
    await provider.destroy("our/text")
    assert (await command("secretsmanager", "list-secrets", "--include-planned-deletion"))["SecretList"] == []


async def test_command_encrypts(aws, command, environ):
    """What the AWS command line client encrypts we decrypt, and the other way round."""
    key = (await command("kms", "create-key"))["KeyMetadata"]["KeyId"]
    context = {"app": "web"}
    settings = {"kms_key_id": key, "encryption_context": context, "attempt_timeout": "15"}
    kms = AwsKmsProvider.from_settings(settings, environ)
    await kms.open()
    try:
        how = ("--key-id", key, "--encryption-context", "app=web")
        environ["A"] = (await command("kms", "encrypt", *how, plaintext=b"canary a\n"))["CiphertextBlob"]
        assert (await kms.get("A")).equals("canary a\n")
        import base64

        blob = base64.b64decode(await kms.encrypt("canary b"))
        answer = await command("kms", "decrypt", *how, ciphertext_blob=blob)
        assert base64.b64decode(answer["Plaintext"]) == b"canary b"
    finally:
        await kms.aclose()
