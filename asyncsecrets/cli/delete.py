"""``asyncsecrets delete``: asks first, and says how to bring it back."""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING

from asyncsecrets.cli.confirm import configure_versions, is_confirmed, source_of, what
from asyncsecrets.cli.console import Console, printable
from asyncsecrets.cli.exits import Family
from asyncsecrets.cli.sources import read_config, using
from asyncsecrets.errors import AsyncSecretsError, SecretNotFoundError

if TYPE_CHECKING:
    from asyncsecrets.client import SecretsClient

HELP = "delete a secret or versions of it, recoverably where the manager can"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("name", metavar="NAME", help="the secret, as a whole: a name, or secret://SOURCE/NAME")
    configure_versions(parser, "only this version, where the manager deletes versions")
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(args: argparse.Namespace, console: Console) -> int:
    """Delete it once somebody, or ``--yes``, has said yes. One that is absent already is no error."""
    config = read_config(args)
    if not is_confirmed(args, console, "delete", "deleting"):
        return Family.REFUSED.value
    note = using(config, lambda client: _delete(client, args))
    source = source_of(args)
    document = {"name": args.name, "source": source, "versions": args.versions, "deleted": True, "note": note or None}
    done = "deleted" if note else "gone"  # perhaps it never was there
    console.result(document, f"{done}  {what(args.name, args.versions)}  {source}")
    if note:
        console.note(note)
    return 0


async def _delete(client: SecretsClient, args: argparse.Namespace) -> str:
    await client.delete(args.name, versions=args.versions, source=args.source)
    if not args.versions and not await _can_come_back(client, args):
        return ""
    words = ["asyncsecrets", "restore", args.name]
    words += [word for version in args.versions or () for word in ("--version", version)]
    words += ["--source", args.source] if args.source else []
    return f"note: to bring it back: {printable(shlex.join(words))}"


async def _can_come_back(client: SecretsClient, args: argparse.Namespace) -> bool:
    """Ask the manager what has become of it: how it deletes depends on how it is set up."""
    try:
        await client.get(args.name, source=source_of(args))
    except SecretNotFoundError as error:
        return error.reason in {"deleted", "pending_deletion"}
    except AsyncSecretsError:  # the delete is done, and this is only for a note
        pass
    return False
