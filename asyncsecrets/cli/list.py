"""``asyncsecrets list``: names."""

from __future__ import annotations

import argparse

from asyncsecrets.cli.console import Console, printable
from asyncsecrets.cli.sources import with_client

HELP = "list the names of a source's secrets"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("prefix", metavar="PREFIX", nargs="?", default="", help="only names that start with this")


def run(args: argparse.Namespace, console: Console) -> int:
    """Print the names, one a line."""
    names = with_client(args, lambda client: client.list(args.prefix, source=args.source))
    console.result({"names": names}, "\n".join(map(printable, names)))
    return 0
