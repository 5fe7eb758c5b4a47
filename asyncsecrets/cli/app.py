"""The way of an invocation: arguments to a command, its outcome to an exit code.

What is on a command line is seen by every process of the machine, so it never holds a value; and when somebody puts
one there all the same, no error repeats it to the terminal's scrollback or a log.
"""

from __future__ import annotations

import argparse
import difflib
import logging
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Final, NoReturn, Protocol, cast

from asyncsecrets.cli.console import Console
from asyncsecrets.cli.exits import BROKEN_PIPE, INTERRUPTED, OutputError
from asyncsecrets.cli.streams import fill_closed, open_output, written
from asyncsecrets.errors import ConfigError

__all__ = ["COMMANDS", "Command", "every_parser", "main"]

COMMANDS: Final = (
    "demo",
    "init",
    "dev",
    "get",
    "set",
    "patch",
    "delete",
    "restore",
    "destroy",
    "list",
    "versions",
    "metadata",
    "rotate",
    "migrate",
    "keys",
    "recipients",
    "encrypt",
    "check",
    "resolve",
    "run",
    "export",
    "litellm",
    "completion",
)
"""Every command, in the order of ``--help``: the modules of this package with these names."""

_STARTERS: Final = frozenset({"dev", "run"})
"""Those that start a command of the user's, behind ``--``."""

_QUIET: Final = logging.NullHandler()

_EPILOG: Final = """\
exit codes: 0 ok, 1 internal error, 2 command line or configuration, 3 not found, 4 denied, 5 unavailable,
6 conflict, 7 refused or unsupported, 8 unusable data, 9 output not written, 130 interrupted; `run` ends as its
command does."""


class Command(Protocol):
    """What a command's module has."""

    HELP: str
    """One line."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Add the command's arguments."""

    def run(self, args: argparse.Namespace, console: Console) -> int:
        """Do it, and return the exit code. Raises AsyncSecretsError."""


