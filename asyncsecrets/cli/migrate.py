"""``asyncsecrets migrate``: what is planned first, and done when that is said; counts and names, and never a value."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Final

from asyncsecrets.cli.console import Console, message_of
from asyncsecrets.cli.exits import Family, family_of, worst
from asyncsecrets.cli.progress import Bar, progress
from asyncsecrets.cli.sources import read_config
from asyncsecrets.errors import ConfigError

if TYPE_CHECKING:
    from asyncsecrets.client import SecretsClient
    from asyncsecrets.config import Config
    from asyncsecrets.migrating import Migration, Report, Step

HELP = "copy secrets from one source to another: prints what would be done, or does it"

_MOST: Final = 100
"""The most secrets under way at once."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("origin", metavar="FROM", help="the source to copy from, as the configuration names it")
    parser.add_argument("target", metavar="TO", help="the source to copy to")
    parser.add_argument("names", metavar="NAME", nargs="*", help="only these secrets (default: all that are listed)")
    parser.add_argument("--apply", "--yes", action="store_true", help="do it; without this nothing is written")
    parser.add_argument("--to-config", metavar="PATH", help="TO is a source of this configuration")
    parser.add_argument("--prefix", metavar="P", default="", help="only names that start with this")
    parser.add_argument(
        "--rename",
        metavar="OLD=NEW",
        action="append",
        default=[],
        help="what names become: 'app/*=prod/app/*', with one * or none; again for more, the first that fits holds",
    )
    parser.add_argument("--overwrite", action="store_true", help="also where TO has another value")
    parser.add_argument("--no-metadata", action="store_true", help="without custom metadata")
    parser.add_argument("--concurrency", metavar="N", type=_count, default=10, help="so many at once (default: 10)")


def run(args: argparse.Namespace, console: Console) -> int:
    """Print the plan, or carry it out; the exit code says whether anything is left to somebody."""
    if args.source is not None:
        raise ConfigError("migrate takes its sources as FROM and TO, and no --source")
    report = _reported(args, console)
    console.result(_document(args, report), _text(args, console, report))
    for note in _notes(report):
        console.note(note)
    return _family(report).value


def _count(text: str) -> int:
    # argparse's own message would repeat the text.
    if text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= _MOST:
        return int(text)
    raise argparse.ArgumentTypeError(f"N is a number from 1 to {_MOST}")


def _rules(texts: list[str]) -> dict[str, str]:
    if not all("=" in text for text in texts):
        raise ConfigError("--rename takes OLD=NEW")
    pairs = [(before, after) for before, _, after in (text.partition("=") for text in texts)]
    if len({before for before, _ in pairs}) < len(pairs):
        raise ConfigError("--rename was given twice for the same names")
    return dict(pairs)


def _reported(args: argparse.Namespace, console: Console) -> Report:
    import asyncio

    from asyncsecrets.config import load_config

    config, rules = read_config(args), _rules(args.rename)
    other = None
    if args.to_config:
        import os

        other = load_config(args.to_config, os.environ)
    with progress(console, "migrating" if args.apply else "looking") as bar:
        return asyncio.run(_migrated(args, config, other, rules, bar))


async def _migrated(
    args: argparse.Namespace, config: Config, other: Config | None, rules: dict[str, str], bar: Bar
) -> Report:
    from asyncsecrets.client import SecretsClient

    client = SecretsClient(config)
    to_client = client if other is None else SecretsClient(other)
    try:
        migration = _migration(args, client, to_client, rules)
        return await (migration.apply if args.apply else migration.plan)(lambda _, done, total: bar(done, total))
    finally:
        await client.aclose()
        await to_client.aclose()


def _migration(
    args: argparse.Namespace, client: SecretsClient, to_client: SecretsClient, rules: dict[str, str]
) -> Migration:
    from asyncsecrets.migrating import Migration

    return Migration(
        client,
        args.origin,
        args.target,
        to_client=to_client,
        names=args.names or None,
        prefix=args.prefix,
        rename=rules,
        overwrite=args.overwrite,
        metadata=not args.no_metadata,
        concurrency=args.concurrency,
    )


def _family(report: Report) -> Family:
    return worst(Family.CONFLICT if step.error is None else family_of(step.error) for step in report.open)


def _document(args: argparse.Namespace, report: Report) -> dict[str, Any]:
    return {
        "from": args.origin,
        "to": args.target,
        "applied": report.applied,
        "counts": report.counts,
        "secrets": [_described(step) for step in report.steps],
    }


def _described(step: Step) -> dict[str, Any]:
    error = type(step.error).__name__ if step.error is not None else None
    return {"name": step.name, "to": step.to, "state": step.state, "note": step.note or None, "error": error}


def _text(args: argparse.Namespace, console: Console, report: Report) -> str:
    """What is to be done, or was not, by name; of the rest only how many there are."""
    quiet = {"equal", "created", "replaced", "untried"}
    rows = [
        (step.name, step.to, step.state, _note(step)) for step in report.steps if step.state not in quiet or step.note
    ]
    table = [console.table(("NAME", "TO", "STATE", "NOTE"), rows)] if rows else []
    counts = ", ".join(f"{count} {state}" for state, count in report.counts.items()) or "no secrets"
    return "\n".join([*table, f"{args.origin} -> {args.target}: {counts}"])


def _note(step: Step) -> str:
    return message_of(step.error) if step.error is not None else step.note or "-"


def _notes(report: Report) -> list[str]:
    """What to do next."""
    counts = report.counts
    notes = []
    if counts.keys() & {"create", "replace"}:
        notes.append("note: nothing was written; --apply copies the current values, and no older versions")
    if counts.keys() & {"collision", "invalid"}:
        notes.append("note: --rename OLD=NEW gives a name that can be had; until then nothing can be written")
    if any(step.state == "conflict" and step.error is None for step in report.steps):
        notes.append("note: where another value is there it stays; --overwrite replaces it")
    if counts.keys() & {"failed", "untried"}:
        notes.append("note: the same command goes on where this one ended")
    return notes
