"""``asyncsecrets patch``: some members of a secret that is a JSON object, the others untouched and unseen."""

from __future__ import annotations

import argparse
import contextlib
import json
from typing import Any

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
    config = read_config(args)
    changes = _changes(values.read_text(console, "changes, a JSON object: "))
    patched = using(config, lambda client: client.patch(args.name, changes, cas=args.cas, source=args.source))
    version = f"  version {patched.version}" if patched.version else ""
    document = {"name": patched.name, "version": patched.version, "source": patched.source}
    console.result(document, f"patched  {printable(patched.name)}  {patched.source}{version}")
    return 0


def _changes(text: str) -> dict[str, Any]:
    document: Any = None
    with contextlib.suppress(ValueError, RecursionError):  # which hold what was typed
        document = json.loads(text, object_pairs_hook=_without_repetition)
    if not isinstance(document, dict):
        raise ConfigError('the changes are not a JSON object with each member once, such as {"password": "…"}')
    return document


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError
    return members
