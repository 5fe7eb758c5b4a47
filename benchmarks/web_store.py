"""A Vault-compatible server as a process that can be killed, comes back, and counts what it is asked.

Killed, it is gone with all connections, without a goodbye. Started again, on the same port, it has the secrets of the
next generation.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import socket
import subprocess
import sys
from collections import Counter
from typing import Self

from asyncsecrets.testing.vault_server import VaultServer


class Store:
    """The server of ``names``, as the parent process sees it."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.port = free_port()
        self.token = "canary" + secrets.token_hex(8)
        self.generation = -1
        self._process: subprocess.Popen[str] | None = None

    @property
    def environ(self) -> dict[str, str]:
        """What leads a program to it."""
        return {"VAULT_ADDR": f"http://127.0.0.1:{self.port}", "VAULT_TOKEN": self.token}

    def value(self) -> str:
        """What every secret of this generation says."""
        return f"canary-{self.generation}"

    def start(self) -> None:
        """Start it, with the next generation, and wait until it listens."""
        self.generation += 1
        command = [sys.executable, "-m", "benchmarks.web_store", str(self.port)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._say(json.dumps({"token": self.token, "secrets": dict.fromkeys(self.names, self.value())}))

    def calls(self) -> Counter[str]:
        """How often it was asked what, since it was started."""
        return Counter(json.loads(self._say("calls")))

    def kill(self) -> None:
        """SIGKILL."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _say(self, line: str) -> str:
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._process.stdout.readline()


def free_port() -> int:
    """A port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def serve(port: int) -> None:
    """Serve what the first line of standard input says; answer each further line with what was asked so far."""
    given = json.loads(sys.stdin.readline())
    server = VaultServer(port=port, root_token=given["token"])
    for name, value in given["secrets"].items():
        server.write_secret(name, {"key": value})
    async with server:
        print("{}", flush=True)
        while await asyncio.to_thread(sys.stdin.readline):
            asked = Counter(f"{record.method} {_kind(record.path)}" for record in server.requests)
            print(json.dumps(asked), flush=True)


def _kind(path: str) -> str:
    return "secret" if path.startswith("/v1/secret/data/") else path.removeprefix("/v1/")


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
