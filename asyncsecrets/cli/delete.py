"""``asyncsecrets delete``: asks first."""

from __future__ import annotations

import argparse

from asyncsecrets.cli.console import Console, printable
from asyncsecrets.cli.exits import Family
from asyncsecrets.cli.sources import read_config, using
from asyncsecrets.errors import ConfigError

HELP = "delete a secret, recoverably where the manager can"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(args: argparse.Namespace, console: Console) -> int:
    """Delete it once somebody, or ``--yes``, has said yes. One that is absent already is no error."""
    from asyncsecrets.config import DEFAULT_SOURCE

    config = read_config(args)
    name, source = printable(args.name), args.source or DEFAULT_SOURCE
    if not args.yes:
        if not console.interactive or console.as_json:
            raise ConfigError(f"deleting {name!r} needs a yes, and there is nobody to ask: give --yes")
        if not console.ask(f"delete {name} at source {source}?"):
            console.note("nothing was deleted")
            return Family.REFUSED.value
    using(config, lambda client: client.delete(args.name, source=args.source))
    console.result({"name": args.name, "source": source, "deleted": True}, f"deleted  {name}  {source}")
    return 0
