"""``asyncsecrets get``: one secret.

Piped or redirected, stdout gets the value and nothing else, byte for byte: whoever writes ``$(asyncsecrets get NAME)``
asked for it. On a terminal it stays masked unless ``--reveal`` says otherwise, and with ``--json``, which is about the
secret rather than the secret itself, likewise.
"""

from __future__ import annotations

import argparse
import base64
from typing import TYPE_CHECKING, Any

from asyncsecrets.cli.console import Console, printable
from asyncsecrets.cli.hints import hints
from asyncsecrets.cli.sources import names_of, read_config, using
from asyncsecrets.errors import SecretNotFoundError
from asyncsecrets.secret import MASK, Secret

if TYPE_CHECKING:
    from asyncsecrets.client import SecretsClient
    from asyncsecrets.config import Config

HELP = "print one secret: its value where stdout is not a terminal or with --reveal, else what is known of it"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("name", metavar="NAME", help="a name, or a reference: secret://SOURCE/NAME?version=V&field=F")
    parser.add_argument("--version", metavar="V", dest="secret_version", help="this version instead of the current one")
    parser.add_argument("--field", metavar="F", help="this member of a JSON object")
    parser.add_argument("--reveal", action="store_true", help="print the value also on a terminal or with --json")


def run(args: argparse.Namespace, console: Console) -> int:
    """Read the secret and print what may be printed."""
    config = read_config(args)
    secret = using(config, lambda client: _read(client, args, config))
    if console.as_json:
        console.result(_document(secret, reveal=args.reveal), "")
    elif args.reveal or not console.shows_on_terminal:
        console.payload(secret.reveal_bytes(), end_line=console.shows_on_terminal)
    else:
        row = (secret.name, MASK, secret.version or "-", secret.source)
        console.result({}, console.table(("NAME", "VALUE", "VERSION", "SOURCE"), [row]))
        console.note(f"--reveal shows the value of {printable(secret.name)}")
    return 0


async def _read(client: SecretsClient, args: argparse.Namespace, config: Config) -> Secret:
    try:
        return await client.get(args.name, version=args.secret_version, field=args.field, source=args.source)
    except SecretNotFoundError as error:
        absent = error
    if args.source is None:
        absent.message += f" ({client.explain(args.name).rule})"
    if absent.reason == "absent":
        absent.message += await _hint(client, args, config)
    raise absent


async def _hint(client: SecretsClient, args: argparse.Namespace, config: Config) -> str:
    from asyncsecrets.references import parse

    reference = parse(args.name)
    source = args.source or reference.source
    if source is not None:  # what a configuration uses is asked elsewhere
        return (await hints(client, source, [reference.name], ()))[reference.name]
    where = client.explain(args.name).source
    return (await hints(client, where, [reference.name], names_of(config)))[reference.name]


def _document(secret: Secret, *, reveal: bool) -> dict[str, Any]:
    document: dict[str, Any] = {
        "name": secret.name,
        "version": secret.version,
        "created": secret.created.isoformat() if secret.created else None,
        "source": secret.source,
        "value": None,
        "encoding": None,
    }
    if reveal:
        data = secret.reveal_bytes()
        try:
            document |= {"value": data.decode("utf-8"), "encoding": "utf-8"}
        except UnicodeDecodeError:
            document |= {"value": base64.b64encode(data).decode("ascii"), "encoding": "base64"}
    return document
