"""``asyncsecrets rotate``: by the manager's own means."""

from __future__ import annotations

import argparse

from asyncsecrets.cli.confirm import source_of
from asyncsecrets.cli.console import Console, printable
from asyncsecrets.cli.sources import with_client

HELP = "have the manager rotate a secret by its own means, beginning now"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("name", metavar="NAME", help="the secret, as a whole: a name, or secret://SOURCE/NAME")


def run(args: argparse.Namespace, console: Console) -> int:
    """Begin a rotation, and print the version that it will make."""
    version = with_client(args, lambda client: client.rotate(args.name, source=args.source))
    source = source_of(args)
    console.result(
        {"name": args.name, "source": source, "version": version},
        f"rotating  {printable(args.name)}  {source}  version {printable(version)}",
    )
    console.note("note: the manager takes its time; asyncsecrets versions shows when the new version is current")
    return 0
