"""``asyncsecrets rotate``: by the manager's own means, or with a value that is made here."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from asyncsecrets.cli import consumer
from asyncsecrets.cli.confirm import source_of
from asyncsecrets.cli.console import Console, printable
from asyncsecrets.cli.sources import with_client
from asyncsecrets.errors import ConfigError

if TYPE_CHECKING:
    from asyncsecrets.rotating import Generator
    from asyncsecrets.secret import Secret

HELP = "give a secret a new value: by the manager's own means, or made here with --generate"

KINDS: Final = ("password", "token", "uuid", "hex", "rsa", "ed25519")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("name", metavar="NAME", help="the secret, as a whole: a name, or secret://SOURCE/NAME")
    parser.add_argument("--generate", metavar="KIND", choices=KINDS, help=f"make a value: {', '.join(KINDS)}")
    parser.add_argument("--length", metavar="N", type=_number, help="password: characters (32); token, hex: bytes (32)")
    parser.add_argument("--symbols", action="store_true", help="password: with symbols, too")
    parser.add_argument("--exclude", metavar="CHARS", default="", help="password: without these characters")
    parser.add_argument("--field", metavar="F", help="the member of an object that is rotated; the others stay")
    parser.add_argument(
        "--exec",
        metavar="COMMAND",
        dest="command_text",
        help="sets the new value, which it reads from stdin, where it is used; if it fails, nothing is promoted",
    )
    parser.add_argument("--restart", action="store_true", help="give up what a rotation that was broken off has made")


def run(args: argparse.Namespace, console: Console) -> int:
    """Rotate, and print the version that is, or will be, the new one."""
    if args.generate is None:
        return _by_manager(args, console)
    from asyncsecrets.rotating import public_key

    done = _rotated(args)
    is_pair = args.generate in {"rsa", "ed25519"}
    public = public_key(done) if is_pair else None
    document = {"name": args.name, "source": source_of(args), "version": done.version, "public_key": public}
    version = f"  version {printable(done.version)}" if done.version else ""
    console.result(document, f"rotated  {printable(args.name)}  {source_of(args)}{version}")
    console.line(public.rstrip()) if public else None
    return 0


def _by_manager(args: argparse.Namespace, console: Console) -> int:
    if args.length or args.symbols or args.exclude or args.field or args.command_text or args.restart:
        raise ConfigError("--length, --symbols, --exclude, --field, --exec and --restart go with --generate")
    version = with_client(args, lambda client: client.rotate(args.name, source=args.source))
    source = source_of(args)
    console.result(
        {"name": args.name, "source": source, "version": version},
        f"rotating  {printable(args.name)}  {source}  version {printable(version)}",
    )
    console.note("note: the manager takes its time; asyncsecrets versions shows when the new version is current")
    return 0


def _rotated(args: argparse.Namespace) -> Secret:
    from asyncsecrets.references import parse
    from asyncsecrets.rotating import rotate

    generator = _generator(args)
    args.source = args.source or parse(args.name).source
    hook = consumer.hook(args.command_text) if args.command_text is not None else None
    return with_client(
        args,
        lambda client: rotate(
            client,
            args.name,
            generator,
            source=args.source,
            field=args.field,
            set_at_consumer=hook,
            restart=args.restart,
        ),
    )


def _generator(args: argparse.Namespace) -> Generator:
    from asyncsecrets import rotating

    kind = args.generate
    if kind != "password" and (args.symbols or args.exclude):
        raise ConfigError("--symbols and --exclude go with --generate password")
    if args.length is not None and kind not in {"password", "token", "hex"}:
        raise ConfigError("--length goes with --generate password, token or hex")
    length = 32 if args.length is None else args.length
    if kind == "password":
        classes = ("lower", "upper", "digits", *(("symbols",) if args.symbols else ()))
        return rotating.Password(length, classes, args.exclude)
    makers: dict[str, Callable[[], Generator]] = {
        "token": lambda: rotating.Token(length),
        "hex": lambda: rotating.Hex(length),
        "uuid": rotating.Uuid,
        "rsa": rotating.Rsa,
        "ed25519": rotating.Ed25519,
    }
    return makers[kind]()


def _number(text: str) -> int:
    # argparse's own message would repeat the text, which may be a value.
    if text.isascii() and text.isdigit() and len(text) <= 4:
        return int(text)
    raise argparse.ArgumentTypeError("N is a number")
