"""``asyncsecrets dev``: the Vault-compatible fake in the foreground, or for as long as a command runs; or Google's."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from asyncsecrets.cli.console import Console
from asyncsecrets.cli.sources import read_config, read_file
from asyncsecrets.errors import ConfigError

if TYPE_CHECKING:
    from asyncsecrets.cli.seeds import Seed
    from asyncsecrets.testing.google_server import GoogleServer
    from asyncsecrets.testing.vault_server import VaultServer

HELP = "run a Vault-compatible server for development, alone or for a command: a fake, in memory, on loopback"

_BANNER: Final = (
    "a fake for development: everything in memory and in clear, on loopback only. No place for real secrets."
)
_PORT: Final = 8200
_GOOGLE: Final = "google_secret_manager"
_GOOGLE_CONFIG: Final = """\
general_settings:
  key_management_system: google_secret_manager
  key_management_settings:
    google_secret_manager_project_id: {project}
    google_endpoint: http://{endpoint}
    auth_method: none"""
_CONFIG: Final = Path("config")
_LEADING: Final = ("VAULT_", "HCP_VAULT_", "BAO_")
"""How the variables begin that lead to a Vault: a command gets none but those of this server."""

_TOKEN: Final = re.compile(r"[\x21-\x7e]{8,512}")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.usage = "asyncsecrets dev [options] [-- COMMAND [ARGUMENT ...]]"
    parser.add_argument(
        "--port", type=_port, help=f"default: {_PORT}, or for a command one that is free; 0 takes a free one"
    )
    parser.add_argument(
        "--system",
        choices=["hashicorp_vault", _GOOGLE],
        default="hashicorp_vault",
        help="what it answers as (default: hashicorp_vault); at Google without a command, the configuration is printed",
    )
    parser.add_argument("--token-file", metavar="PATH", type=Path, help="the root token (default: a random one)")
    parser.add_argument(
        "--hostname",
        metavar="NAME",
        action="append",
        default=[],
        help="a name that clients may reach it by, beside localhost (repeatable)",
    )
    parser.add_argument(
        "--from",
        metavar="FILE|config",
        dest="origin",
        type=Path,
        help="start with its secrets: a .env, NAME: VALUE in YAML or JSON, a secrets.yaml, or what a config.yaml uses; "
        "config is the one that is found",
    )
    parser.set_defaults(command_line=None)


def run(args: argparse.Namespace, console: Console) -> int:
    """Serve until SIGINT or SIGTERM, or until the command ends, and end as it does."""
    import asyncio

    from asyncsecrets.testing.vault_server import VaultServer

    if args.command_line == []:
        raise ConfigError("there is no command behind --: asyncsecrets dev [options] -- COMMAND [ARGUMENT ...]")
    if args.system == _GOOGLE:
        return _run_google(args, console)
    token = _token(args.token_file) if args.token_file else None
    secrets = _secrets(args)
    server = VaultServer(port=_port_of(args), root_token=token, hostnames=map(_hostname, args.hostname))
    for name, members in secrets.items():
        _write(server, name, members)
    if args.command_line is None:
        asyncio.run(_serve(server, lambda: _announce(server, args, len(secrets), console)))
        return 0
    console.note(f"{_BANNER}  {_counted(len(secrets))} in secret/")
    return asyncio.run(_serve_command(server, args.command_line, console))


def _run_google(args: argparse.Namespace, console: Console) -> int:
    import asyncio

    from asyncsecrets.testing.google_server import GoogleServer

    if args.command_line is not None or args.token_file or args.hostname:
        raise ConfigError(f"--system {_GOOGLE} takes no command, --token-file or --hostname: it is led to by the file")
    secrets = _secrets(args)
    server = GoogleServer(port=args.port or 0)
    for name, members in secrets.items():
        _add(server, name, members)
    asyncio.run(_serve(server, lambda: _announce_google(server, len(secrets), console)))
    return 0


def _add(server: GoogleServer, name: str, members: Mapping[str, Any]) -> None:
    from asyncsecrets.testing.google_server.refusals import Refused

    alone = members.keys() == {"key"} and isinstance(members["key"], str)
    try:
        server.add(name, members["key"] if alone else json.dumps(dict(members)))
    except Refused as error:
        problem = error.message
    else:
        return
    raise ConfigError(f"--from: {name[:80]!a}: {problem}")


def _announce_google(server: GoogleServer, count: int, console: Console) -> None:
    """The configuration goes to stdout, the rest to stderr."""
    console.note(_BANNER)
    console.note(f"ready  {server.endpoint}  {_counted(count)} in projects/{server.project}  (Ctrl-C ends it)")
    document = {"fake": True, "endpoint": server.endpoint, "project": server.project, "secrets": count}
    text = _GOOGLE_CONFIG.format(project=server.project, endpoint=server.endpoint)
    console.result({**document, "pid": os.getpid()}, text)


def _secrets(args: argparse.Namespace) -> Seed:
    """What to start with: the word ``config`` is the configuration as other commands find it, if it is no file."""
    from asyncsecrets.cli.seeds import read_seed, seed_of

    if args.origin is None:
        return {}
    if args.origin == _CONFIG and not _CONFIG.exists():
        return seed_of(read_config(args))
    return read_seed(args.origin)


def _port_of(args: argparse.Namespace) -> int:
    if args.port is not None:
        return int(args.port)
    return _PORT if args.command_line is None else 0


def _write(server: VaultServer, name: str, members: Mapping[str, Any]) -> None:
    try:
        server.write_secret(name, dict(members))
    except ValueError:
        pass
    else:
        return
    raise ConfigError(f"--from: Vault has no secret of the name {name[:80]!a}; take it out of the file, or rename it")


async def _serve(server: VaultServer | GoogleServer, announce: Callable[[], None]) -> None:
    import asyncio

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await _start(server)
    try:
        announce()
        await stop.wait()
    finally:
        await server.aclose()


async def _serve_command(server: VaultServer, command_line: Sequence[str], console: Console) -> int:
    """Serve for as long as the command runs, and return its exit code."""
    from asyncsecrets.cli.beside import run_beside
    from asyncsecrets.cli.starting import not_started

    await _start(server)
    environment = _leading_to(server)
    try:
        return await run_beside(command_line, environment)
    except (OSError, ValueError) as error:
        refused = not_started(command_line[0], error, environment)
    finally:
        await server.aclose()
    return console.error(*refused)


def _leading_to(server: VaultServer) -> dict[str, str]:
    """Our environment with this server in the place of any other."""
    rest = {name: value for name, value in os.environ.items() if not name.startswith(_LEADING)}
    return {**rest, "VAULT_ADDR": server.url, "VAULT_TOKEN": server.root_token}


async def _start(server: VaultServer | GoogleServer) -> None:
    try:
        await server.start()
    except OSError as error:
        problem = os.strerror(error.errno) if error.errno else "it cannot be listened on"
    else:
        return
    raise ConfigError(f"port {server.port}: {problem}; --port 0 takes a free one")


def _counted(count: int) -> str:
    return "1 secret" if count == 1 else f"{count} secrets"


def _announce(server: VaultServer, args: argparse.Namespace, count: int, console: Console) -> None:
    """The lines that a shell needs go to stdout, the rest to stderr."""
    console.note(_BANNER)
    console.note(f"ready  {server.url}  {_counted(count)} in secret/  (Ctrl-C ends it)")
    token = f'"$(cat {shlex.quote(str(args.token_file))})"' if args.token_file else server.root_token
    document: dict[str, Any] = {"fake": True, "url": server.url, "secrets": count, "pid": os.getpid()}
    document["token"] = None if args.token_file else server.root_token
    console.result(document, f"export VAULT_ADDR={server.url}\nexport VAULT_TOKEN={token}")


def _token(path: Path) -> str:
    token = read_file(path, limit=1024).decode("ascii", "replace").strip()
    if not _TOKEN.fullmatch(token):
        raise ConfigError(f"{path}: a token is one line of 8 to 512 printable ASCII characters without blanks")
    return token


def _hostname(text: str) -> str:
    from asyncsecrets.testing.vault_server.guard import is_hostname

    if is_hostname(text):
        return text
    raise ConfigError("--hostname: a name or an IP address, without scheme and port")


def _port(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 6 and int(text) < 65536:
        return int(text)
    raise argparse.ArgumentTypeError("a number from 0 to 65535")
