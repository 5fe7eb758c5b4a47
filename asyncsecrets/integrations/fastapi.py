"""FastAPI: the secrets of an app on its lifespan, and as dependencies.

::

    secrets = AppSecrets("config.yaml", required=["DB_PASSWORD"])
    app = FastAPI(lifespan=lifespan(secrets))

    @app.get("/")
    async def read(password: Annotated[str, secret("DB_PASSWORD")]): ...
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from functools import lru_cache
from types import CellType, FunctionType
from typing import Any, Final
from weakref import WeakKeyDictionary

from fastapi import Depends
from fastapi.requests import HTTPConnection

from asyncsecrets import default as process
from asyncsecrets.boundary import afresh
from asyncsecrets.client import SecretsClient
from asyncsecrets.errors import ClosedError
from asyncsecrets.integrations.asgi import STATE
from asyncsecrets.integrations.kinds import MISSING, reading
from asyncsecrets.integrations.running import NOT_OPEN
from asyncsecrets.integrations.starlette import Lifespan, lifespan, readyz, unavailable

__all__ = ["lifespan", "readyz", "secret", "secrets_client", "unavailable"]

_found: WeakKeyDictionary[FunctionType, Lifespan | None] = WeakKeyDictionary()


async def client_of(connection: HTTPConnection) -> SecretsClient:
    """Return the client of the app that answers ``connection``, a request or a WebSocket.

    That is the one of the app's ``lifespan``, also where nobody has run that: in a mounted app, or by a test client
    that does not. Else the one in ``request.state``, else the one that the program has opened last. Raises
    ClosedError where there is none.
    """
    router = getattr(connection.scope.get("app"), "router", None)
    own = _own(getattr(router, "lifespan_context", None))
    if own is not None:
        return await own.secrets.reach()
    client = getattr(connection.state, STATE, None) or process.opened()
    if not isinstance(client, SecretsClient):
        raise ClosedError(NOT_OPEN)
    return client


def _own(context: object) -> Lifespan | None:
    if not isinstance(context, FunctionType):
        return context if isinstance(context, Lifespan) else None
    if context not in _found:
        _found[context] = _merged(context)
    return _found[context]


def _merged(context: FunctionType) -> Lifespan | None:
    """Ours in a lifespan of FastAPI's: it merges an app's with those of its routers, and has them in closures."""
    waiting: list[object] = [context]
    seen: list[object] = []
    while waiting:
        found = waiting.pop()
        if isinstance(found, Lifespan):
            return found
        if isinstance(found, FunctionType) and found not in seen:
            seen.append(found)
            waiting += map(_content, getattr(inspect.unwrap(found), "__closure__", None) or ())
    return None


def _content(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty
        return None


secrets_client: Final[Any] = Depends(client_of)
"""The client, as a dependency: ``Annotated[SecretsClient, secrets_client]``."""


def secret(name: str, kind: type = str, *, default: object = MISSING) -> Any:
    """Return the dependency on a secret's value: ``Annotated[str, secret("DB_PASSWORD")]``.

    ``kind`` is ``str``, ``bool`` (as ``get_secret_bool`` reads it) or ``Secret``. ``default`` is given to the handler
    if, and only if, the secret does not exist. Everything else raises ``AsyncSecretsError``, which FastAPI answers with
    500, or with 503 where ``unavailable`` handles what is transient.

    Equal arguments make equal dependencies. In a test,
    ``app.dependency_overrides[secret("DB_PASSWORD").dependency] = lambda: "…"``.
    """
    return Depends(_reader(name, kind, default))


@lru_cache(maxsize=None, typed=True)
def _reader(name: str, kind: type, default: object) -> Callable[[HTTPConnection], Awaitable[Any]]:
    read_with = reading(name, kind, default)

    @afresh
    async def read(connection: HTTPConnection) -> Any:
        return await read_with(await client_of(connection))

    return read
