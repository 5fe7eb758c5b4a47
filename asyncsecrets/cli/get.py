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
from asyncsecrets.cli.hints import hints, remedy, unhosted
from asyncsecrets.cli.sources import names_of, read_config, using
from asyncsecrets.errors import SecretNotFoundError, UnsupportedOperationError
from asyncsecrets.secret import MASK, Secret

if TYPE_CHECKING:
    from asyncsecrets.client import SecretsClient
    from asyncsecrets.config import Config

HELP = "print one secret: its value where stdout is not a terminal or with --reveal, else what is known of it"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("name", metavar="NAME", help="a name, or a reference: secret://SOURCE/NAME?version=V&field=F")
    parser.add_argument("--version", metavar="V", dest="secret_version", help="this version instead of the current one")
    parser.add_argument("--field", metavar="F", help="a member of a JSON object: F, /PATH/TO/F, json:F")
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
    absent: SecretNotFoundError | UnsupportedOperationError
    try:
        return await client.get(args.name, version=args.secret_version, field=args.field, source=args.source)
    except (SecretNotFoundError, UnsupportedOperationError) as error:
        absent = error
    absent.message += await _advice(client, args, config, absent)
    raise absent


async def _advice(
    client: SecretsClient,
    args: argparse.Namespace,
    config: Config,
    error: SecretNotFoundError | UnsupportedOperationError,
) -> str:
    """By which rule it was looked for there, and what can be done about it."""
    from asyncsecrets.references import parse

    reference = parse(args.name)
    named = args.source or reference.source
    where = client.explain(args.name) if named is None else None
    elsewhere = unhosted(config, reference.name) if where is not None else ""
    if isinstance(error, UnsupportedOperationError) and not elsewhere:
        return ""
    advice = (f" ({where.rule})" if where is not None else "") + elsewhere
    if isinstance(error, UnsupportedOperationError) or error.reason != "absent":
        return advice
    source = named or (where.source if where is not None else "")
    # What a configuration uses is asked elsewhere, where a source is named.
    meant = (await hints(client, source, [reference.name], names_of(config) if where else ()))[reference.name]
    if meant or elsewhere:
        return advice + meant
    if args.secret_version is not None or reference.version is not None:
        return f"{advice}; asyncsecrets versions says which there are"
    return f"{advice}; {remedy(config, source, reference.name, args.config)}"


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
