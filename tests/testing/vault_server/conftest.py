"""A dev server whose clock is moved by hand, and a bare client for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from yarl import URL

from asyncsecrets.testing.vault_server import VaultServer

from .replay import Clock


@dataclass
class Client:
    """Sends one request, with the root token unless told otherwise; gives the status, headers and decoded body."""

    server: VaultServer
    session: aiohttp.ClientSession

    async def __call__(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, **headers: str
    ) -> tuple[int, dict[str, Any]]:
        status, _, decoded = await self.full(method, path, body, token=token, **headers)
        return status, decoded

    async def full(
        self, method: str, path: str, body: Any = None, *, token: str | None = None, **headers: str
    ) -> tuple[int, Any, dict[str, Any]]:
        sent = {"X-Vault-Token": token or self.server.root_token}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        url = URL(f"{self.server.url}/v1/{path}", encoded=True)
        async with self.session.request(method, url, json=body, headers=sent, allow_redirects=False) as answer:
            is_json = answer.content_type == "application/json"
            content = await answer.read()
            return answer.status, answer.headers, await answer.json() if is_json and content else {}


@pytest.fixture
def clock() -> Clock:
    """The server's clock."""
    return Clock(1_800_000_000.0)


@pytest.fixture
async def server(clock: Clock) -> AsyncIterator[VaultServer]:
    """A running dev server."""
    async with VaultServer(clock=clock) as running:
        yield running


@pytest.fixture
async def ask(server: VaultServer) -> AsyncIterator[Client]:
    """A client of that server."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield Client(server, session)
