"""``asyncsecrets set``: create a secret or give it a new version."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from asyncsecrets.cli import values
from asyncsecrets.cli.console import Console, printable
from asyncsecrets.cli.hints import unhosted
from asyncsecrets.cli.sources import read_config, using
from asyncsecrets.secret import Payload, Secret

if TYPE_CHECKING:
    from asyncsecrets.client import SecretsClient
    from asyncsecrets.config import Config

HELP = "store a value, asked for without echo, or read from stdin, a file or a generator"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("name", metavar="NAME", help="the secret, as a whole: a name, or secret://SOURCE/NAME")
    values.configure(parser)
    parser.add_argument("--cas", metavar="V", help="only if this version is the current one (0: only if there is none)")


def run(args: argparse.Namespace, console: Console) -> int:
    """Store the value."""
    values.check_no_value(args.name, "set")
    config = read_config(args)
    value = values.read(args, console)
    stored, note = using(config, lambda client: _store(client, args, config, value))
    note = "\n".join(filter(None, [note, _doubt(config, stored), values.remark_on(value)]))
    document = {"name": stored.name, "version": stored.version, "source": stored.source, "note": note or None}
    version = f"  version {stored.version}" if stored.version else ""
    console.result(document, f"stored  {printable(stored.name)}  {stored.source}{version}")
    if note:
        console.note(note)
    return 0


async def _store(client: SecretsClient, args: argparse.Namespace, config: Config, value: Payload) -> tuple[Secret, str]:
    stored = await client.put(args.name, value, cas=args.cas, source=args.source)
    # A name outside hosted_keys can be written, and is then never read from where it was written to.
    route = client.explain(args.name)
    if args.source is not None or route.source == stored.source:
        return stored, ""
    note = f"note: programs read {args.name!r} from source {route.source!r}: {route.rule}"
    return stored, note + unhosted(config, stored.name)


def _doubt(config: Config, stored: Secret) -> str:
    """What to say of a local store whose recipients were changed by hand: they read what was just stored."""
    source = config.sources.get(stored.source or "")
    if source is None or source.system != "local":
        return ""
    from asyncsecrets.cli.recipients import doubt_of

    return doubt_of(source)
