"""The forms in which ``export`` writes variables, each with the quoting that all of its readers take alike.

What a form cannot carry is refused, and nothing is written: a value that arrives changed is worse than none. Values are
bytes, and so is what is written. Nothing here does I/O.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Final

from asyncsecrets.errors import DecodeError

__all__ = ["FORMS", "written"]

_LONGEST_LINE: Final = 64 * 1024 - 1  # of a file for docker, in bytes


def written(form: str, values: Mapping[str, bytes]) -> bytes:
    """``values`` in ``form``. Raises DecodeError for one that it cannot carry, with the variable and a way out."""
    if form == "json":
        return json.dumps({name: _text(name, value) for name, value in values.items()}, indent=2).encode() + b"\n"
    for name, value in values.items():
        if b"\0" in value:
            raise _refused(name, form, "a NUL", "json")
    line = _LINES[form]
    return b"".join(line(name, value) + b"\n" for name, value in values.items())


def _dotenv(name: str, value: bytes) -> bytes:
    """In single quotes nothing is special to any reader, but a quote, and a backslash before one or at the end. In
    double quotes it is the double quote, the backslash, the dollar and the backtick."""
    text = _text(name, value)
    if "\r" in text:
        raise _refused(name, "dotenv", "a carriage return")
    if "${" in text:  # python-dotenv replaces variables in single quotes too
        raise _refused(name, "dotenv", "a ${ in it")
    if "'" not in text and "\\\\" not in text and not text.endswith("\\"):
        return f"{name}='{text}'".encode()
    if not set('"\\$`').isdisjoint(text):
        raise _refused(name, "dotenv", "a quote or backslash that its readers take differently")
    return f'{name}="{text}"'.encode()


def _docker(name: str, value: bytes) -> bytes:
    """Docker's ``--env-file``: one line each, no quotes, nothing is special."""
    text = _text(name, value)
    if not {"\n", "\r"}.isdisjoint(text):
        raise _refused(name, "docker", "a line break")
    line = f"{name}={text}".encode()
    if len(line) > _LONGEST_LINE:
        raise _refused(name, "docker", f"more than {_LONGEST_LINE} bytes with its name")
    return line


def _shell(name: str, value: bytes) -> bytes:
    """For ``eval`` in a POSIX shell: in single quotes all bytes are themselves, and a quote ends them."""
    return b"export " + name.encode() + b"='" + value.replace(b"'", b"'\\''") + b"'"


def _text(name: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        pass
    raise DecodeError(f"the value of {name} is not UTF-8 text; leave it out, or read it alone: asyncsecrets get")


def _refused(name: str, form: str, what: str, other: str = "shell or --format json") -> DecodeError:
    return DecodeError(f"the value of {name} has {what}, so the form {form} cannot carry it; --format {other} can")


_LINES: Final[Mapping[str, Callable[[str, bytes], bytes]]] = {"docker": _docker, "dotenv": _dotenv, "shell": _shell}

FORMS: Final = ("dotenv", "docker", "json", "shell")
"""Every form, the usual one first."""
