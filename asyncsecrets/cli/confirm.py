"""Asking before something is taken away."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from asyncsecrets.cli.console import Console, printable
from asyncsecrets.errors import ConfigError

__all__ = ["configure_versions", "is_confirmed", "source_of", "what"]


def configure_versions(parser: argparse.ArgumentParser, help_text: str) -> None:
    """Add ``--version``, to be given once for each version."""
    parser.add_argument("--version", metavar="V", dest="versions", action="append", help=f"{help_text}; again for more")


def source_of(args: argparse.Namespace) -> str:
    """The name of the source that a write goes to."""
    from asyncsecrets.config import DEFAULT_SOURCE

    return args.source or DEFAULT_SOURCE


def what(name: str, versions: Sequence[str] | None) -> str:
    """A secret, or versions of it, in words."""
    if not versions:
        return printable(name)
    plural = "s" if len(versions) > 1 else ""
    return f"version{plural} {', '.join(map(printable, versions))} of {printable(name)}"


def is_confirmed(args: argparse.Namespace, console: Console, verb: str, gerund: str, rest: str = "") -> bool:
    """Whether ``--yes`` was given, or somebody says yes. Raises ConfigError where there is nobody to ask."""
    if args.yes:
        return True
    if not console.interactive or console.as_json:
        raise ConfigError(f"{gerund} {args.name!r} needs a yes, and there is nobody to ask: give --yes")
    if console.ask(f"{verb} {what(args.name, args.versions)} at source {source_of(args)}{rest}?"):
        return True
    console.note("nothing was changed")
    return False
