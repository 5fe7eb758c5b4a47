"""The spellings of ciphertext, fuzzed against Python's own reader of literals."""

from __future__ import annotations

import ast
import base64
import inspect
import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsecrets.errors import DecodeError
from asyncsecrets.providers import ciphertext
from asyncsecrets.providers.ciphertext import parse_bytes_literal, parse_ciphertext

literal_text = st.text(st.sampled_from("b'\"\\xnrtabfv01234567789aFé\n \x00zu{}N"), max_size=30)


@given(st.binary())
def test_repr(value):
    """Every bytes literal that Python writes is read back."""
    assert parse_bytes_literal(repr(value)) == value


@given(st.binary())
def test_through_a_shell(value):
    """It is read back without its single quotes too, which a shell eats."""
    text = repr(value)
    if text[1] == "'" and value[:1] not in {b"'", b'"'}:
        assert parse_bytes_literal("b" + text[2:-1]) == value


@given(st.binary(min_size=1))
def test_base64(value):
    """Base64 is read, in one line or in several."""
    assert parse_ciphertext(base64.b64encode(value).decode()) == value
    assert parse_ciphertext(base64.encodebytes(value).decode()) == value


@given(st.sampled_from(["b'{}'", 'b"{}"']), literal_text)
def test_same_as_python(form, body):
    """A quoted literal means what it means to Python, or is refused; it is never something else."""
    text = form.replace("{}", body)
    try:
        found = parse_ciphertext(text)
    except DecodeError:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert found == ast.literal_eval(text)


@given(st.sampled_from("'\""), st.text(st.sampled_from("b\\xnrtabfv01234567889aF \0zu{}N"), max_size=30))
def test_as_much_as_python(quote, body):
    """A literal of one line is read if it is one to Python, with no warning, and only then."""
    text = f"b{quote}{body}{quote}"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            wanted = ast.literal_eval(text)
        except (SyntaxError, ValueError):
            wanted = None
    try:
        found = parse_ciphertext(text)
    except DecodeError:
        found = None
    assert found == wanted


@pytest.mark.parametrize("count", [20_000, pytest.param(1_000_000, marks=pytest.mark.soak)])
def test_fuzzed(count):
    """Nothing but our errors, nothing evaluated, nothing told: see the script, which an audit hook needs for itself."""
    command = [sys.executable, "-m", "benchmarks.ciphertext_fuzz", str(count)]
    calm = {**os.environ, "PYTHONASYNCIODEBUG": ""}
    done = subprocess.run(command, env=calm, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


@pytest.mark.parametrize(
    "text",
    ["b\n$", "b\n$\\x00D", "b'\n$\\x00D'", "\n$\x12D\udcac", "b'\\n$\\x00D'\n"],
)
def test_what_a_shell_made_of_it(text):
    """A literal whose escapes were carried out is told from what never was one."""
    with pytest.raises(DecodeError, match="in single quotes, or write base64"):
        parse_ciphertext(text)


@given(st.text())
def test_anything(text):
    """Any other text is bytes or DecodeError, which does not quote it."""
    try:
        found = parse_ciphertext(text)
    except DecodeError as error:
        found = error
    assert isinstance(found, bytes | DecodeError)
    assert isinstance(found, bytes) or text not in str(found) or text in OWN_WORDS


OWN_WORDS = inspect.getsource(ciphertext)
"""Hypothesis makes texts of what it finds in the sources, such as a word of a message."""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "b'",
        "b'canary",
        "b'a'b'",
        "b'\\u0041'",
        "b'\\400'",
        "b'\\4000'",
        "b'\\8'",
        "b'\\x0'",
        "b'\\N{BULLET}'",
        "b'\\U00000041'",
        "b'é'",
        "b'\n'",
        "b'\\'",
        "b'\\q'",
        "bytes(8)",
        "b''+b''",
        "rb'x'",
        "B'x'",
        "__import__('os')",
        "b'%s' % 1",
        "ab-_",
        "abc",
        "YQ==YQ==",
        "YQ===",
        "YWJjZA===",
        "=",
        "Y\u00a0Q==",
        "YWJj YWJj",
        "abcde",
    ],
)
def test_refused(text):
    """What is neither is refused."""
    with pytest.raises(DecodeError):
        parse_ciphertext(text)
