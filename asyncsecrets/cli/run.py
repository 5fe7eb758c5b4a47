"""``asyncsecrets run -- COMMAND``: a command with secrets in its environment, and nowhere else.

This process *becomes* the command (exec): signals, exit code and process id are the command's own, no copy of the
values stays behind in a parent, and neither an argument nor this process's environment ever holds one. Unless every
secret can be read and set, nothing is started.

A variable is set because the configuration or the command line names it. That the manager has a secret of some name is
no reason: whoever may add one would choose the command's variables, ``GIT_CONFIG_PARAMETERS`` for one.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn

from asyncsecrets.cli import chosen
from asyncsecrets.cli.console import Console
from asyncsecrets.cli.sources import read_config
from asyncsecrets.cli.starting import not_started, warning_of
from asyncsecrets.cli.variables import check_value, credentials_in, listed, misfit, without_bootstrap
from asyncsecrets.errors import ConfigError, UnsupportedOperationError

if TYPE_CHECKING:
    from asyncsecrets.config import Config

HELP = "run a command with secrets in its environment"

Environment = dict[str, str | bytes]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.usage = "asyncsecrets run [options] -- COMMAND [ARGUMENT ...]"
    chosen.configure(parser)
    handed_on = parser.add_mutually_exclusive_group()
    handed_on.add_argument(
        "--keep-credentials",
        action="store_true",
        help="hand on to the command what lets asyncsecrets into the managers (VAULT_TOKEN, ...), too",
    )
    handed_on.add_argument(
        "--clean",
        action="store_true",
        help="keep from the command what leads to the managers as well (VAULT_ADDR, ...)",
    )
    parser.set_defaults(command_line=[])


def run(args: argparse.Namespace, console: Console) -> int:
    """Read every secret, then become the command. Returns only if it cannot be executed."""
    if not args.command_line:
        raise ConfigError("there is no command to run: asyncsecrets run [options] -- COMMAND [ARGUMENT ...]")
    if os.name != "posix":
        raise UnsupportedOperationError("run needs a system on which a process can become another one (exec)")
    config = read_config(args)
    asked, configured, plain = chosen.wanted_by(args, config, console)
    values = chosen.values_of(args, config, {**configured, **asked})
    for name in asked:
        check_value(name, values[name])
    inherited = _inherited(args, config, {*plain, *values}, console)
    return _become(args.command_line, _without_misfits({**inherited, **plain, **values}, configured, console), console)


def _without_misfits(environment: Environment, configured: Collection[str], console: Console) -> Environment:
    """``environment`` without what no variable can hold: nobody asked for it by name, so it stops nobody else."""
    values = {name: environment[name] for name in configured}
    problems = {name: misfit(name, value) for name, value in values.items() if isinstance(value, bytes)}
    for problem in filter(None, problems.values()):
        console.note(f"asyncsecrets: note: {problem}, so it is not set")
    return {name: value for name, value in environment.items() if not problems.get(name)}


def _inherited(args: argparse.Namespace, config: Config, named: Collection[str], console: Console) -> Environment:
    """What the command gets of our own environment: not what lets us into the managers, unless somebody says so."""
    if args.keep_credentials:
        return dict(os.environ)
    ours = credentials_in(os.environ, config.sources.values())
    if args.clean:
        rest = without_bootstrap(os.environ, (source.system for source in config.sources.values()))
        return {name: value for name, value in rest.items() if name not in ours}
    if unset := [name for name in ours if name not in named]:
        console.note(
            f"asyncsecrets: note: not handed on: {listed(unset)} (lets asyncsecrets in); --keep-credentials hands it on"
        )
    return {name: value for name, value in os.environ.items() if name not in ours}


def _become(command_line: Sequence[str], environment: Mapping[str, str | bytes], console: Console) -> int:
    """exec. The value of a secret is in ``environment`` only."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    # Python ignores these for itself, and what is ignored stays so over exec: the command could not end by them.
    for name in ("SIGPIPE", "SIGXFSZ"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
    if warning := warning_of(command_line[0], environment):
        console.note(f"asyncsecrets: note: {warning}")
    try:
        _exec(command_line, environment)
    except (OSError, ValueError) as error:
        refused = not_started(command_line[0], error, environment)
    return console.error(*refused)


def _exec(command_line: Sequence[str], environment: Mapping[str, str | bytes]) -> NoReturn:
    os.execvpe(command_line[0], list(command_line), environment)  # noqa: S606  # no shell is the point
