"""Credentials in files, as other programs write them: with a line break at the end or a byte order mark, or not yet."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Final

from asyncsecrets.boundary import configuring
from asyncsecrets.credential import BLANKS, is_quoted
from asyncsecrets.errors import ConfigError
from asyncsecrets.providers.files import read_regular

__all__ = ["read_credential_file"]

_LONGEST: Final = 64 * 1024
"""Bytes. A token has some hundreds, a JWT with many claims some thousands."""


@configuring
def read_credential_file(path: str, where: str) -> str:
    """The text of the file, without what is around it (``BLANKS``, a byte order mark). Blocks: for a thread.

    Raises ConfigError, which begins with ``where`` and shows nothing of what is in the file.
    """
    content = _read(path, where).removeprefix(codecs.BOM_UTF8)
    if len(content) > _LONGEST:
        raise ConfigError(f"{where} is longer than {_LONGEST} bytes, so it holds no credential")
    if not content.isascii():
        raise ConfigError(f"{where} holds bytes that are not ASCII, so it holds no credential: write it as plain text")
    text = content.decode("ascii").strip(BLANKS)
    if not text:
        raise ConfigError(f"{where} is empty, so it holds no credential: write one into it")
    return text


_UNREADABLE: Final = "cannot be read: check that it exists and that this process may read it"
_QUOTED: Final = "cannot be read: the quotation marks around its path were passed on, so leave them out"


def _read(path: str, where: str) -> bytes:
    try:
        return read_regular(Path(path))
    except (OSError, ValueError):
        problem = _QUOTED if is_quoted(path) else _UNREADABLE
    except ConfigError:  # a pipe, which whoever reads it first has emptied; or longer than any file here
        problem = "is no file that a credential could be in"
    raise ConfigError(f"{where} {problem}")
