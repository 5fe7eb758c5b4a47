"""Files that credentials are in, as other programs leave them."""

from __future__ import annotations

import os

import pytest

from asyncsecrets.errors import ConfigError
from asyncsecrets.providers.credential_files import read_credential_file


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
