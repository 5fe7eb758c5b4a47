"""Where a value to be stored comes from: a hidden prompt, standard input, a file, or a generator. Never an argument."""

from __future__ import annotations

import argparse
import getpass
import secrets
import string
import warnings
from pathlib import Path
from typing import Final

from asyncsecrets.cli.console import Console
from asyncsecrets.cli.sources import read_file
from asyncsecrets.errors import ConfigError
from asyncsecrets.secret import Payload, payload_of

__all__ = ["MAX_VALUE", "check_no_value", "configure", "read", "read_text", "remark_on"]

MAX_VALUE: Final = 1024 * 1024
"""The longest value, in bytes. Managers have limits of their own below this."""

_SHORTEST, _LONGEST = 8, 4096
_ALPHABET: Final = string.ascii_letters + string.digits


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say where the value comes from."""
    origin = parser.add_mutually_exclusive_group()
    origin.add_argument(
        "--generate",
        metavar="N",
        nargs="?",
        type=_length,
        const=32,
        help="make one: N random letters and digits (default: 32, which is 190 bits)",
    )
    origin.add_argument("--from-file", metavar="PATH", type=Path, help="the bytes of a file, exactly")
    origin.add_argument("--stdin-line", action="store_true", help="from stdin, without the one line break at its end")
    parser.add_argument("--allow-empty", action="store_true", help="store an empty value, too")


def check_no_value(name: str, command: str) -> None:
    """Raise ConfigError for ``NAME=value`` where a name is expected. It is not repeated: there may be a value in it."""
    from asyncsecrets.references import is_reference

    if "=" in name and not is_reference(name):
        raise ConfigError(
            f"{command} takes a NAME, and never a value: every process here sees it, and the shell keeps it. "
            f"Pipe it to {command} NAME; a name that has a '=' is written as os.environ/NAME"
        )


def remark_on(value: Payload) -> str:
    """What is to be said of a value that was piped in: that of ``echo`` has a line break that nobody meant.

    A text of several lines ends with one as a rule; a key in PEM that has none is no key to some programs.
    """
    text = value if isinstance(value, str) else ""
    if text.endswith("\n") and "\n" not in text.removesuffix("\n").removesuffix("\r"):
        return "note: the value ends with a line break, which is stored with it; piped to --stdin-line it has none"
    return ""


def read(args: argparse.Namespace, console: Console) -> Payload:
    """The value: text where it is UTF-8, else bytes. Raises ConfigError, also for one that is empty by accident."""
    if args.generate is not None:
        return "".join(secrets.choice(_ALPHABET) for _ in range(args.generate))
    if args.from_file is not None:
        data = read_file(args.from_file, limit=MAX_VALUE)
    elif console.reads_terminal:
        data = _prompt().encode("utf-8")
    else:
        data = _piped(console, line=args.stdin_line)
    if not data and not args.allow_empty:
        raise ConfigError("the value is empty, which is usually an accident; --allow-empty stores it all the same")
    return payload_of(data)


def read_text(console: Console, question: str) -> str:
    """Text that is as secret as a value: asked for without echo, or from stdin. Raises ConfigError."""
    data = _prompt(question).encode("utf-8") if console.reads_terminal else _piped(console, line=False)
    text = payload_of(data)
    if not isinstance(text, str):
        raise ConfigError("what was given is not UTF-8 text")
    return text


def _length(text: str) -> int:
    # argparse's own message would repeat the text, which may be a value that was meant to be stored.
    if text.isascii() and text.isdigit() and len(text) <= 4 and _SHORTEST <= int(text) <= _LONGEST:
        return int(text)
    raise argparse.ArgumentTypeError(f"N is a number from {_SHORTEST} to {_LONGEST}")


def _prompt(question: str = "value: ") -> str:
    problem = "the value was not read"
    try:
        with warnings.catch_warnings():
            # It would go on with the value visible.
            warnings.simplefilter("error", getpass.GetPassWarning)
            value = getpass.getpass(question)
            value.encode("utf-8")
            return value
    except getpass.GetPassWarning:
        problem = "this terminal cannot hide what is typed; pipe the value to stdin instead"
    except EOFError:
        pass
    except UnicodeError:  # holds what was typed
        problem = "what was typed is not UTF-8 text; pipe the value to stdin, or give --from-file"
    raise ConfigError(problem)


def _piped(console: Console, *, line: bool) -> bytes:
    data = console.read_bytes(MAX_VALUE + 1)
    if len(data) > MAX_VALUE:
        raise ConfigError(f"the value on stdin has more than {MAX_VALUE} bytes")
    if line and data.endswith(b"\n"):
        return data[:-2] if data.endswith(b"\r\n") else data[:-1]
    return data
