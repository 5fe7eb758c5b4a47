"""Servers that can be killed, sealed and frozen with their data kept: a process, and the dev server."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

from asyncsecrets.testing.vault_server import VaultServer
from benchmarks.vault_process import VaultProcess

__all__ = ["Binary", "Dev", "Server"]


class Server(Protocol):
    """What the story does to a server."""

    url: str
    token: str

    async def kill(self) -> None: ...
    async def start_sealed(self) -> None: ...
    async def seal(self) -> None: ...
    async def unseal(self) -> None: ...
    def freeze(self) -> None: ...
    def thaw(self) -> None: ...
    def trouble(self) -> None: ...


class Binary:
    """A process with durable storage."""

    def __init__(self, process: VaultProcess) -> None:
        self._process = process
        self.url, self.token = process.url, process.token

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls) -> AsyncIterator[Binary]:
        """A new one, killed at the end."""
        with tempfile.TemporaryDirectory() as folder:
            process = VaultProcess(Path(folder))
            try:
                await asyncio.to_thread(process.start)
                yield cls(process)
            finally:
                process.kill()

    async def kill(self) -> None:
        await asyncio.to_thread(self._process.kill)

    async def start_sealed(self) -> None:
        await asyncio.to_thread(self._process.start_sealed)

    async def seal(self) -> None:
        await asyncio.to_thread(self._process.seal)

    async def unseal(self) -> None:
        await asyncio.to_thread(self._process.unseal)

    def freeze(self) -> None:
        self._process.freeze()

    def thaw(self) -> None:
        self._process.thaw()

    def trouble(self) -> None:
        """A real server has no faults on command."""


class Dev:
    """The dev server: its data survive, and it breaks connections on command."""

    def __init__(self, server: VaultServer) -> None:
        self._server = server
        self.url, self.token = server.url, server.root_token

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls) -> AsyncIterator[Dev]:
        """A new one."""
        async with VaultServer(root_token="canary" + secrets.token_hex(8)) as server:
            yield cls(server)

    async def kill(self) -> None:
        self._server.kill()

    async def start_sealed(self) -> None:
        self._server.seal()
        await self._server.start()

    async def seal(self) -> None:
        self._server.seal()

    async def unseal(self) -> None:
        self._server.unseal()

    def freeze(self) -> None:
        self._server.faults.hang()

    def thaw(self) -> None:
        self._server.faults.clear()

    def trouble(self) -> None:
        """Writes that are applied and not answered, or not applied and not answered."""
        where: dict[str, Any] = {"method": "POST", "prefix": "/v1/secret/data/", "times": 3}
        faults = self._server.faults
        faults.clear()
        for moment in ("after", "before"):
            faults.reset(when=moment, **where)
            faults.hang(when=moment, **where)
            faults.status(500, "internal error", when=moment, **where)
            faults.garbage(status=502, when=moment, **where)
        faults.truncate(**where)
