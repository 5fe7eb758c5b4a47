"""aiohttp servers: a cleanup context that has the app's secrets open while it runs.

::

    app = web.Application()
    app.cleanup_ctx.append(secrets_ctx(AppSecrets(required=["SIGNING_KEY"])))

    async def sign(request: web.Request) -> web.Response:
        key = await secrets_client(request).get("SIGNING_KEY")
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

from aiohttp import web
from aiohttp.typedefs import Handler

from asyncsecrets.boundary import afresh
from asyncsecrets.client import SecretsClient
from asyncsecrets.errors import TransientError
from asyncsecrets.integrations.kinds import MISSING, reading
from asyncsecrets.integrations.readiness import NO_STORE, UNAVAILABLE, retry_after
from asyncsecrets.integrations.serving import AppSecrets

__all__ = ["SECRETS", "readyz", "secret", "secrets_client", "secrets_ctx", "unavailable"]

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


@afresh
async def secret(request: web.Request, name: str, kind: type = str, *, default: object = MISSING) -> Any:
    """Return the value of a secret of that client.

    ``kind`` is ``str``, ``bool`` (as ``get_secret_bool`` reads it) or ``Secret``. ``default`` is returned if, and only
    if, the secret does not exist. Everything else raises ``AsyncSecretsError``, which aiohttp answers with 500, or with
    503 where ``unavailable`` handles what is transient.
    """
    return await reading(name, kind, default)(secrets_client(request))


def readyz(secrets: AppSecrets) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return a handler for a readiness probe: 200 if ``secrets`` are ready, else 503; and why, as JSON."""

    async def handler(_: web.Request) -> web.Response:
        readiness = await secrets.probe()
        return web.json_response(readiness.as_dict(), status=readiness.http_status, headers=NO_STORE)

    return handler


@web.middleware
async def unavailable(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer 503 for a secret that cannot be had for the moment: ``web.Application(middlewares=[unavailable])``.

    The body says nothing of it.
    """
    try:
        return await handler(request)
    except TransientError as error:
        headers = retry_after(error)
    return web.json_response(UNAVAILABLE, status=503, headers=headers)