class UsageError(ConfigError):
    """The command line is wrong."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (default: the process's), print its outcome, and return the exit code.

    ``--help`` and ``--version`` raise SystemExit, as argparse does.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    options = words[: words.index("--")] if "--" in words else words
    console = Console(as_json="--json" in options, debug="--debug" in options)
    # The command itself says what went wrong. Without any handler Python would print it once more.
    logging.getLogger("asyncsecrets").addHandler(_QUIET)
    fill_closed()
    try:
        return _told(words, console)
    except BrokenPipeError:
        _forget_output()
        return BROKEN_PIPE
    except OutputError as error:
        _forget_output()
        return console.error(error, on_stderr=True)


def _told(words: list[str], console: Console) -> int:
    """Run the command, and say what went wrong. Raises what keeps the output from being written."""
    try:
        with _warnings_shown(console):
            return _run(words, console)
    except KeyboardInterrupt:
        return INTERRUPTED
    except (BrokenPipeError, OutputError):
        raise
    except Exception as error:  # noqa: BLE001  # the last resort: whatever it is, no traceback with values in it
        return console.error(error)


@contextmanager
def _warnings_shown(console: Console) -> Iterator[None]:
    """Tell on stderr what of a configuration or a ``.env`` file is not used: a program would have that in its log."""
    logger, handler = logging.getLogger("asyncsecrets.config"), _Notes(console)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _Notes(logging.Handler):
    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.note(f"asyncsecrets: warning: {record.getMessage()}")


def _forget_output() -> None:
    """Keep the interpreter from flushing stdout once more at exit, and complaining."""
    if sys.stdout is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(words: list[str], console: Console) -> int:
    commands = _commands(_needed(words))
    args = _parse(_parser(commands), words)
    return commands[args.command].run(args, console)


def _commands(names: Sequence[str]) -> dict[str, Command]:
    return {name: cast("Command", import_module(f"asyncsecrets.cli.{name}")) for name in names}


def every_parser() -> dict[str, argparse.ArgumentParser]:
    """The parser of every command, by name."""
    found = next(action for action in _parser(_commands(COMMANDS))._actions if action.dest == "command")  # noqa: SLF001
    return dict(cast("Mapping[str, argparse.ArgumentParser]", found.choices))


def _needed(words: Sequence[str]) -> Sequence[str]:
    """The commands whose modules are imported: any that may be meant, and all of them for the help that lists them."""
    meant = [name for name in COMMANDS if name in words]
    return COMMANDS if not meant or not {"-h", "--help"}.isdisjoint(words) else meant


def _parse(parser: argparse.ArgumentParser, words: list[str]) -> argparse.Namespace:
    """Parse. What stands behind ``--`` is for some a command line that no parser of ours looks into."""
    if "--" in words:
        at = words.index("--")
        if not _STARTERS.isdisjoint(words[:at]):
            args = parser.parse_args(words[:at])
            if args.command in _STARTERS:
                args.command_line = words[at + 1 :]
                return args
    return parser.parse_args(words)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are ours, and do not repeat what was typed."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{_without_words(message)} (see: {self.prog} --help)")

    def _print_message(self, message: str, file: object = None) -> None:  # noqa: ARG002  # always standard output
        """Print help, and the version. argparse drops it in silence where it cannot be written."""
        with written():
            stream = open_output(sys.stdout)
            stream.write(message)
            stream.flush()

    def parse_args(  # type: ignore[override]  # narrower: no namespace is ever handed in
        self, args: Sequence[str] | None = None, namespace: None = None
    ) -> argparse.Namespace:
        parsed, rest = self.parse_known_args(args, namespace)
        if rest:
            raise UsageError(_unexpected(rest, parsed.command, parsed.options))
        return parsed


class _CommandParser(_Parser):
    """That of one command, whose options may stand between its words, where none of these stands behind ``--``."""

    _is_between = False

    def parse_known_args(  # type: ignore[override]  # argparse's has overloads
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        if self._is_between or (args is not None and "--" in args):
            return super().parse_known_args(args, namespace)
        self._is_between = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._is_between = False


def _parser(commands: dict[str, Command]) -> argparse.ArgumentParser:
    from asyncsecrets import __version__

    parser = _Parser(
        prog="asyncsecrets",
        description="Secrets for asyncio services. Begin with: asyncsecrets demo; in your project: asyncsecrets init",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"asyncsecrets {__version__}")
    _add_common(parser, config=None, source=None, json=False, debug=False)
    names = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=_CommandParser)
    for name, command in commands.items():
        subparser = names.add_parser(name, help=command.HELP, description=command.HELP, allow_abbrev=False)
        command.configure(subparser)
        subparser.set_defaults(options=tuple(subparser._option_string_actions))  # noqa: SLF001  # there is no other way
        # Given before or after the command; unset there, what was given before must not be overwritten.
        suppress = argparse.SUPPRESS
        _add_common(subparser, config=suppress, source=suppress, json=suppress, debug=suppress)
    return parser


def _add_common(
    parser: argparse.ArgumentParser, *, config: object, source: object, json: object, debug: object
) -> None:
    group = parser.add_argument_group("common options")
    group.add_argument(
        "--config",
        metavar="PATH",
        default=config,
        help="the configuration (default: $ASYNCSECRETS_CONFIG, else config.yaml here or above, up to the repository's "
        "folder, else the environment)",
    )
    group.add_argument(
        "--source",
        metavar="NAME",
        default=source,
        help="ask this source instead of the default one",
    )
    group.add_argument("--json", action="store_true", default=json, help="print one JSON document, errors included")
    group.add_argument("--debug", action="store_true", default=debug, help="with an error, show where it came from")


def _without_words(message: str) -> str:
    """argparse's message without what was typed, which may be a value that went to the wrong place."""
    if "invalid choice" in message:
        typed = re.search(r"invalid choice: '([a-z-]{1,16})'", message)
        return _unknown_command(typed[1] if typed else "")
    if message.endswith("required: COMMAND"):
        return f"there is no command; begin with demo or init. The commands are: {', '.join(COMMANDS)}"
    return re.sub(r"(ignored explicit argument).*", r"\1", message)


def _unknown_command(word: str) -> str:
    from asyncsecrets.settings import nearest

    said = f"there is no command {word!r}{nearest(word, COMMANDS)}" if word else "there is no such command"
    return f"{said} The commands are: {', '.join(COMMANDS)}" if said.endswith("?") else f"{said}: {', '.join(COMMANDS)}"


def _unexpected(rest: Sequence[str], command: str, options: Sequence[str]) -> str:
    if rest[0].startswith("-"):
        near = difflib.get_close_matches(rest[0].partition("=")[0], options, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"{command} was given an option that it does not have{hint} (see: asyncsecrets {command} --help)"
    if command in {"set", "patch", "encrypt"}:
        return (
            f"{command} takes a NAME only; a value on the command line is seen by every process of this machine and "
            f"kept in the shell's history. Pipe it to stdin, or leave it out to be asked"
        )
    if command in _STARTERS:
        return f"write -- before the command: asyncsecrets {command} -- COMMAND"
    return f"{command} was given too many arguments (see: asyncsecrets {command} --help)"
