"""``asyncsecrets metadata``: what a manager keeps about a secret besides its values. None of it is secret."""

from __future__ import annotations

import argparse
from datetime import datetime
from typing import TYPE_CHECKING, Any

from asyncsecrets.cli.confirm import source_of
from asyncsecrets.cli.console import Console, printable
from asyncsecrets.cli.sources import with_client
from asyncsecrets.errors import ConfigError

if TYPE_CHECKING:
    from asyncsecrets.client import SecretsClient
    from asyncsecrets.providers.base import SecretMetadata

HELP = "print or change what the manager keeps about a secret; none of it is secret, so put no value there"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("name", metavar="NAME", help="the secret, as a whole: a name, or secret://SOURCE/NAME")
    parser.add_argument(
        "--set",
        metavar="KEY=VALUE",
        dest="given",
        action="append",
        default=[],
        help="custom metadata, which is NOT secret: whoever may list names may read it; again for more",
    )
    parser.add_argument("--unset", metavar="KEY", action="append", default=[], help="remove a key; again for more")
    parser.add_argument(
        "--delete-version-after", metavar="DURATION", help="delete versions this long after they are made, such as 720h"
    )
    parser.add_argument("--max-versions", metavar="N", type=_count, help="keep this many (0: as the mount says)")
    parser.add_argument(
        "--cas-required",
        action=argparse.BooleanOptionalAction,
        help="refuse writes that do not say which version they replace",
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Print the metadata, or change what is given."""
    pairs, wanted = _pairs(args.given), _wanted(args)
    if not (pairs or args.unset or wanted):
        found = with_client(args, lambda client: client.metadata(args.name, source=args.source))
        console.result(_document(args, found), console.table(("KEY", "VALUE"), _rows(found)))
        return 0
    with_client(args, lambda client: _change(client, args, pairs, wanted))
    changed = [*wanted, *(["custom"] if pairs or args.unset else [])]
    document = {"name": args.name, "source": source_of(args), "changed": changed}
    console.result(document, f"changed  {printable(args.name)}  {source_of(args)}  {', '.join(changed)}")
    return 0


async def _change(
    client: SecretsClient, args: argparse.Namespace, pairs: dict[str, str], wanted: dict[str, Any]
) -> None:
    if pairs or args.unset:  # the manager takes the custom metadata as a whole
        custom = dict((await client.metadata(args.name, source=args.source)).custom)
        for key in args.unset:
            custom.pop(key, None)
        wanted = {**wanted, "custom": {**custom, **pairs}}
    await client.write_metadata(args.name, **wanted, source=args.source)


def _pairs(given: list[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    if not all(key and equals for key, equals, _ in pairs):  # not repeated: it may be a value in the wrong place
        raise ConfigError("--set takes KEY=VALUE")
    return {key: value for key, _, value in pairs}


def _wanted(args: argparse.Namespace) -> dict[str, Any]:
    keys = ("delete_version_after", "max_versions", "cas_required")
    return {key: getattr(args, key) for key in keys if getattr(args, key) is not None}


def _count(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 9:
        return int(text)
    raise argparse.ArgumentTypeError("N is a number from 0")


def _document(args: argparse.Namespace, found: SecretMetadata) -> dict[str, Any]:
    return {
        "name": args.name,
        "source": source_of(args),
        "current_version": found.current_version,
        "versions": [info.version for info in found.versions],
        "created": _time(found.created),
        "updated": _time(found.updated),
        "max_versions": found.max_versions,
        "cas_required": found.cas_required,
        "delete_version_after": found.delete_version_after,
        "custom": dict(found.custom),
    }


def _rows(found: SecretMetadata) -> list[tuple[str, str]]:
    rows = [
        ("current version", found.current_version or "-"),
        ("versions", str(len(found.versions))),
        ("created", _time(found.created) or "-"),
        ("updated", _time(found.updated) or "-"),
    ]
    if found.max_versions is not None:
        rows.append(("max versions", str(found.max_versions or "as the mount says")))
    if found.cas_required is not None:
        rows.append(("cas required", "yes" if found.cas_required else "no"))
    if found.delete_version_after is not None:
        rows.append(("delete version after", found.delete_version_after))
    return [*rows, *((f"custom {key}", value) for key, value in sorted(found.custom.items()))]


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None
