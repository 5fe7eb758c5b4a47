"""A Vault-compatible server as a process that can be killed and started again on the same port.

It is our dev server, or, with BENCH_VAULT set to the path of a ``vault`` or ``bao`` binary, that one in dev mode.
Both keep everything in memory: after a start there is nothing in it.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

__all__ = ["VaultProcess"]


class VaultProcess:
    """One server on one loopback port, running or not."""

    def __init__(self) -> None:
        self.port = _free_port()
        self.token = "canary" + secrets.token_hex(8)
        self._process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        binary = os.environ.get("BENCH_VAULT")
        if binary:
            listen = f"-dev-listen-address=127.0.0.1:{self.port}"
            command = [binary, "server", "-dev", "-dev-no-store-token", f"-dev-root-token-id={self.token}", listen]
        else:
            module = "asyncsecrets.testing.vault_server"
            command = [sys.executable, "-m", module, "--port", str(self.port), "--token-stdin"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
        )
        self._process.stdin.write(self.token + "\n")
        self._process.stdin.flush()
        self._wait()

    def kill(self) -> None:
        """SIGKILL: no goodbye to anybody."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdin.close()
            self._process = None

    def write(self, name: str, value: str) -> None:
        """Write a secret by other means than ours."""
        self._request("POST", f"secret/data/{name}", {"data": {"key": value}})

    @classmethod
    @contextlib.contextmanager
    def running(cls) -> Iterator[VaultProcess]:
        """A started server, killed at the end."""
        server = cls()
        try:
            server.start()
            yield server
        finally:
            server.kill()

    def _wait(self) -> None:
        until = time.monotonic() + 20
        while True:
            try:
                self._request("GET", "sys/health")
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)
            else:
                return

    def _request(self, method: str, path: str, document: object = None) -> None:
        body = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(f"{self.url}/v1/{path}", data=body, method=method)
        request.add_header("X-Vault-Token", self.token)
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=5):
            pass


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
