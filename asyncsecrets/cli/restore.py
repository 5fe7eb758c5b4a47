"""``asyncsecrets restore``: the way back from ``delete``."""

from __future__ import annotations

import argparse

from asyncsecrets.cli.confirm import configure_versions, source_of, what
from asyncsecrets.cli.console import Console
from asyncsecrets.cli.sources import with_client

HELP = "bring back what was deleted"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("name", metavar="NAME", help="the secret, as a whole: a name, or secret://SOURCE/NAME")
    configure_versions(parser, "this version instead of the current one")


def run(args: argparse.Namespace, console: Console) -> int:
    """Restore it. One that is not deleted stays as it is."""
    with_client(args, lambda client: client.restore(args.name, versions=args.versions, source=args.source))
    document = {"name": args.name, "source": source_of(args), "versions": args.versions, "restored": True}
    console.result(document, f"restored  {what(args.name, args.versions)}  {source_of(args)}")
    return 0
