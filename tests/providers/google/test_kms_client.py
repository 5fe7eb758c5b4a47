"""Google KMS below a client and the command: the documented configuration, what is decrypted once, what status says."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

pytest.importorskip("grpc")

from asyncsecrets import SecretsClient
from asyncsecrets.errors import AccessDeniedError, DecodeError, IntegrityError, ResolveError, SecretNotFoundError
from asyncsecrets.providers.google import GoogleSettings
from asyncsecrets.retry import RetryPolicy
from asyncsecrets.testing.google_server import GoogleServer
from tests.providers.google.conftest import plain_key, settings_at

SEED = Path(__file__).parents[2] / "data" / "seed-configs" / "08-google-kms.yaml"
NAME = "PROXY_DATABASE_URL_ENCRYPTED"
VALUE = "postgresql://canary:canary@db/litellm"
ONCE = RetryPolicy(attempts=1, deadline=20.0)


@pytest.fixture
async def server():
    """A fake that accepts the tokens of a service account."""
    async with GoogleServer(tokens=()) as running:
        plain_key(running)
        yield running


@pytest.fixture
def key(server):
    """The key of that server."""
    return plain_key(server)


@pytest.fixture
def environ(server, key, google_is_there):
    """The documented environment."""
    return {
        "GOOGLE_APPLICATION_CREDENTIALS": str(server.identity.service_account_file()),
        "GOOGLE_KMS_RESOURCE_NAME": key.name,
        NAME: repr(server.encrypt(VALUE.encode(), key)),
    }


def ciphertext(server, without):
    """One of VALUE that has none of these bytes in it."""
    made = (server.encrypt(VALUE.encode(), plain_key(server)) for _ in range(10_000))
    return next(blob for blob in made if not any(part in blob for part in without))


@pytest.fixture
def google_is_there(server, monkeypatch):
    """Where Google is, which no documented setting says."""
    made = GoogleSettings.from_mapping

    def at_the_fake(_, system, settings, environ):
        return made(system, {**settings_at(server), **settings}, environ)

    monkeypatch.setattr(GoogleSettings, "from_mapping", classmethod(at_the_fake))


def client_of(environ, document=SEED, **options):
    # Every entry's first renewal is late in its interval, so that calls can be counted.
    return SecretsClient.from_config(document, environ=environ, retry=ONCE, jitter=lambda: 0.9, **options)


def config(**settings):
    return {"general_settings": {"key_management_system": "google_kms", "key_management_settings": settings}}


@pytest.mark.parametrize(
    "spell",
    [repr, lambda blob: "b" + repr(blob)[2:-1], lambda blob: base64.b64encode(blob).decode()],
    ids=["literal", "literal through a shell", "base64"],
)
async def test_seed(server, environ, spell):
    """The documented file and environment: decrypted, and once."""
    environ[NAME] = spell(ciphertext(server, [b"'"]))
    async with client_of(environ) as secrets:
        document = await secrets.resolve(yaml.safe_load(SEED.read_text()))
        assert document["general_settings"]["database_url"] == VALUE
        assert document["general_settings"]["master_key"] == "sk-1234"
        for _ in range(5):
            assert (await secrets.get(f"os.environ/{NAME}")).equals(VALUE)
    assert [record.method for record in server.requests] == ["Decrypt"]
    assert server.requests[0].principal.startswith("app@")


async def test_seed_by_command(server, environ, command):
    """The same, from the command line."""
    environ[NAME] = base64.b64encode(ciphertext(server, [b"'"])).decode()
    assert await command(environ, "--config", SEED, "get", NAME) == (0, VALUE)
    code, text = await command(environ, "--config", SEED, "resolve", SEED, "--reveal")
    assert (code, yaml.safe_load(text)["general_settings"]["database_url"]) == (0, VALUE)


async def test_what_is_no_ciphertext_is_no_value(environ):
    """Without hosted_keys every variable that is asked for is taken to be encrypted; one that is not set is absent."""
    environ["PLAIN"] = "canary in clear"
    async with client_of(environ) as secrets:
        with pytest.raises(DecodeError, match="hosted_keys"):
            await secrets.get("PLAIN")
        with pytest.raises(SecretNotFoundError):
            await secrets.get("NOT_SET")
    async with client_of(environ, config(hosted_keys=[NAME])) as secrets:
        assert (await secrets.get("PLAIN")).equals("canary in clear")
        assert (await secrets.get(NAME)).equals(VALUE)


async def test_of_a_file(server, environ, tmp_path):
    """A ciphertext that only the .env file of the configuration has, as it is documented."""
    environ.pop(NAME)
    (tmp_path / "app.env").write_text(f"{NAME}={ciphertext(server, [b' #', b'${'])!r}\n")
    document = {"asyncsecrets": {"env_file": str(tmp_path / "app.env")}, **config()}
    async with client_of(environ, document) as secrets:
        assert (await secrets.get(f"os.environ/{NAME}")).equals(VALUE)


@pytest.mark.parametrize("damage", ["payload", "checksum"])
async def test_a_flipped_bit_is_never_a_value(server, environ, damage):
    """Not for the first reader, not in a document; and what was read before stays what it was."""
    async with client_of(environ) as secrets:
        server.faults.corrupt(damage)
        with pytest.raises(IntegrityError):
            await secrets.get(NAME)
        with pytest.raises((IntegrityError, ResolveError)):
            await secrets.resolve({"a": f"os.environ/{NAME}"})
        server.faults.clear()
        assert (await secrets.get(NAME)).equals(VALUE)
        server.faults.corrupt(damage)
        with pytest.raises(IntegrityError):
            await secrets.refresh(NAME)
        assert (await secrets.get(NAME)).equals(VALUE)


async def test_status_tells_of_answers_without_a_checksum(server, environ):
    """They are served; whoever looks is told how many."""
    async with client_of(environ) as secrets:
        assert secrets.status()[0].remarks == ()
        server.faults.corrupt("no_checksum")
        assert (await secrets.get(NAME)).equals(VALUE)
        (status,) = [status for status in secrets.status() if status.system == "google_kms"]
        assert status.remarks == ("answers without a checksum, which were served unchecked: 1",)
        assert status.state == "fresh"


async def test_a_key_out_of_use_is_not_absent(key, environ):
    """The ciphertext does not stand in for the value, and a value that was read lives on for its time."""
    async with client_of(environ) as secrets:
        key.disable()
        with pytest.raises(AccessDeniedError):
            await secrets.get(NAME)
        key.enable()
        assert (await secrets.get(NAME)).equals(VALUE)
        key.disable()
        with pytest.raises(AccessDeniedError):
            await secrets.refresh(NAME)
        assert (await secrets.get(NAME)).equals(VALUE)


async def test_encrypt(server, environ):
    """What a client encrypts, it reads; bound to the data of its settings."""
    async with client_of(environ, config(additional_authenticated_data="checkout")) as secrets:
        environ["MINE"] = await secrets.encrypt(VALUE)
        assert (await secrets.get("MINE")).equals(VALUE)
        with pytest.raises(IntegrityError, match="additional_authenticated_data"):
            await secrets.get(NAME)
    assert server.count("Encrypt") == 1


SCRIPT = r"""
set -e
export PROXY_DATABASE_URL_ENCRYPTED=%(literal)s
"$PYTHON" -m asyncsecrets get PROXY_DATABASE_URL_ENCRYPTED
eval "$(printf %%s ' canary of the command ' | "$PYTHON" -m asyncsecrets encrypt MINE --export)"
"$PYTHON" -m asyncsecrets get MINE
printf %%s 'canary of a file' | "$PYTHON" -m asyncsecrets encrypt THEIRS > .env
"$PYTHON" -m asyncsecrets run --secret THEIRS -- sh -c 'printf %%s "$THEIRS"'
"""


def test_command(tmp_path):
    """In a shell: what is documented is read, and what the command encrypts goes into a shell and a file."""
    with GoogleServer.in_thread(tokens=()) as server:
        settings = {**settings_at(server), "attempt_timeout": "20"}
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(config(**settings)))
        environ = {
            "PATH": os.environ["PATH"],
            "PYTHON": sys.executable,
            "GOOGLE_APPLICATION_CREDENTIALS": str(server.identity.service_account_file()),
            "GOOGLE_KMS_RESOURCE_NAME": plain_key(server).name,
            "PYTHONWARNINGS": "error",
        }
        done = subprocess.run(
            ["sh", "-c", SCRIPT % {"literal": repr(ciphertext(server, [b"'"]))}],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=environ,
        )
    assert (done.stdout, done.returncode) == (f"{VALUE} canary of the command canary of a file", 0), done.stderr
    assert "canary" not in done.stderr
