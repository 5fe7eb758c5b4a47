"""``asyncsecrets destroy``: for good, so it asks first."""

from __future__ import annotations

import argparse

from asyncsecrets.cli.confirm import configure_versions, is_confirmed, source_of, what
from asyncsecrets.cli.console import Console
from asyncsecrets.cli.exits import Family
from asyncsecrets.cli.sources import read_config, using

HELP = "remove a secret for good, with all its versions, or only the values of some"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("name", metavar="NAME", help="the secret, as a whole: a name, or secret://SOURCE/NAME")
    configure_versions(parser, "only the value of this version")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(args: argparse.Namespace, console: Console) -> int:
    """Destroy it once somebody, or ``--yes``, has said yes. One that is absent already is no error."""
    config = read_config(args)
    rest = " for good" if args.versions else " for good, with all its versions"
    if not is_confirmed(args, console, "destroy", "destroying", rest):
        return Family.REFUSED.value
    using(config, lambda client: client.destroy(args.name, versions=args.versions, source=args.source))
    document = {"name": args.name, "source": source_of(args), "versions": args.versions, "destroyed": True}
    # No manager says whether there was anything, and to look first would need a right that destroying does not.
    console.result(document, f"gone for good  {what(args.name, args.versions)}  {source_of(args)}")
    return 0
