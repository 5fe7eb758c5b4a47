"""Which variables ``run`` sets and ``export`` prints, and what they are set to.

A variable is there because the configuration or the command line names it: see ``asyncsecrets.cli.variables``.
"""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from asyncsecrets.cli.console import Console, printable
from asyncsecrets.cli.sources import STORED, Use, at_source, composed, nearest_name, read_file, uses, using, whole
from asyncsecrets.cli.variables import check_names, decides, is_possible, listed
from asyncsecrets.errors import ConfigError, ResolveError, SecretNotFoundError

if TYPE_CHECKING:
    from asyncsecrets.config import Config
    from asyncsecrets.secret import Secret

__all__ = ["configure", "values_of", "wanted_by"]


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that choose."""
    parser.add_argument(
        "--only",
        metavar="NAME",
        action="append",
        default=[],
        help="of the configuration's names and those of the local store, only this one; again for more",
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
        "--allow",
        metavar="VARIABLE",
        action="append",
        default=[],
        help="set this one, although it decides which code the command runs or whom it trusts; again for more",
    )


def values_of(args: argparse.Namespace, config: Config, wanted: Mapping[str, str]) -> dict[str, bytes]:
    """What the variables are set to, every secret read at once: all of them, or ResolveError.

    A secret as a whole may be any bytes; within a text it is text.
    """
    from asyncsecrets.templates import filled, is_template

    secrets = _read(args, config, wanted.values()) if wanted else {}
    texts = {reference: secrets[reference].reveal() for text in wanted.values() for reference in _parts(text)}
    return {
        variable: filled(text, texts).encode() if is_template(text) else secrets[text].reveal_bytes()
        for variable, text in wanted.items()
    }


def _parts(text: str) -> list[str]:
    """The references within a text; none where it is one as a whole."""
    from asyncsecrets.templates import is_template, references_in

    return references_in(text) if is_template(text) else []


def _read(args: argparse.Namespace, config: Config, texts: Iterable[str]) -> dict[str, Secret]:
    """Read them all, or raise ResolveError, with the command that says what to do about those that are missing."""
    references = list(dict.fromkeys(one for text in texts for one in _parts(text) or [text]))
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


def wanted_by(
    args: argparse.Namespace, config: Config, console: Console
) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Variables and the references they are read by: those that the command line asks for, and the configuration's; and
    variables that are no secret. Raises ConfigError."""
    asked, plain = _from_file(args.env_from, config, args.source) if args.env_from else ({}, {})
    check_names({**asked, **plain}, str(args.env_from), args.allow)
    by_hand = _by_hand(args, config)
    check_names(by_hand, "--secret", args.allow)
    asked |= by_hand
    configured: dict[str, str] = {}
    if args.only or not (asked or plain):
        configured = _configured(args, config, console)
        check_names(configured, config.origin or STORED, args.allow)
    if args.only:
        asked, configured = {**configured, **asked}, {}
    set_ones = {**configured, **asked, **plain}
    for name in args.allow:
        if name not in set_ones:
            near = nearest_name(name, set_ones)
            raise ConfigError(f"--allow {name.partition('=')[0][:80]!a}: no variable of this name would be set{near}")
    return asked, configured, plain


def _by_hand(args: argparse.Namespace, config: Config) -> dict[str, str]:
    """What ``--secret`` asks for."""
    from asyncsecrets.templates import references_in

    wanted = {}
    for text in args.secret:
        variable, has_reference, reference = text.partition("=")
        # Anything else may be a value that somebody meant to set: it must not be asked for, nor shown.
        if has_reference and not references_in(reference):
            raise ConfigError(
                "--secret VARIABLE=REFERENCE needs os.environ/NAME or secret://SOURCE/NAME after the =, or a text with "
                "${secret://SOURCE/NAME} in it"
            )
        wanted[variable] = _asked(whole(config, reference or variable), args.source)
    return wanted


