"""``asyncsecrets keys``: the virtual keys of an application.

A key is printed when it is made, as ``get`` prints a value: where stdout is not a terminal, or with ``--reveal``.
"""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from asyncsecrets.cli import values
from asyncsecrets.cli.confirm import source_of
from asyncsecrets.cli.console import Console, printable
from asyncsecrets.cli.exits import Family
from asyncsecrets.cli.sources import with_client
from asyncsecrets.errors import ConfigError
from asyncsecrets.secret import MASK, Secret

if TYPE_CHECKING:
    from asyncsecrets.virtual_keys import Finding, VirtualKeys

HELP = "make, list, rotate, rename and delete virtual keys, and reconcile what was left half done"

T = TypeVar("T")

_PATIENCE: Final = 120.0
_NEEDS: Final = {"list": 0, "create": 1, "import": 1, "rotate": 1, "rename": 2, "delete": 1, "reconcile": 0}
"""How many aliases each action takes."""
_OPTIONS: Final = {
    "finish": ("reconcile",),
    "grace": ("rotate",),
    "patience": ("reconcile", "rotate", "rename", "delete"),
    "replace": ("create", "import"),
    "reveal": ("create", "rotate"),
    "undo": ("reconcile",),
    "yes": ("delete",),
}
"""The actions that each option goes with."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.usage = (
        "asyncsecrets keys [list | create ALIAS | import ALIAS | rotate ALIAS | rename ALIAS NEW | delete ALIAS | "
        "reconcile] [options]"
    )
    # Checked by hand: argparse would take a wrong one for a wrong command.
    parser.add_argument(
        "action",
        metavar="ACTION",
        nargs="?",
        default="list",
        help="list (default); create; import, of a key that is read from stdin; rotate; rename; delete; reconcile",
    )
    parser.add_argument("aliases", metavar="ALIAS", nargs="*", help="what the application calls the key")
    parser.add_argument("--replace", action="store_true", help="create, import: also where the alias has a key")
    parser.add_argument("--reveal", action="store_true", help="print the key also on a terminal or with --json")
    parser.add_argument(
        "--grace", metavar="S", type=_seconds, help="rotate: accept the old key for S seconds (default: 3600)"
    )
    parser.add_argument(
        "--patience",
        metavar="S",
        type=_seconds,
        help="take what was begun S seconds ago for broken off (default: 120)",
    )
    fix = parser.add_mutually_exclusive_group()
    fix.add_argument("--finish", action="store_true", help="reconcile: bring what is half done to its end")
    fix.add_argument("--undo", action="store_true", help="reconcile: have the old keys be current again")
    parser.add_argument("--yes", action="store_true", help="delete: do not ask")


def run(args: argparse.Namespace, console: Console) -> int:
    """Do one of the actions."""
    _check(args)
    return _ACTIONS[args.action](args, console)


def _check(args: argparse.Namespace) -> None:
    """Raise ConfigError for what does not go together. Nothing that was typed is repeated: it may be a key."""
    needs = _NEEDS.get(args.action)
    if needs is None:
        raise ConfigError(f"keys has no such action; the actions are: {', '.join(_NEEDS)}")
    if len(args.aliases) != needs:
        takes = ("takes no ALIAS", "takes one ALIAS, and never a key", "takes an ALIAS and a new one")[needs]
        raise ConfigError(f"keys {args.action} {takes} (see: asyncsecrets keys --help)")
    for option, actions in _OPTIONS.items():
        if getattr(args, option) not in {None, False} and args.action not in actions:
            raise ConfigError(f"--{option} goes with keys {', '.join(actions)}")


def _seconds(text: str) -> float:
    # argparse's own message would repeat the text.
    if text.isascii() and text.replace(".", "", 1).isdigit() and len(text) <= 12:
        return float(text)
    raise argparse.ArgumentTypeError("S is a number of seconds, 0 or more")


def _with_keys(args: argparse.Namespace, work: Callable[[VirtualKeys], Awaitable[T]]) -> T:
    """Run ``work`` with the keys of this invocation. Raises AsyncSecretsError."""
    from asyncsecrets.virtual_keys import VirtualKeys

    patience = _PATIENCE if args.patience is None else args.patience

    async def session(client: Any) -> T:
        return await work(VirtualKeys(client, args.source, patience=patience))

    return with_client(args, session)


def _list(args: argparse.Namespace, console: Console) -> int:
    aliases = _with_keys(args, lambda keys: keys.list())
    console.result({"source": source_of(args), "aliases": aliases}, "\n".join(map(printable, aliases)))
    return 0


def _create(args: argparse.Namespace, console: Console) -> int:
    [alias] = args.aliases
    key = _with_keys(args, lambda keys: keys.create(alias, replace=args.replace))
    return _show(args, console, key)


def _import(args: argparse.Namespace, console: Console) -> int:
    [alias] = args.aliases
    given = values.read_text(console, "key: ")
    if given != given.strip() or not given:
        raise ConfigError("a key is not empty, and has no blanks or line breaks around it: pipe it by printf %s")
    key = _with_keys(args, lambda keys: keys.store(alias, given, replace=args.replace))
    document = {"alias": alias, "name": key.name, "version": key.version, "source": source_of(args)}
    console.result(document, f"stored  {printable(alias)}  {source_of(args)}")
    return 0


def _rotate(args: argparse.Namespace, console: Console) -> int:
    [alias] = args.aliases
    done = _with_keys(args, lambda keys: keys.rotate(alias, grace=args.grace))
    if done.until is None:
        return _show(args, console, done.key, until=None)
    until = _time(done.until)
    code = _show(args, console, done.key, until=until)
    console.note(f"note: the old key is accepted until {until}")
    return code


def _show(args: argparse.Namespace, console: Console, key: Secret, **more: Any) -> int:
    """Print a key that was made just now, where that is asked for."""
    alias, source = args.aliases[-1], source_of(args)
    if console.as_json:
        shown = key.reveal() if args.reveal else None
        document = {"alias": alias, "name": key.name, "version": key.version, "source": source, "key": shown}
        console.result({**document, **more}, "")
    elif args.reveal or not console.shows_on_terminal:
        console.payload(key.reveal_bytes(), end_line=console.shows_on_terminal)
    else:
        row = (alias, MASK, key.name, key.version or "-", source)
        console.result({}, console.table(("ALIAS", "KEY", "NAME", "VERSION", "SOURCE"), [row]))
        console.note(f"--reveal shows a key when it is made; later: asyncsecrets get {printable(key.name)}")
    return 0


def _rename(args: argparse.Namespace, console: Console) -> int:
    alias, to = args.aliases
    done = _with_keys(args, lambda keys: keys.rename(alias, to))
    source = source_of(args)
    document = {"alias": alias, "to": to, "name": done.key.name, "version": done.key.version, "source": source}
    console.result(document, f"renamed  {printable(alias)}  {printable(to)}  {source}")
    return 0


def _delete(args: argparse.Namespace, console: Console) -> int:
    [alias] = args.aliases
    if not args.yes:
        if not console.interactive or console.as_json:
            raise ConfigError(f"deleting the key {alias!r} needs a yes, and there is nobody to ask: give --yes")
        if not console.ask(f"delete the key {printable(alias)} at source {source_of(args)}?"):
            console.note("nothing was changed")
            return Family.REFUSED.value
    _with_keys(args, lambda keys: keys.delete(alias))
    document = {"alias": alias, "source": source_of(args), "deleted": True}
    console.result(document, f"deleted  {printable(alias)}  {source_of(args)}")
    return 0


def _reconcile(args: argparse.Namespace, console: Console) -> int:
    """Tell, and end as in a conflict where something is left to do."""
    findings = _with_keys(args, lambda keys: keys.reconcile("finish" if args.finish else "undo" if args.undo else None))
    document = {"source": source_of(args), "findings": [_described(one) for one in findings]}
    console.result(document, _table(console, findings))
    is_open = [one for one in findings if one.is_open]
    if is_open:
        console.note("what to do: asyncsecrets keys reconcile --finish, or --undo" if not (args.finish or args.undo)
                     else "some of it could not be brought to an end: see PROBLEM, and try again")  # fmt: skip
    return Family.CONFLICT.value if is_open else 0


def _table(console: Console, findings: Sequence[Finding]) -> str:
    rows = [
        (
            one.alias or one.name,
            f"{one.state} {one.kind}".strip(),
            _time(one.since) if one.since is not None else "-",
            _time(one.until) if one.until is not None else "-",
            "fixed" if one.fixed else one.problem or "-",
        )
        for one in findings
    ]
    return console.table(("ALIAS", "STATE", "SINCE", "UNTIL", "PROBLEM"), rows) if rows else "nothing to reconcile"


def _described(one: Finding) -> dict[str, Any]:
    return {
        "alias": one.alias,
        "name": one.name,
        "state": one.state,
        "kind": one.kind or None,
        "since": _time(one.since) if one.since is not None else None,
        "until": _time(one.until) if one.until is not None else None,
        "fixed": one.fixed,
        "problem": one.problem or None,
    }


def _time(seconds: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")


_ACTIONS: Final[dict[str, Callable[[argparse.Namespace, Console], int]]] = {
    "list": _list,
    "create": _create,
    "import": _import,
    "rotate": _rotate,
    "rename": _rename,
    "delete": _delete,
    "reconcile": _reconcile,
}
