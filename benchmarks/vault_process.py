"""A Vault-compatible server as a process that can be killed and started again on the same port.

It is our dev server, or, with BENCH_VAULT set to the path of a ``vault`` or ``bao`` binary, that one in dev mode.
Both keep everything in memory: after a start there is nothing in it. With ``storage`` the binary keeps its data in
that folder instead (Raft), and is sealed after each start.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

__all__ = ["VaultProcess"]

_CONFIG = """
storage "raft" {{
  path = "{folder}/data"
  node_id = "one"
}}
listener "tcp" {{
  address = "127.0.0.1:{port}"
  cluster_address = "127.0.0.1:{cluster_port}"
  tls_disable = true
}}
api_addr = "http://127.0.0.1:{port}"
cluster_addr = "https://127.0.0.1:{cluster_port}"
disable_mlock = true
"""


class VaultProcess:
    """One server on one loopback port, running or not."""

    def __init__(self, storage: Path | None = None) -> None:
        self.port = _free_port()
        self.token = "canary" + secrets.token_hex(8)
        self._process: subprocess.Popen[str] | None = None
        self._storage = storage
        self._unseal_key = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the server and wait until it answers; a durable one is unsealed, and set up when it is new."""
        self.start_sealed()
        if self._storage is not None:
            if not self._unseal_key:
                self._initialise()
            self.unseal()

    def start_sealed(self) -> None:
        """Start the server and wait until it answers, be it that it is sealed."""
        self._process = subprocess.Popen(
            self._command(), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
        )
        self._process.stdin.write(self.token + "\n")
        self._process.stdin.flush()
        self._until(lambda: self.call("GET", "sys/seal-status"))

    def kill(self) -> None:
        """SIGKILL: no goodbye to anybody."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdin.close()
            self._process = None

    def freeze(self) -> None:
        """SIGSTOP: it accepts what is sent, and does nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: it goes on, with all that was sent in the meantime."""
        self._process.send_signal(signal.SIGCONT)

    def seal(self) -> None:
        """Seal a durable server."""
        self.call("POST", "sys/seal")

    def unseal(self) -> None:
        """Unseal a durable server, and wait until it serves requests."""
        self.call("POST", "sys/unseal", {"key": self._unseal_key})
        self._until(lambda: self.call("GET", "sys/health"))

    def write(self, name: str, value: str) -> None:
        """Write a secret by other means than ours."""
        self.call("POST", f"secret/data/{name}", {"data": {"key": value}})

    def call(self, method: str, path: str, document: object = None) -> Any:
        """One request with the root token; the decoded answer. Raises OSError."""
        body = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(f"{self.url}/v1/{path}", data=body, method=method)
        request.add_header("X-Vault-Token", self.token)
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"{}")

    @classmethod
    @contextlib.contextmanager
    def running(cls, storage: Path | None = None) -> Iterator[VaultProcess]:
        """A started server, killed at the end."""
        server = cls(storage)
        try:
            server.start()
            yield server
        finally:
            server.kill()

    def _command(self) -> list[str]:
        binary = os.environ.get("BENCH_VAULT")
        if not binary:
            module = "asyncsecrets.testing.vault_server"
            return [sys.executable, "-m", module, "--port", str(self.port), "--token-stdin"]
        if self._storage is None:
            listen = f"-dev-listen-address=127.0.0.1:{self.port}"
            return [binary, "server", "-dev", "-dev-no-store-token", f"-dev-root-token-id={self.token}", listen]
        (self._storage / "data").mkdir(exist_ok=True)
        config = self._storage / "server.hcl"
        if not config.exists():
            config.write_text(_CONFIG.format(folder=self._storage, port=self.port, cluster_port=_free_port()))
        return [binary, "server", f"-config={config}"]

    def _initialise(self) -> None:
        made = self.call("POST", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
        self.token, self._unseal_key = made["root_token"], made["keys"][0]
        self.unseal()
        self.call("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}})
        self._until(lambda: self.call("GET", "secret/config"))  # a new mount is not ready at once

    @staticmethod
    def _until(works) -> None:
        until = time.monotonic() + 60
        while True:
            try:
                works()
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)
            else:
                return


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
