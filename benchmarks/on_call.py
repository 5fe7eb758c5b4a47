"""A night on call: two uvicorn workers, a Vault that is changed, killed and started again, and what the log tells.

The workers log as a program does that has called ``logging.basicConfig(level=logging.INFO)``. Each reads its secrets
all the time; ``refresh_interval`` is a second and ``max_stale`` eight, so that a night takes half a minute. After each
event the lines of both are printed, and what ``health()`` and ``status()`` say in each. It needs uvicorn. It measures
nothing, so it runs by itself: ``python -m benchmarks.on_call``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from asyncsecrets import SecretsClient, get_secret
from asyncsecrets.errors import AsyncSecretsError
from benchmarks.vault_process import VaultProcess

NAMES = ("DB_PASSWORD", "OPENAI_API_KEY", "SMTP_PASSWORD")
ROLE, SECRET = "on-call", "canary-of-the-night"
READER = 'path "secret/data/*" { capabilities = ["read"] }'

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

# -- a worker: an ASGI application

_client: SecretsClient | None = None
_reads: Counter[str] = Counter()


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answers every request with what the client says of itself, and what became of the reads since the last one."""
    if scope["type"] == "lifespan":
        await _live(receive, send)
        return
    _reads.clear()
    await asyncio.sleep(0.3)
    health, status = _client.health(), next(source for source in _client.status() if source.name == "default")
    said = {
        "worker": os.getpid(),
        "health": [health.state, f"stale {list(health.stale)}", f"missing {list(health.missing)}"],
        "status": [status.state, status.last_error, status.last_error_message],
        "since": str(status.failing_since),
        "values end": str(status.values_end),
        "reads": dict(_reads),
    }
    await send({"type": "http.response.start", "status": 200, "headers": [(b"connection", b"close")]})
    await send({"type": "http.response.body", "body": json.dumps(said).encode()})


async def _live(receive: Receive, send: Send) -> None:
    global _client
    logging.basicConfig(level=logging.INFO, format="%(asctime)s [%(process)d] %(levelname)-7s %(name)s: %(message)s")
    await receive()
    login = {"approle_role_id": ROLE, "approle_secret_id": SECRET}
    settings = login | {"refresh_interval": 1, "max_stale": 8, "hosted_keys": list(NAMES)}
    config = {"key_management_system": "hashicorp_vault", "key_management_settings": settings}
    async with SecretsClient.from_config({"general_settings": config}) as _client:
        await _client.warm_up(NAMES)
        reading = asyncio.create_task(_read())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        reading.cancel()
        await asyncio.wait({reading})
    await send({"type": "lifespan.shutdown.complete"})


async def _read() -> None:
    while True:
        for name in NAMES:
            try:
                await get_secret(name)
                _reads["served"] += 1
            except AsyncSecretsError as error:
                _reads[type(error).__name__] += 1
        await asyncio.sleep(0.05)


# -- the night


def main() -> None:
    """Tell it."""
    with VaultProcess.running() as vault, tempfile.TemporaryDirectory() as folder:
        _provision(vault)
        log = Path(folder, "log")
        with _workers(vault, log) as port:
            night = _Night(port, log)
            night.tell("Two workers have started", 0.5)
            vault.write("DB_PASSWORD", "canary-rotated")
            night.tell("DB_PASSWORD was rotated", 2.5)
            _revoke_tokens(vault)
            night.tell("Every token was revoked", 2.5)
            vault.call("POST", "sys/policies/acl/reader", {"policy": READER.replace("data/*", "data/OPENAI*")})
            night.tell("A policy was edited: two of the three secrets may not be read any more", 4.0)
            vault.call("POST", "sys/policies/acl/reader", {"policy": READER})
            night.tell("The edit was taken back", 4.0)
            vault.kill()
            night.tell("The server was killed", 4.0)
            night.tell("Nobody has noticed for ten seconds", 6.0)
            vault.start()
            _provision(vault)
            night.tell("The server was started again", 3.0)
        night.tell("The workers were stopped", 0.0, ask=False)
        if "canary" in night.whole:
            sys.exit("there is a value in the log")
        told = night.whole.count("asyncsecrets.")
        print(f"\n{told} lines of asyncsecrets in all, of two workers, and no value among them")


class _Night:
    def __init__(self, port: int, log: Path) -> None:
        self._url = f"http://127.0.0.1:{port}/"
        self._log = log
        self.whole = ""

    def tell(self, what: str, wait: float, *, ask: bool = True) -> None:
        """What happened, what the log says ``wait`` seconds later, and what the workers say of themselves."""
        print(f"\n--- {time.strftime('%H:%M:%S')}  {what}")
        time.sleep(wait)
        told = self._log.read_text()
        for line in told[len(self.whole) :].splitlines():
            if "HTTP/1.1" not in line:
                print(f"    {line}")
        self.whole = told
        for said in self._ask() if ask else []:
            print(f"      worker {said.pop('worker')}: " + json.dumps(said))

    def _ask(self) -> list[dict[str, Any]]:
        said: dict[int, dict[str, Any]] = {}
        for _ in range(40):
            with urllib.request.urlopen(self._url, timeout=10) as answer:
                one = json.load(answer)
            said[one["worker"]] = one
            if len(said) == 2:
                break
        return [said[worker] for worker in sorted(said)]


@contextlib.contextmanager
def _workers(vault: VaultProcess, log: Path) -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {key: value for key, value in os.environ.items() if "VAULT" not in key} | {"VAULT_ADDR": vault.url}
    command = [sys.executable, "-m", "uvicorn", "benchmarks.on_call:app", "--workers", "2", "--port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        until = time.monotonic() + 30
        while log.read_text().count("startup complete") < 2 and time.monotonic() < until:
            time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait()


def _provision(vault: VaultProcess) -> None:
    vault.call("POST", "sys/policies/acl/reader", {"policy": READER})
    vault.call("POST", "sys/auth/approle", {"type": "approle"})
    vault.call("POST", "auth/approle/role/app", {"token_policies": "reader", "token_ttl": "1h"})
    vault.call("POST", "auth/approle/role/app/role-id", {"role_id": ROLE})
    vault.call("POST", "auth/approle/role/app/custom-secret-id", {"secret_id": SECRET})
    for name in NAMES:
        vault.write(name, "canary-first")


def _revoke_tokens(vault: VaultProcess) -> None:
    own = vault.call("GET", "auth/token/lookup-self")["data"]["accessor"]
    for accessor in vault.call("LIST", "auth/token/accessors")["data"]["keys"]:
        if accessor != own:
            vault.call("POST", "auth/token/revoke-accessor", {"accessor": accessor})


if __name__ == "__main__":
    main()
