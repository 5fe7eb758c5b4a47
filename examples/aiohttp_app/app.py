"""An aiohttp app that signs texts with a key from Vault, and follows the key's rotations.

    VAULT_ADDR=https://vault.example.com:8200 VAULT_TOKEN=... python app.py
    curl localhost:8080/sign/hello

With gunicorn: ``gunicorn app:make_app --worker-class aiohttp.GunicornWebWorker --workers 4``.
"""

from __future__ import annotations

import hashlib
import hmac
import os

from aiohttp import web

from asyncsecrets.integrations.aiohttp import readyz, secret, secrets_ctx, unavailable
from asyncsecrets.integrations.serving import AppSecrets


async def sign(request: web.Request) -> web.Response:
    """Sign a text."""
    key: str = await secret(request, "SIGNING_KEY")
    text = request.match_info["text"]
    return web.Response(text=hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest())


async def make_app() -> web.Application:
    """Make the app; each process makes its own."""
    secrets = AppSecrets(required=["SIGNING_KEY"])
    api = web.Application()
    api.router.add_get("/{text}", sign)

    app = web.Application(middlewares=[unavailable])
    app.cleanup_ctx.append(secrets_ctx(secrets))
    app.router.add_get("/readyz", readyz(secrets))
    app.add_subapp("/sign", api)
    return app


if __name__ == "__main__":
    web.run_app(make_app(), host="127.0.0.1", port=int(os.environ.get("PORT", "8080")))
