"""``asyncsecrets run -- COMMAND``: a command with secrets in its environment, and nowhere else.

This process *becomes* the command (exec): signals, exit code and process id are the command's own, no copy of the
values stays behind in a parent, and neither an argument nor this process's environment ever holds one. Unless every
secret can be read and set, nothing is started.
"""

from __future__ import annotations

import argparse
import errno
import os
import shlex
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

from asyncsecrets.cli.console import Console
from asyncsecrets.cli.exits import NO_COMMAND, NOT_EXECUTABLE
from asyncsecrets.cli.sources import STORED, Use, at_source, nearest_name, read_config, read_file, uses, using
from asyncsecrets.cli.variables import check_name, check_value, without_bootstrap
from asyncsecrets.errors import (
    AsyncSecretsError,
    ConfigError,
    ResolveError,
    SecretNotFoundError,
    UnsupportedOperationError,
)

if TYPE_CHECKING:
    from asyncsecrets.config import Config
    from asyncsecrets.secret import Secret

HELP = "run a command with secrets in its environment"

Environment = dict[str, str | bytes]

_TOLD: Final = 3
"""The most names in a note."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.usage = "asyncsecrets run [options] -- COMMAND [ARGUMENT ...]"
    parser.add_argument(
        "--only",
        metavar="NAME",
        action="append",
        default=[],
        help="of the configuration's names, only this one; again for more",
    )
    parser.add_argument(
        "--secret",
        metavar="VARIABLE[=REFERENCE]",
        action="append",
        default=[],
        help="set VARIABLE from this secret (default: of the same name); again for more; alone, instead of the "
        "configuration's names",
    )
    parser.add_argument(
        "--env-from",
        metavar="FILE",
        type=Path,
        help="set the variables of this .env file, references replaced; alone, instead of the configuration's names",
    )
    parser.add_argument(
        "--clean", action="store_true", help="keep from the command what leads to the managers (HCP_VAULT_TOKEN, ...)"
    )
    parser.set_defaults(command_line=[])


def run(args: argparse.Namespace, console: Console) -> int:
    """Read every secret, then become the command. Returns only if it cannot be executed."""
    if not args.command_line:
        raise ConfigError("there is no command to run: asyncsecrets run [options] -- COMMAND [ARGUMENT ...]")
    if os.name != "posix":
        raise UnsupportedOperationError("run needs a system on which a process can become another one (exec)")
    config = read_config(args)
    wanted, plain = _wanted(args, config, console)
    secrets = _read(args, config, list(wanted.values())) if wanted else {}
    values = {variable: secrets[reference].reveal_bytes() for variable, reference in wanted.items()}
    for variable, value in values.items():
        check_value(variable, value)
    inherited = os.environ
    environment: Environment = dict(
        without_bootstrap(inherited, (source.system for source in config.sources.values())) if args.clean else inherited
    )
    return _become(args.command_line, {**environment, **plain, **values}, console)


def _read(args: argparse.Namespace, config: Config, references: list[str]) -> dict[str, Secret]:
    """Read them all, or raise ResolveError, with the command that says what to do about those that are missing."""
    try:
        return using(config, lambda client: client.get_many(references))
    except ResolveError as error:
        failed = error
    if not any(isinstance(one, SecretNotFoundError) for one in failed.failures.values()):
        raise failed
    options = [("--config", args.config), ("--source", args.source)]
    words = [word for option, value in options if value for word in (option, value)]
    # Those of the configuration are what check looks at by itself.
    words += [] if not (args.secret or args.env_from) else failed.failures
    failed.message += f"\nwhat to do: {shlex.join(['asyncsecrets', 'check', *words])}"
    raise failed


def _wanted(args: argparse.Namespace, config: Config, console: Console) -> tuple[dict[str, str], dict[str, str]]:
    """Variables and the references they are read by, and variables that are no secret. Raises ConfigError."""
    from asyncsecrets.references import is_reference

    wanted, plain = _from_file(args.env_from, args.source) if args.env_from else ({}, {})
    for text in args.secret:
        variable, has_reference, reference = text.partition("=")
        # Anything else may be a value that somebody meant to set: it must not be asked for, nor shown.
        if has_reference and not is_reference(reference):
            raise ConfigError("--secret VARIABLE=REFERENCE needs os.environ/NAME or secret://SOURCE/NAME after the =")
        wanted[variable] = at_source(reference or variable, args.source)
    for variable in wanted:
        check_name(variable, "--env-from or --secret")
    if args.only or not (wanted or plain):
        wanted = {**_configured(args, config, console), **wanted}
    if not (wanted or plain):
        raise ConfigError(
            f"{config.origin or 'the configuration'} refers to no secret, and no local store has one: store one with "
            f"asyncsecrets set NAME, or name those of another source: --secret VARIABLE=REFERENCE"
        )
    return wanted, plain


def _from_file(path: Path, source: str | None) -> tuple[dict[str, str], dict[str, str]]:
    from asyncsecrets.providers.dotenv import parse_dotenv
    from asyncsecrets.references import is_reference

    variables = parse_dotenv(read_file(path), origin=str(path))
    for variable in variables:
        check_name(variable, str(path))
    plain = {variable: value for variable, value in variables.items() if not is_reference(value)}
    secret = {name: at_source(value, source) for name, value in variables.items() if name not in plain}
    return secret, plain


def _configured(args: argparse.Namespace, config: Config, console: Console) -> dict[str, str]:
    """The names that the configuration uses. A reference that names a source has no variable of its own."""
    found = uses(config)
    for use in found:
        if use.problem is not None:
            raise ConfigError(f"{use.places[0]}: {use.problem}")
    plain = [use for use in found if use.reference is not None and use.reference.is_plain]
    names = {use.reference.name: at_source(use.text, args.source) for use in plain if use.reference is not None}
    for name in args.only:
        if name not in names:
            near = nearest_name(name, names) or "; --secret VARIABLE asks for a name that is not used there"
            raise ConfigError(f"--only {name[:80]!a}: {config.origin or 'the configuration'} has no such name{near}")
    if args.only:
        names = {name: names[name] for name in args.only}
    else:
        _tell_of_nameless(found, console)
        names = _without_impossible(names, found, console)
    for name in names:
        check_name(name, config.origin or STORED)
    return names


def _without_impossible(names: dict[str, str], found: Sequence[Use], console: Console) -> dict[str, str]:
    """``names`` without those that no variable can have and that only the store has: nobody asked for them."""
    stored = [use.reference.name for use in found if use.reference is not None and use.is_only_stored]
    impossible = [name for name in stored if not _is_possible(name)]
    if impossible:
        console.note(
            f"asyncsecrets: note: no variable is set for {', '.join(impossible[:_TOLD])}"
            f"{' and others' if len(impossible) > _TOLD else ''}, which cannot be the name of one; "
            f"--secret VARIABLE={names[impossible[0]]} would"
        )
    return {name: text for name, text in names.items() if name not in impossible}


def _is_possible(name: str) -> bool:
    try:
        check_name(name, STORED)
    except ConfigError:
        return False
    return True


def _tell_of_nameless(found: Sequence[Use], console: Console) -> None:
    nameless = [use.text for use in found if use.reference is not None and not use.reference.is_plain]
    if nameless:
        console.note(
            f"asyncsecrets: note: {len(nameless)} references name a source, so no variable is set for them; "
            f"--secret VARIABLE={nameless[0]} would"
        )


def _become(command_line: Sequence[str], environment: Mapping[str, str | bytes], console: Console) -> int:
    """exec. The value of a secret is in ``environment`` only."""
    sys.stdout.flush()
    sys.stderr.flush()
    # Python ignores these for itself, and what is ignored stays so over exec: the command could not end by them.
    for name in ("SIGPIPE", "SIGXFSZ"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    try:
        _exec(command_line, environment)
    except OSError as error:
        code = error.errno
    except ValueError:  # a NUL in an argument
        code = errno.EINVAL
    return _not_started(command_line[0], code, console)


def _exec(command_line: Sequence[str], environment: Mapping[str, str | bytes]) -> NoReturn:
    os.execvpe(command_line[0], list(command_line), environment)  # noqa: S606  # no shell is the point


def _not_started(command: str, code: int | None, console: Console) -> int:
    missing = code in {errno.ENOENT, errno.ENOTDIR}
    too_long = "the environment is larger than the system allows" if code == errno.E2BIG else None
    problem = "no such command" if missing else too_long or os.strerror(code or 0)
    error = AsyncSecretsError(f"{command[:200]!a} cannot be executed: {problem}")
    return console.error(error, NO_COMMAND if missing else NOT_EXECUTABLE)
