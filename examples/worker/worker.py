"""A service without a web server: signs each line that it reads, with a key from Vault that it follows.

    tail -F events.log | VAULT_ADDR=https://vault.example.com:8200 VAULT_TOKEN=... python worker.py

SIGTERM and Ctrl-C end it between two lines, and it closes its client before it goes.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import signal
import sys
from collections.abc import AsyncIterator

from asyncsecrets import Secret, SecretsClient
from asyncsecrets.integrations.serving import AppSecrets


class Signer:
    """Signs with the newest key. What a key needs to be used is prepared once for each key, not for each line."""

    def __init__(self, key: Secret) -> None:
        self._prepare(key)

    def _prepare(self, key: Secret) -> None:
        self._prepared = hmac.new(key.reveal_bytes(), digestmod=hashlib.sha256)

    async def follow(self, client: SecretsClient) -> None:
        """Prepare each new key, until cancelled."""
        async for key in client.watch("SIGNING_KEY"):
            self._prepare(key)

    def sign(self, line: bytes) -> str:
        """Sign a line."""
        signing = self._prepared.copy()
        signing.update(line)
        return signing.hexdigest()


@contextlib.asynccontextmanager
async def standard_input() -> AsyncIterator[asyncio.StreamReader]:
    """Read standard input, a pipe, without blocking."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    try:
        yield reader
    finally:
        transport.close()


async def work(signer: Signer) -> None:
    """Sign line after line, until there are no more."""
    async with standard_input() as lines:
        while line := await lines.readline():
            print(signer.sign(line.rstrip(b"\n")), flush=True)


async def main() -> None:
    """Work until the input ends, or somebody ends it."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)  # as asyncio does for Ctrl-C
    async with AppSecrets(required=["SIGNING_KEY"]).opened() as client, asyncio.TaskGroup() as group:
        signer = Signer(await client.get("SIGNING_KEY"))
        following = group.create_task(signer.follow(client))
        await work(signer)
        following.cancel()


if __name__ == "__main__":
    with contextlib.suppress(asyncio.CancelledError, KeyboardInterrupt):
        asyncio.run(main())
