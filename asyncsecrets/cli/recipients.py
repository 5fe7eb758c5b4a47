"""``asyncsecrets recipients``: who can read the local store, and every value encrypted anew when that changes."""

from __future__ import annotations

import argparse
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from asyncsecrets.cli.confirm import source_of
from asyncsecrets.cli.console import Console, printable
from asyncsecrets.cli.exits import Family
from asyncsecrets.cli.sources import read_config, writing
from asyncsecrets.cli.variables import listed
from asyncsecrets.errors import AccessModeError, AsyncSecretsError, ConfigError, UnsupportedOperationError

if TYPE_CHECKING:
    from asyncsecrets.declared import SourceConfig
    from asyncsecrets.providers.local import LocalProvider
    from asyncsecrets.providers.local_recipients import RecipientList

HELP = "list or change who can read the local store, or print your own public key"

T = TypeVar("T")

_REMEDY: Final = (
    "what to do: look who is on the list; if it is right, asyncsecrets recipients accept; else asyncsecrets recipients "
    "remove KEY"
)
_ACTIONS: Final = ("list", "add", "remove", "accept", "key")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.usage = (
        "asyncsecrets recipients [list | add KEY [--name NAME] | remove KEY-OR-NAME | accept | key] [options]"
    )
    # Checked by hand: argparse would take a wrong one for a wrong command.
    parser.add_argument(
        "action",
        metavar="ACTION",
        nargs="?",
        default="list",
        help="list (default); add or remove somebody; accept a list that was changed in the file by hand; key prints "
        "your own public key, and makes one where you have none",
    )
    parser.add_argument("who", metavar="KEY", nargs="?", help="an age public key (age1...); to remove, also a name")
    parser.add_argument("--name", metavar="NAME", default="", help="what to call the one who is added")
    parser.add_argument("--yes", action="store_true", help="do not ask before a list is accepted")


def run(args: argparse.Namespace, console: Console) -> int:
    """Do one of the actions."""
    _check(args)
    if args.action == "key":
        return _key(console)
    if args.action == "list":
        _show(args, console, _with_store(args, lambda store: store.recipients(), writes=False))
        return 0
    if args.action == "add":
        found = _with_store(args, lambda store: store.add_recipient(args.who, args.name))
        _show(args, console, found)
    elif args.action == "remove":
        found = _with_store(args, lambda store: store.remove_recipient(args.who))
        _show(args, console, found, rotate=list(found.secrets))
        console.note(_honestly(found))
    else:
        return _accept(args, console)
    return 0


def _check(args: argparse.Namespace) -> None:
    """Raise ConfigError for what does not go together. Nothing that was typed is repeated: it may be a secret key."""
    if args.action not in _ACTIONS:
        raise ConfigError(f"recipients has no such action; the actions are: {', '.join(_ACTIONS)}")
    needs = args.action in {"add", "remove"}
    if needs and not args.who:
        raise ConfigError(f"recipients {args.action} needs a KEY: asyncsecrets recipients {args.action} age1...")
    if args.who and not needs:
        raise ConfigError(f"recipients {args.action} takes no KEY (see: asyncsecrets recipients --help)")
    if args.name and args.action != "add":
        raise ConfigError("--name goes with recipients add")


def _with_store(args: argparse.Namespace, work: Callable[[LocalProvider], Awaitable[T]], *, writes: bool = True) -> T:
    """Run ``work`` with the local store of this invocation. Raises AsyncSecretsError."""
    name = source_of(args)
    source = read_config(args).sources.get(name)
    if source is None:
        raise ConfigError(f"the configuration has no source {name[:80]!a}")
    if source.system != "local":
        raise UnsupportedOperationError(
            f"recipients are those of a local store, and source {name!r} is {source.system}"
        )
    if writes and not source.access_mode.writes:
        raise AccessModeError(f"source {name!r} is read_only; to change it, set access_mode: read_and_write")
    return _with_source(source, work)


