"""``asyncsecrets encrypt``: a value as the ciphertext that a key service reads from the environment."""

from __future__ import annotations

import argparse
import re
import shlex
from typing import Final

from asyncsecrets.cli import values
from asyncsecrets.cli.confirm import source_of
from asyncsecrets.cli.console import Console
from asyncsecrets.cli.sources import read_config, using
from asyncsecrets.errors import ConfigError

HELP = "encrypt a value with a key service, and print the line for a .env file"

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,255}", re.ASCII)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("name", metavar="NAME", nargs="?", help="print NAME=CIPHERTEXT instead of the ciphertext alone")
    parser.add_argument("--export", action="store_true", help="print export NAME=CIPHERTEXT, for a shell")
    values.configure(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Print the ciphertext. It is no secret to whoever may not use the key."""
    # The name is not repeated: it may be a value in the wrong place.
    if args.name is not None and not _VARIABLE.fullmatch(args.name):
        raise ConfigError("NAME is an environment variable: letters, digits and _. The value is never an argument")
    if args.export and args.name is None:
        raise ConfigError("--export needs a NAME")
    config = read_config(args)
    value = values.read(args, console)
    ciphertext = using(config, lambda client: client.encrypt(value, source=args.source))
    console.result({"name": args.name, "source": source_of(args), "ciphertext": ciphertext}, _line(args, ciphertext))
    if remark := values.remark_on(value):
        console.note(remark.replace("stored", "encrypted"))
    return 0


def _line(args: argparse.Namespace, ciphertext: str) -> str:
    if args.name is None:
        return ciphertext
    return f"{'export ' if args.export else ''}{args.name}={shlex.quote(ciphertext)}"
