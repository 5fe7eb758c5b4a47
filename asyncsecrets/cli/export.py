"""``asyncsecrets export``: the variables that ``run`` would set, written for something else to read.

Piped or redirected, stdout gets the values: whoever writes ``asyncsecrets export > app.env`` asked for them. On a
terminal, and with ``--json``, they are masked unless ``--reveal`` says otherwise, as those of ``get`` are.
"""

from __future__ import annotations

import argparse

from asyncsecrets.cli import chosen
from asyncsecrets.cli.console import Console
from asyncsecrets.cli.forms import FORMS, written
from asyncsecrets.cli.sources import read_config
from asyncsecrets.secret import MASK

HELP = "print secrets as a .env file, as JSON or for a shell: what run would set"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "--format", type=_form, default=FORMS[0], metavar="|".join(FORMS), help=f"what to print (default: {FORMS[0]})"
    )
    chosen.configure(parser)
    parser.add_argument("--reveal", action="store_true", help="print values also on a terminal or with --json")


def run(args: argparse.Namespace, console: Console) -> int:
    """Read every secret, and print all of them or nothing."""
    config = read_config(args)
    asked, configured, plain = chosen.wanted_by(args, config, console)
    values = {name: value.encode("utf-8", "surrogateescape") for name, value in plain.items()}
    values |= chosen.values_of(args, config, {**configured, **asked})
    output = written(args.format, values)  # also where it is not shown: what it cannot carry is an error
    is_shown = args.reveal or not (console.as_json or console.shows_on_terminal)
    if not is_shown:
        output = written(args.format, dict.fromkeys(values, MASK.encode()))
    if console.as_json:
        shown = {name: value.decode("utf-8", "replace") if is_shown else None for name, value in values.items()}
        console.result({"variables": shown}, "")
        return 0
    console.payload(output)
    if not is_shown:
        console.note("--reveal shows the values; to a file or a pipe they are written as they are")
    return 0


def _form(text: str) -> str:
    if text in FORMS:
        return text
    raise argparse.ArgumentTypeError(" or ".join(FORMS))
