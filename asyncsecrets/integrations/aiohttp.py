"""aiohttp servers: a cleanup context that has the app's secrets open while it runs.

app = web.Application()
app.cleanup_ctx.append(secrets_ctx(AppSecrets(required=["SIGNING_KEY"])))

async def sign(request: web.Request) -> web.Response:
    key = await secrets_client(request).get("SIGNING_KEY")
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from aiohttp import web

from asyncsecrets.client import SecretsClient
from asyncsecrets.integrations.serving import AppSecrets

__all__ = ["SECRETS", "readyz", "secrets_client", "secrets_ctx"]

SECRETS: Final = web.AppKey("SECRETS", SecretsClient)
"""Where an app has its client: ``app[SECRETS]``, or ``request.config_dict[SECRETS]`` in an app below it as well."""


def secrets_ctx(secrets: AppSecrets) -> Callable[[web.Application], AsyncIterator[None]]:
    """Return a context for ``app.cleanup_ctx``. Put it first: contexts begin in their order, and end in the reverse.

    Apps that are added with ``add_subapp`` find the client of the app above them.
    """

    async def context(app: web.Application) -> AsyncIterator[None]:
        async with secrets.opened() as app[SECRETS]:
            yield

    return context


def secrets_client(request: web.Request) -> SecretsClient:
    """Return the client of the app that answers ``request``, or of the nearest above it that has one.

    Raises KeyError where none has a ``secrets_ctx``.
    """
    return request.config_dict[SECRETS]


def readyz(secrets: AppSecrets) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return a handler for a readiness probe: 200 if ``secrets`` are ready, else 503; and why, as JSON."""

    async def handler(_: web.Request) -> web.Response:
        readiness = await secrets.probe()
        headers = {"cache-control": "no-store"}
        return web.json_response(readiness.as_dict(), status=readiness.http_status, headers=headers)

    return handler