def _with_source(source: SourceConfig, work: Callable[[LocalProvider], Awaitable[T]]) -> T:
    import asyncio

    from asyncsecrets.providers.local import LocalProvider

    provider = LocalProvider.from_settings(source.settings, os.environ)

    async def session() -> T:
        await provider.open()
        try:
            return await work(provider)
        finally:
            await provider.aclose()

    return asyncio.run(session())


def doubt_of(source: SourceConfig) -> str:
    """What to say after a value was stored, where the store's list was changed by hand; nothing where it was not."""
    try:
        found = _with_source(source, lambda store: store.recipients())
    except AsyncSecretsError:  # the value is stored all the same
        return ""
    return f"asyncsecrets: note: this value can be read by a changed list of recipients\n{_REMEDY}" * bool(
        found.mismatched
    )


def _show(args: argparse.Namespace, console: Console, found: RecipientList, **more: Any) -> None:
    people = [(one.name, one.key, one.key in found.own) for one in found.recipients]
    rows = [(name or "-", key, "you" if own else "") for name, key, own in people]
    document = {
        "source": source_of(args),
        "recipients": [{"name": name or None, "key": key, "own": own} for name, key, own in people],
        "mismatched": list(found.mismatched),
        **more,
    }
    console.result(document, console.table(("NAME", "PUBLIC KEY", ""), rows))
    if found.mismatched:
        console.note(
            f"asyncsecrets: note: encrypted to others than these: {printable(listed(found.mismatched))}\n{_REMEDY}"
        )


def _honestly(found: RecipientList) -> str:
    count = len(found.secrets)
    secrets = f"{count} secrets have" if count != 1 else "1 secret has"
    return (
        f"asyncsecrets: note: who was removed can still read every earlier copy of the file: commits, clones, backups\n"
        f"what to do: {secrets} to be given new values where they come from, then: asyncsecrets set NAME"
    )


def _accept(args: argparse.Namespace, console: Console) -> int:
    """Show the list, and encrypt everything to it once somebody, or ``--yes``, has said yes."""
    if not args.yes:
        if not console.interactive or console.as_json:
            raise ConfigError("accepting the list of recipients needs a yes, and there is nobody to ask: give --yes")
        found = _with_store(args, lambda store: store.recipients())
        console.note("\n".join(printable(str(one)) for one in found.recipients))
        if not console.ask("encrypt every value to these recipients?"):
            console.note("nothing was changed")
            return Family.REFUSED.value
    _show(args, console, _with_store(args, lambda store: store.accept_recipients()))
    return 0


def _key(console: Console) -> int:
    """Print the public half of the key that is used, having made one where there is none."""
    from asyncsecrets.providers.local_key_files import default_key_file, read_key_file, write_key_file
    from asyncsecrets.providers.local_keys import Keys, generate_key

    text, path = os.environ.get("ASYNCSECRETS_KEY", "").strip(), default_key_file(os.environ)
    place = "ASYNCSECRETS_KEY" if text else str(path)
    if not text and not path.exists():
        secret, public = generate_key()
        with writing(path):
            write_key_file(path, secret, public)
        console.note(f"made {path}, mode 0600. Back it up. Never commit it.")
        return _public(console, place, public)
    if not text:
        _check_place(path)
    keys = Keys(text or read_key_file(path), origin=place if text else f"the key file {path}")
    if not keys:
        raise ConfigError(f"{place} holds no key; remove it to have one made")
    return _public(console, place, keys.recipients[0])


def _check_place(path: Path) -> None:
    from asyncsecrets.trust import check_found

    if not os.environ.get("ASYNCSECRETS_KEY_FILE"):
        check_found(path, "or name it, if you trust it: ASYNCSECRETS_KEY_FILE")


def _public(console: Console, place: str, public: str) -> int:
    console.result({"key": public, "from": place}, public)
    console.note("a recipient lets you in with: asyncsecrets recipients add KEY --name NAME")
    return 0
