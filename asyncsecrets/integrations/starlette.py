"""Starlette: the secrets of an app on its lifespan, in ``request.state.secrets``.

::

    secrets = AppSecrets("config.yaml", required=["DB_PASSWORD"])
    app = Starlette(routes=[Route("/readyz", readyz(secrets))], lifespan=lifespan(secrets))
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.websockets import WebSocket

from asyncsecrets.integrations.asgi import STATE
from asyncsecrets.integrations.readiness import NO_STORE, UNAVAILABLE, retry_after
from asyncsecrets.integrations.serving import AppSecrets

__all__ = ["Lifespan", "lifespan", "readyz", "unavailable"]

Own = Callable[[Any], AbstractAsyncContextManager[Any]]


class Lifespan:
    """A lifespan with ``secrets``, and an app's ``own`` within. See ``lifespan``."""

    def __init__(self, secrets: AppSecrets, own: Own | None) -> None:
        self.secrets = secrets
        self._own = own

    @asynccontextmanager
    async def __call__(self, app: Any) -> AsyncIterator[Mapping[str, Any]]:
        """Open the secrets, then what is the app's own; yield the state of both."""
        async with self.secrets.opened() as client:
            if self._own is None:
                yield {STATE: client}
                return
            async with self._own(app) as state:
                yield {**(state or {}), STATE: client}


def lifespan(secrets: AppSecrets, own: Own | None = None) -> Lifespan:
    """Return a lifespan for ``Starlette(lifespan=…)``, in which ``secrets`` are open.

    ``own`` is a lifespan that the app has already. It is begun when the secrets are there, and ended before they are
    closed. What it yields stays in ``request.state``, beside ``request.state.secrets``.
    """
    return Lifespan(secrets, own)


def readyz(secrets: AppSecrets) -> Callable[[Request], Awaitable[JSONResponse]]:
    """Return an endpoint for a readiness probe: 200 if ``secrets`` are ready, else 503; and why, as JSON."""

    async def answer(_: Request) -> JSONResponse:
        readiness = await secrets.probe()
        return JSONResponse(readiness.as_dict(), status_code=readiness.http_status, headers=NO_STORE)

    return answer


async def unavailable(connection: HTTPConnection, error: Exception) -> Response:
    """Answer 503 for a secret that cannot be had for the moment: ``app.add_exception_handler(TransientError, …)``.

    The body says nothing of it. A WebSocket is closed with 1013, "try again later".
    """
    if isinstance(connection, WebSocket):
        await connection.close(1013)
    return JSONResponse(UNAVAILABLE, status_code=503, headers=retry_after(error))
