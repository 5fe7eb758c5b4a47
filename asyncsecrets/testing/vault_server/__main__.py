"""``python -m asyncsecrets.testing.vault_server``: the dev server as a process of its own, which can be killed.

The root token is never an argument: it comes on stdin (``--token-stdin``, one line) or is made up. Once the server
listens, one line of JSON says so on ``--ready-fd`` (stdout unless given): ``url``, ``pid``, ``ca_file``,
``unseal_key``, and ``root_token`` if it was made up.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Sequence

from asyncsecrets.errors import MissingDependencyError
from asyncsecrets.testing.vault_server.server import VaultServer

_NOTICE = "asyncsecrets dev server: a fake, in memory and unencrypted. Do not keep real secrets in it.\n"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m asyncsecrets.testing.vault_server", description=_NOTICE)
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--hostname", action="append", default=[], help="a name that Host may have (repeatable)")
    parser.add_argument("--tls", action="store_true", help="serve https with a throw-away CA")
    parser.add_argument("--namespace", action="append", default=[], help="create this namespace (repeatable)")
    parser.add_argument("--standby-for", help="redirect to this active node ('' for: there is none)")
    parser.add_argument("--token-stdin", action="store_true", help="read the root token from the first line of stdin")
    parser.add_argument("--ready-fd", type=int, default=1, help="where the line goes that says that it listens")
    return parser.parse_args(arguments)


async def serve(options: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT."""
    token = sys.stdin.readline().strip() if options.token_stdin else None
    if options.token_stdin and not token:
        raise SystemExit("no root token came on stdin")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):  # an event loop that has no signals
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with _server(options, token) as server:
        _say_ready(server, options.ready_fd, told=token is None)
        await stop.wait()


def _server(options: argparse.Namespace, token: str | None) -> VaultServer:
    try:
        return VaultServer(
            host=options.host,
            port=options.port,
            root_token=token,
            tls=options.tls,
            hostnames=options.hostname,
            namespaces=options.namespace,
            standby_for=options.standby_for,
        )
    except (ValueError, MissingDependencyError) as error:
        problem = str(error)
    raise SystemExit(problem)


def _say_ready(server: VaultServer, descriptor: int, *, told: bool) -> None:
    line = {"url": server.url, "pid": os.getpid(), "ca_file": server.ca_file, "unseal_key": server.unseal_key}
    if told:
        line["root_token"] = server.root_token
    os.write(descriptor, json.dumps(line).encode() + b"\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the server."""
    options = parse(arguments)
    sys.stderr.write(_NOTICE)
    asyncio.run(serve(options))


if __name__ == "__main__":
    main()
