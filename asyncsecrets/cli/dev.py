"""``asyncsecrets dev``: the Vault-compatible fake in the foreground, for development."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from asyncsecrets.cli.console import Console
from asyncsecrets.cli.sources import read_file, uses, using
from asyncsecrets.errors import ConfigError

if TYPE_CHECKING:
    from asyncsecrets.client import SecretsClient
    from asyncsecrets.secret import Secret
    from asyncsecrets.testing.vault_server import VaultServer

HELP = "run a Vault-compatible server for development: a fake, in memory, on loopback"

_BANNER: Final = (
    "a fake for development: everything in memory and in clear, on loopback only. No place for real secrets."
)
_TOKEN: Final = re.compile(r"[\x21-\x7e]{8,512}")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--port", type=_port, default=8200, help="default: 8200; 0 takes a free one")
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
        metavar="FILE",
        dest="origin",
        type=Path,
        help="fill it from a secrets.yaml or the names of a config.yaml",
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Serve until SIGINT or SIGTERM."""
    import asyncio

    from asyncsecrets.testing.vault_server import VaultServer

    token = _token(args.token_file) if args.token_file else None
    secrets = _read_all(args.origin) if args.origin else {}
    server = VaultServer(port=args.port, root_token=token, hostnames=map(_hostname, args.hostname))
    for name, secret in secrets.items():
        server.write_secret(name, {"key": secret.reveal()})
    asyncio.run(_serve(server, lambda: _announce(server, args, len(secrets), console)))
    return 0


async def _serve(server: VaultServer, announce: Callable[[], None]) -> None:
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


async def _start(server: VaultServer) -> None:
    try:
        await server.start()
    except OSError as error:
        problem = os.strerror(error.errno) if error.errno else "it cannot be listened on"
    else:
        return
    raise ConfigError(f"port {server.port}: {problem}; --port 0 takes a free one")


def _announce(server: VaultServer, args: argparse.Namespace, count: int, console: Console) -> None:
    """The lines that a shell needs go to stdout, the rest to stderr."""
    console.note(_BANNER)
    console.note(f"ready  {server.url}  {count} secrets in secret/  (Ctrl-C ends it)")
    token = f'"$(cat {shlex.quote(str(args.token_file))})"' if args.token_file else server.root_token
    document: dict[str, Any] = {"fake": True, "url": server.url, "secrets": count, "pid": os.getpid()}
    document["token"] = None if args.token_file else server.root_token
    console.result(document, f"export VAULT_ADDR={server.url}\nexport VAULT_TOKEN={token}")


def _read_all(origin: Path) -> dict[str, Secret]:
    """The secrets of a store, or those that a configuration uses by name; all, or an error that lists what failed."""
    from asyncsecrets.config import load_config
    from asyncsecrets.included import OWN
    from asyncsecrets.yaml import load_strings

    document = load_strings(read_file(origin), origin=str(origin), own=OWN)
    if isinstance(document, dict) and "recipients" in document:
        return using(load_config(_config_of_store(origin), os.environ), _everything)
    config = load_config(origin, os.environ)
    names = [use.reference.name for use in uses(config) if use.reference is not None and use.reference.is_plain]
    return using(config, lambda client: client.get_many(names))


async def _everything(client: SecretsClient) -> dict[str, Secret]:
    return await client.get_many(await client.list())


def _config_of_store(path: Path) -> dict[str, Any]:
    return {
        "general_settings": {"key_management_system": "local", "key_management_settings": {"local_file": str(path)}}
    }


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
