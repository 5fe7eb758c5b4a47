"""``asyncsecrets resolve``: a document with its references replaced, all or nothing."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from asyncsecrets.cli.console import Console
from asyncsecrets.cli.sources import at_source, read_config, read_file, using, whole
from asyncsecrets.secret import MASK

if TYPE_CHECKING:
    from asyncsecrets.cli.documents import JsonDocument, YamlDocument

HELP = "print a YAML or JSON document with every reference in it replaced, all or nothing"

_MAX_BYTES = 1024 * 1024


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("file", metavar="FILE", help="the document, JSON if it ends in .json; - is YAML from stdin")
    parser.add_argument("--reveal", action="store_true", help=f"print values (default: read them, and print {MASK})")
    parser.add_argument("--format", type=_format, metavar="yaml|json", help="what to print (default: what FILE is)")


def run(args: argparse.Namespace, console: Console) -> int:
    """Read every secret that the document refers to, and print it with them in place, or masked."""
    from asyncsecrets.templates import filled, references_in

    document, config = _read(args.file, console), read_config(args)
    texts = {text: text if args.source else whole(config, text) for _, text in document.references}
    asked = {one: at_source(one, args.source) for text in texts.values() for one in references_in(text)}
    found = using(config, lambda client: client.get_many(asked.values()))
    secrets = {text: found[reference] for text, reference in asked.items()}
    # Revealed also when it is not printed: what is no text cannot stand in a document.
    revealed = {text: secret.reveal() for text, secret in secrets.items()}
    values = {text: filled(of, revealed) for text, of in texts.items()}
    shown = values if args.reveal else dict.fromkeys(values, MASK)
    if console.as_json:
        used = {text: {"source": secret.source, "version": secret.version} for text, secret in secrets.items()}
        console.result({"document": document.as_data(shown), "references": used}, "")
    else:
        text = json.dumps(document.as_data(shown), indent=2) if args.format == "json" else document.as_text(shown)
        console.payload(text.encode("utf-8"), end_line=True)
    return 0


def _read(file: str, console: Console) -> JsonDocument | YamlDocument:
    from asyncsecrets.cli.documents import read_document

    if file != "-":
        return read_document(read_file(Path(file), limit=_MAX_BYTES), file)
    return read_document(console.read_bytes(_MAX_BYTES + 1), "stdin")


def _format(text: str) -> str:
    if text in {"yaml", "json"}:
        return text
    raise argparse.ArgumentTypeError("yaml or json")
