"""The forms of `export`: what is written is read back as it was, by every reader; what cannot be is refused."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import dotenv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncsecrets.cli.forms import FORMS, written
from asyncsecrets.errors import DecodeError
from asyncsecrets.providers.dotenv import parse_dotenv

VALUES = [
    *("", "canary", " canary ", "a b", "#canary", "a=b==", "$HOME $(id) `id`", "\\n", "a\\b", "it's", "!x", "%s", "'"),
    *('say "canary"', "two\nlines\n", "-----BEGIN CANARY-----\nAA==\n", "\u00fc\U0001f511", "\u2028", '"', "\ttab"),
]


def dotenv_of(value: str) -> dict[str, str] | None:
    """What a .env file with the value is, or None where the form refuses."""
    try:
        data = written("dotenv", {"BEFORE": b"1", "X": value.encode(), "AFTER": b"2"})
    except DecodeError:
        return None
    return parse_dotenv(data, origin="x", environ={"HOME": "/h"}) | {
        f"python-dotenv {name}": str(found)
        for name, found in dotenv.dotenv_values(stream=io.StringIO(data.decode())).items()
    }


@pytest.mark.parametrize("value", VALUES)
def test_a_dotenv_file_is_read_back(value: str) -> None:
    """By our own reader and by python-dotenv, interpolation included."""
    expected = {"BEFORE": "1", "X": value, "AFTER": "2"}
    assert dotenv_of(value) == expected | {f"python-dotenv {name}": text for name, text in expected.items()}


@given(st.text(alphabet=st.sampled_from("ab '\"\\$`{}#=\n\t()!%\u00e4"), max_size=12))
def test_a_dotenv_file_is_read_back_or_refused(value: str) -> None:
    """Whatever is in the value."""
    found = dotenv_of(value)
    assert found is None or (found["X"], found["python-dotenv X"], found["AFTER"]) == (value, value, "2")


NOT_CARRIED = ["'$canary", "'\"canary", "canary\\\\", "canary\\", "\\'canary", "canary\r\n", "canary\0", "${canary"]


@pytest.mark.parametrize("value", NOT_CARRIED)
def test_what_a_dotenv_file_cannot_carry(value: str) -> None:
    """Readers differ about it: refused, with another form."""
    with pytest.raises(DecodeError, match=r"X has .* cannot carry it; --format .*json can"):
        written("dotenv", {"X": value.encode()})
    assert json.loads(written("json", {"X": value.encode()})) == {"X": value}


SHOW = "import json, os; print(json.dumps(os.fsencode(os.environ['X']).hex()))"


@settings(max_examples=15)
@given(st.binary(max_size=20))
def test_a_shell_reads_it_back(value: bytes) -> None:
    """Any bytes but NUL, by `eval`; nothing of them is run."""
    value = value.replace(b"\0", b"'")
    script = written("shell", {"X": value}) + f'exec "{sys.executable}" -S -E -c "{SHOW}"'.encode()
    done = subprocess.run(["sh", "-e"], input=script, capture_output=True, check=True)
    assert bytes.fromhex(json.loads(done.stdout)) == value


def test_a_file_for_docker() -> None:
    """Lines without quotes, everything is itself; what would be two lines is refused, and what is too long."""
    assert written("docker", {"A": b'it\'s "x" $y #z ', "B": b""}) == b'A=it\'s "x" $y #z \nB=\n'
    for value in (b"canary\nX=1", b"canary\r", b"canary\0", b"c" * 65534):
        with pytest.raises(DecodeError, match="the form docker cannot carry it"):
            written("docker", {"X": value})


@pytest.mark.parametrize("form", FORMS)
def test_what_is_no_text(form: str) -> None:
    """Only a shell takes bytes that are no text."""
    if form == "shell":
        assert written(form, {"X": b"\xff"}) == b"export X='\xff'\n"
        return
    with pytest.raises(DecodeError, match="not UTF-8 text"):
        written(form, {"X": b"canary\xff"})
