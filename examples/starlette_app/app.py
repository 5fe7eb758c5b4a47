"""A Starlette app that signs texts with a key from Vault, and follows the key's rotations.

It has a lifespan of its own as well, which finds the secrets open.

VAULT_ADDR=https://vault.example.com:8200 VAULT_TOKEN=... uvicorn app:app
curl localhost:8000/sign/hello
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from asyncsecrets import SecretsClient
from asyncsecrets.integrations.serving import AppSecrets
from asyncsecrets.integrations.starlette import lifespan, readyz

secrets = AppSecrets(required=["SIGNING_KEY"])


class Signer:
    """Signs with the key as it is at the moment."""

    def __init__(self, secrets: SecretsClient) -> None:
        self._secrets = secrets

    async def sign(self, text: str) -> str:
        """Return the signature of ``text``."""
        key = await self._secrets.get("SIGNING_KEY")
        return hmac.new(key.reveal_bytes(), text.encode(), hashlib.sha256).hexdigest()


@asynccontextmanager
async def own(_: Starlette) -> AsyncIterator[dict[str, Signer]]:
    """What the app has besides its secrets, and makes with them."""
    yield {"signer": Signer(secrets.client)}


async def sign(request: Request) -> PlainTextResponse:
    """Sign a text."""
    return PlainTextResponse(await request.state.signer.sign(request.path_params["text"]))


app = Starlette(
    routes=[Route("/sign/{text}", sign), Route("/readyz", readyz(secrets))],
    lifespan=lifespan(secrets, own),
)
