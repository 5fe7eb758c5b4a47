"""The documented ciphertext, b'\\n$\\x00…', as real shells and readers of .env files deliver it."""

from __future__ import annotations

import io
import os
import re
import shlex
import shutil
import subprocess

import pytest
from dotenv import dotenv_values

pytest.importorskip("grpc")

from asyncsecrets.errors import DecodeError, IntegrityError
from asyncsecrets.providers.dotenv import parse_dotenv
from asyncsecrets.providers.google import GoogleKmsProvider, GoogleSettings
from asyncsecrets.testing.google_server import GoogleServer
from tests.providers.google.conftest import plain_key

PLAINTEXT = "postgresql://canary:canary@db:5432/litellm\n"
SHELLS = [shell for shell in ("sh", "dash", "bash", "zsh", "busybox") if shutil.which(shell)]
MORE = [shell for shell in SHELLS if shell in {"bash", "zsh"}]  # those that have $'…'


CHANGED = re.compile(rb'["`\\]|\$[A-Za-z0-9_({*@#?!$-]')  # by a shell, inside "…"


@pytest.fixture
async def kms():
    """An opened provider, whose fake can be asked for ciphertexts."""
    async with GoogleServer() as server:
        key = plain_key(server)
        settings = GoogleSettings(
            environ={}, auth_method="none", endpoint=f"http://{server.endpoint}", kms_key=key.name
        )
        provider = GoogleKmsProvider(settings)
        provider.server = server
        await provider.open()
        yield provider
        await provider.aclose()


def literal(kms, fits=lambda _: True):
    """The literal of a ciphertext of PLAINTEXT that ``fits`` says yes to."""
    request = kms.server._kms.types.EncryptRequest.pb()(name=kms.settings.kms_key, plaintext=PLAINTEXT.encode())
    made = (bytes(kms.server._kms.encrypt(request).ciphertext) for _ in range(100_000))
    text = repr(next(ciphertext for ciphertext in made if fits(ciphertext)))
    assert text[2:].startswith("\\n$\\x00")
    return text


def through(shell, assignment):
    """What a program finds in NAME after ``export NAME=…`` in that shell."""
    command = [shell, *(["sh"] if shell == "busybox" else []), "-c", f"export {assignment}\nenv -0"]
    done = subprocess.run(command, capture_output=True, check=True, env={"PATH": os.environ["PATH"]})
    variables = dict(entry.split(b"=", 1) for entry in done.stdout.split(b"\0") if entry)
    return os.fsdecode(variables[b"NAME"])


async def read(kms, text):
    """What is read where the environment has that text."""
    kms.settings.variables()["NAME"] = text
    return await kms.get("NAME")


@pytest.mark.parametrize("shell", SHELLS)
async def test_as_documented(kms, shell):
    """export NAME=b'…': the shell takes the quotes away, and touches nothing in between."""
    text = literal(kms, lambda ciphertext: b"'" not in ciphertext and CHANGED.search(ciphertext[3:]))
    delivered = through(shell, f"NAME={text}")
    assert delivered == f"b{text[2:-1]}"
    assert (await read(kms, delivered)).equals(PLAINTEXT)


@pytest.mark.parametrize("shell", SHELLS)
async def test_in_double_quotes(kms, shell):
    """export NAME="b'…'", and the literal that Python itself writes with double quotes."""
    text = literal(kms, lambda ciphertext: not CHANGED.search(ciphertext) and b"'" not in ciphertext)
    assert (await read(kms, through(shell, f'NAME="{text}"'))).equals(PLAINTEXT)
    text = literal(kms, lambda ciphertext: not CHANGED.search(ciphertext) and b"'" in ciphertext)
    assert text[1] == '"'
    assert (await read(kms, through(shell, f"NAME={text}"))).equals(PLAINTEXT)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("what", [rb"\\", rb"\$[A-Za-z]"])
