"""Why a command that is there cannot be started, or will not work as it stands: its first line, mostly.

A script is started by the interpreter that its first line names (``#!/bin/sh``). The kernel takes that line to its last
byte, so that a file with the line ends of Windows asks for an interpreter called ``/bin/sh\\r``, and says of the script
that there is no such file.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from asyncsecrets.cli.exits import NO_COMMAND, NOT_EXECUTABLE
from asyncsecrets.errors import ConfigError

__all__ = ["not_started", "problem_of", "warning_of"]

_SHEBANG: Final = b"#!"
_BOM: Final = b"\xef\xbb\xbf"
_CONVERT: Final = (
    "the file has the line ends of Windows; save it with those of Unix (dos2unix, or .gitattributes: eol=lf)"
)


def not_started(
    command: str, error: OSError | ValueError, environ: Mapping[str, str | bytes]
) -> tuple[ConfigError, int]:
    """What to say of a ``command`` that exec raised ``error`` for, and the exit code."""
    code = error.errno if isinstance(error, OSError) else errno.EINVAL  # ValueError: a NUL in an argument
    problem, exit_code = problem_of(command, code, environ)
    return ConfigError(f"{command[:200]!a} cannot be executed: {problem}"), exit_code


def problem_of(command: str, code: int | None, environ: Mapping[str, str | bytes]) -> tuple[str, int]:
    """Why ``command`` could not be executed, from exec's error ``code``, with the remedy; and the exit code."""
    if code == errno.E2BIG:
        return "the environment is larger than the system allows; choose with --only or --secret", NOT_EXECUTABLE
    if code == errno.EACCES:
        return f"{os.strerror(code)}; is it a file, and may it be executed (chmod +x)?", NOT_EXECUTABLE
    if not command:
        return "no such command", NO_COMMAND
    path = _found(command, environ)
    if code == errno.ENOEXEC and path is not None:
        return _no_program(_start(path)), NOT_EXECUTABLE
    if code not in {errno.ENOENT, errno.ENOTDIR}:
        return os.strerror(code or 0), NOT_EXECUTABLE
    if path is None:
        return "no such command", NO_COMMAND
    return _no_interpreter(_start(path)), NOT_EXECUTABLE


def warning_of(command: str, environ: Mapping[str, str | bytes]) -> str:
    """What is wrong with the first line of ``command`` that its interpreter would tell of in words of its own, or
    nothing."""
    path = _found(command, environ)
    line = _start(path) if path is not None else b""
    if not (line.startswith(_SHEBANG) and line.endswith(b"\r") and b" " in _words(line)):
        return ""
    return f"{command[:200]!a}: its interpreter is given a carriage return with the first line; {_CONVERT}"


def _found(command: str, environ: Mapping[str, str | bytes]) -> Path | None:
    """The file that exec takes for ``command``, whether or not it may be executed."""
    path = os.fsdecode(environ.get("PATH", os.defpath))
    try:
        found = shutil.which(command, mode=os.F_OK, path=path)
    except ValueError:  # a NUL
        return None
    return Path(found) if found is not None and Path(found).is_file() else None


def _start(path: Path) -> bytes:
    """The first line of a file, without its line feed; nothing if it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(256).partition(b"\n")[0]
    except OSError:
        return b""


def _no_interpreter(line: bytes) -> str:
    if not line.startswith(_SHEBANG):
        return "the file is there, and what loads it is not: it was built for another system or C library"
    asked = _words(line).partition(b" ")[0]
    if asked.endswith(b"\r"):
        return f"its first line asks for the interpreter {_shown(asked)}; {_CONVERT}"
    return f"its first line asks for the interpreter {_shown(asked)}, which is not there; install it, or mend the line"


def _no_program(line: bytes) -> str:
    if line.startswith(_BOM):
        return "a byte order mark stands before its first line; save it without one"
    return "it is neither a program for this machine nor a script with a first line such as #!/bin/sh"


def _words(line: bytes) -> bytes:
    return line.removeprefix(_SHEBANG).strip(b" \t")


def _shown(word: bytes) -> str:
    return ascii(word[:100].decode("utf-8", "replace"))
