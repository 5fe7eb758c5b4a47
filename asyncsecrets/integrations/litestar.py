"""Litestar: the app's secrets as a plugin, a client and single secrets as dependencies.

::

    app = Litestar(
        [sign, readyz(secrets)],
        plugins=[SecretsPlugin(secrets)],
        dependencies={"signing_key": secret("SIGNING_KEY")},
    )

    @get("/sign/{text:str}")
    async def sign(text: str, signing_key: NamedDependency[str]) -> str: ...
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar, Request, Response, get
from litestar.config.app import AppConfig
from litestar.di import NamedDependency, Provide
from litestar.handlers import HTTPRouteHandler
from litestar.plugins import InitPlugin

from asyncsecrets.client import SecretsClient
from asyncsecrets.integrations.kinds import MISSING, reading
from asyncsecrets.integrations.readiness import NO_STORE, UNAVAILABLE, retry_after
from asyncsecrets.integrations.serving import AppSecrets

__all__ = ["SecretsPlugin", "readyz", "secret", "unavailable"]


class SecretsPlugin(InitPlugin):
    """Opens ``secrets`` when the app starts and closes them when it ends.

    The app's own ``lifespan``, ``on_startup`` and ``on_shutdown`` find them open. Handlers and dependencies with a
    parameter ``secrets: SecretsClient`` are given the client; it is ``app.state.secrets`` as well.
    """

    def __init__(self, secrets: AppSecrets) -> None:
        self._secrets = secrets

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Add to what the app has; nothing of it is replaced."""
        app_config.lifespan.insert(0, self._lifespan)
        # Litestar ends its lifespans before it calls these, which may read a secret.
        app_config.on_shutdown.append(self._secrets.aclose)
        app_config.dependencies.setdefault("secrets", Provide(self._client))
        return app_config

    @asynccontextmanager
    async def _lifespan(self, app: Litestar) -> AsyncIterator[None]:
        app.state.secrets = await self._secrets.start()
        yield

    async def _client(self) -> SecretsClient:
        return await self._secrets.reach()


def secret(name: str, kind: type = str, *, default: object = MISSING) -> Provide:
    """Return the dependency on a secret's value, read for each request: ``{"password": secret("DB_PASSWORD")}``.

    ``kind`` is ``str``, ``bool`` (as ``get_secret_bool`` reads it) or ``Secret``. ``default`` is given to the handler
    if, and only if, the secret does not exist. Everything else raises ``AsyncSecretsError``, which Litestar answers
    with 500, or with 503 where ``unavailable`` handles what is transient.
    """
    read = reading(name, kind, default)

    async def value(secrets: NamedDependency[SecretsClient]) -> Any:
        return await read(secrets)

    return Provide(value)


def readyz(secrets: AppSecrets, path: str = "/readyz") -> HTTPRouteHandler:
    """Return a route for a readiness probe: 200 if ``secrets`` are ready, else 503; and why, as JSON."""

    async def readyz() -> Response[dict[str, Any]]:
        readiness = await secrets.probe()
        return Response(readiness.as_dict(), status_code=readiness.http_status, headers=NO_STORE)

    return get(path, include_in_schema=False)(readyz)


def unavailable(_: Request[Any, Any, Any], error: Exception) -> Response[dict[str, str]]:
    """Answer 503 for a secret that cannot be had for the moment: ``exception_handlers={TransientError: unavailable}``.

    The body says nothing of it.
    """
    return Response(UNAVAILABLE, status_code=503, headers=retry_after(error))