async def test_in_double_quotes_with_what_a_shell_changes(kms, shell, what):
    r"""A doubled backslash becomes one, $NAME is replaced: an error, never a value."""
    text = literal(kms, lambda ciphertext: re.search(what, ciphertext) and not re.search(rb"[\"'`]|\$[({]", ciphertext))
    delivered = through(shell, f'NAME="{text}"')
    assert delivered != text
    with pytest.raises((DecodeError, IntegrityError)):
        await read(kms, delivered)


@pytest.mark.parametrize("shell", SHELLS)
async def test_quoted_by_a_program(kms, shell):
    """As shlex, or the command's --export, writes it; and base64."""
    text = literal(kms)
    assert (await read(kms, through(shell, f"NAME={shlex.quote(text)}"))).equals(PLAINTEXT)
    encrypted = await kms.encrypt(PLAINTEXT)
    for assignment in (f"NAME={encrypted}", f"NAME='{encrypted}'", f'NAME="{encrypted}"'):
        assert (await read(kms, through(shell, assignment))).equals(PLAINTEXT)


@pytest.mark.parametrize("shell", MORE)
async def test_in_ansi_quotes(kms, shell):
    r"""$'…' carries the escapes out, and ends at \x00. With its backslashes doubled it arrives."""
    text = literal(kms, lambda ciphertext: b"'" not in ciphertext)
    doubled = text.replace("\\", "\\\\").replace("'", "\\'")
    assert (await read(kms, through(shell, f"NAME=$'{doubled}'"))).equals(PLAINTEXT)
    for written in (f"$'{text[2:-1]}'", f"b$'{text[2:-1]}'", "$'b\\'" + text[2:-1] + "\\''"):
        delivered = through(shell, f"NAME={written}")
        with pytest.raises(DecodeError, match=r"'NAME' cannot be decrypted: .*\$'…' of a shell"):
            await read(kms, delivered)


@pytest.mark.parametrize("shell", MORE)
async def test_raw_bytes(kms, shell):
    """What has no NUL before its end would arrive as the ciphertext's own bytes, which are no text."""
    with pytest.raises(DecodeError):
        await read(kms, through(shell, "NAME=$'\\n$\\x12D\\xac\\xb4/\\x8e'"))


# -- .env files


def has_no_comment(ciphertext):
    """Nor a quote, nor a variable."""
    return not re.search(rb"""["']| \#|\$\{""", ciphertext)


async def test_in_a_file_as_documented(kms):
    """NAME=b'…' is taken as it stands, by our reader and by the one that most programs use."""
    text = literal(kms, has_no_comment)
    for line in (f"NAME={text}\n", f"export NAME={text}\n"):
        assert parse_dotenv(line.encode(), origin=".env") == {"NAME": text}
        assert dotenv_values(stream=io.StringIO(line)) == {"NAME": text}
    assert (await read(kms, text)).equals(PLAINTEXT)


async def test_in_single_quotes_of_a_file(kms):
    r"""NAME='…', with ' and \ escaped, as a program writes it."""
    text = literal(kms)
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    assert (await read(kms, parse_dotenv(f"NAME='{escaped}'\n".encode(), origin=".env")["NAME"])).equals(PLAINTEXT)


async def test_in_double_quotes_of_a_file(kms):
    r"""NAME="b'…'": \n is a line break there, and that says so."""
    text = literal(kms, has_no_comment)
    delivered = parse_dotenv(f'NAME="{text}"\n'.encode(), origin=".env")["NAME"]
    with pytest.raises(DecodeError, match=r"of a \.env file"):
        await read(kms, delivered)


async def test_a_comment_in_a_literal(kms):
    """What begins a comment ends the value: an error, never a part of a ciphertext that is decrypted."""
    delivered = parse_dotenv(rb"NAME=b'\n$\x00D #\xac'", origin=".env")["NAME"]
    with pytest.raises(DecodeError, match="does not end"):
        await read(kms, delivered)


async def test_an_env_file_of_a_container(kms):
    """docker run --env-file hands on what follows the first = of a line, quotes included."""
    line = f"NAME={literal(kms)}"
    assert (await read(kms, line.partition("=")[2])).equals(PLAINTEXT)
