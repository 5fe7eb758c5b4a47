"""``asyncsecrets versions``: what a source knows of each version of a secret."""

from __future__ import annotations

import argparse
from datetime import datetime

from asyncsecrets.cli.console import Console
from asyncsecrets.cli.sources import with_client

HELP = "list the versions of a secret"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("name", metavar="NAME", help="the secret, as a whole: a name, or secret://SOURCE/NAME")


def run(args: argparse.Namespace, console: Console) -> int:
    """Print the versions, oldest first."""
    versions = with_client(args, lambda client: client.versions(args.name, source=args.source))
    rows = [(info.version, info.state, _time(info.created), "current" if info.current else "") for info in versions]
    document = {
        "name": args.name,
        "versions": [
            {
                "version": info.version,
                "state": info.state,
                "created": info.created.isoformat() if info.created else None,
                "current": info.current,
            }
            for info in versions
        ],
    }
    console.result(document, console.table(("VERSION", "STATE", "CREATED", ""), rows))
    return 0


def _time(moment: datetime | None) -> str:
    return moment.isoformat(sep=" ", timespec="seconds") if moment else "-"