def _from_file(path: Path, config: Config, source: str | None) -> tuple[dict[str, str], dict[str, str]]:
    from asyncsecrets.providers.dotenv import parse_dotenv
    from asyncsecrets.templates import references_in

    variables = parse_dotenv(read_file(path), origin=str(path), environ=os.environ)
    secret = {name: _asked(whole(config, value), source) for name, value in variables.items() if references_in(value)}
    return secret, {name: value for name, value in variables.items() if name not in secret}


def _asked(text: str, source: str | None) -> str:
    """``text`` with its references as they are asked of ``source``."""
    from asyncsecrets.templates import mapped

    return mapped(text, lambda reference: at_source(reference, source))


def _configured(args: argparse.Namespace, config: Config, console: Console) -> dict[str, str]:
    """The variables that the configuration names, or those of them and of the store that ``--only`` names."""
    found = uses(config)
    for use in found:
        if use.problem is not None:
            raise ConfigError(f"{use.places[0]}: {use.problem}")
    composite = {name: _asked(text, args.source) for name, text in composed(config).items()}
    named = _named(found, args.source) | composite
    stored = {
        one.reference.name: at_source(one.text, args.source) for one in found if one.reference and one.is_only_stored
    }
    if args.only:
        return _chosen(args.only, {**stored, **named}, config)
    wanted = {name: text for name, text in named.items() if is_possible(name)}
    parts = {reference for text in composite.values() for reference in _parts(text)}
    nameless = [use.text for use in found if not use.is_only_stored and not _has_name(use) and use.text not in parts]
    if not wanted:
        raise ConfigError(_nothing(config, nameless, stored))
    for problem in (_of_nameless(nameless), _of_unnamed(config, stored)):
        if problem:
            console.note(f"asyncsecrets: note: {problem}")
    return wanted


def _named(found: Sequence[Use], source: str | None) -> dict[str, str]:
    """Variables and references, by the words of the file. What ``environment_variables`` gives a name goes first."""
    own = {name: at_source(use.text, source) for use in found for name in use.own}
    return own | {name: at_source(use.text, source) for use in found for name in use.given}


def _has_name(use: Use) -> bool:
    return any(map(is_possible, [*use.own, *use.given]))


def _chosen(only: Sequence[str], known: Mapping[str, str], config: Config) -> dict[str, str]:
    for name in only:
        if name not in known:
            near = nearest_name(name, known) or "; --secret VARIABLE asks for a name that is not used there"
            raise ConfigError(f"--only {name[:80]!a}: {config.origin or 'the configuration'} has no such name{near}")
    return {name: known[name] for name in only}


def _nothing(config: Config, nameless: Sequence[str], stored: Mapping[str, str]) -> str:
    """What to say where no variable is named."""
    if nameless or stored:
        return _of_nameless(nameless) or _of_unnamed(config, stored)
    return (
        f"{config.origin or 'the configuration'} refers to no secret, and no local store has one: store one with "
        f"asyncsecrets set NAME, or name those of another source: --secret VARIABLE=REFERENCE"
    )


def _of_nameless(nameless: Sequence[str]) -> str:
    """What to say of references that have no name which a variable can have."""
    if not nameless:
        return ""
    return (
        f"no variable is named for {_shown(nameless)}, so none is set; --secret VARIABLE={printable(nameless[0])} would"
    )


def _of_unnamed(config: Config, stored: Mapping[str, str]) -> str:
    """What to say of names that the store has and nothing names, with the remedies: for once, and for good."""
    if not stored:
        return ""
    name = next((name for name in stored if is_possible(name) and not decides(name)), None)
    remedy = (
        f"--only {name} sets it this time; environment_variables: {{{name}: os.environ/{name}}} in the file, always"
        if name
        else f"--secret VARIABLE={printable(next(iter(stored.values())))} sets it"
    )
    return (
        f"not set: {_shown(stored)}, in the local store and not named in {config.origin or 'a configuration file'}\n"
        f"what to do: {remedy}"
    )


def _shown(names: Collection[str]) -> str:
    return printable(listed(names))
