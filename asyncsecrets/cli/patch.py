"""``asyncsecrets patch``: some members of a secret that is a JSON object, the others untouched and unseen."""

from __future__ import annotations

import argparse
from typing import Any

from asyncsecrets import exact
from asyncsecrets.cli import values
from asyncsecrets.cli.console import Console, printable
from asyncsecrets.cli.sources import read_config, using
from asyncsecrets.errors import ConfigError

HELP = "change some members of a secret that is a JSON object: a JSON object, asked for without echo or from stdin"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("name", metavar="NAME", help="the secret, as a whole: a name, or secret://SOURCE/NAME")
    parser.add_argument("--cas", metavar="V", help="only if this version is the current one")


def run(args: argparse.Namespace, console: Console) -> int:
    """Merge the changes into the secret: a null removes a member, an object is merged, the rest takes its place."""
    values.check_no_value(args.name, "patch")
    config = read_config(args)
    changes = _changes(values.read_text(console, "changes, a JSON object: "))
    patched = using(config, lambda client: client.patch(args.name, changes, cas=args.cas, source=args.source))
    version = f"  version {patched.version}" if patched.version else ""
    document = {"name": patched.name, "version": patched.version, "source": patched.source}
    console.result(document, f"patched  {printable(patched.name)}  {patched.source}{version}")
    return 0


def _changes(text: str) -> dict[str, Any]:
    document = exact.read(text)
    if isinstance(document, dict) and not all(map(exact.is_double, exact.numbers_in(document))):
        raise ConfigError("the changes hold a number with more digits than a 64-bit float has; write it as text")
    changes = exact.plain(text)
    if isinstance(document, dict) and isinstance(changes, dict):
        return changes
    raise ConfigError('the changes are not a JSON object with each member once, such as {"password": "…"}')
