"""Any ASGI app, Django's among them: its secrets are opened and closed with the server's lifespan.

    application = with_secrets(get_asgi_application(), AppSecrets(required=["DB_PASSWORD"]), readyz="/readyz")

Within a request the client is ``scope["state"]["secrets"]``, where frameworks look for their ``request.state``, and
``get_secret`` reads through it.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from asyncsecrets.errors import AsyncSecretsError
from asyncsecrets.integrations.serving import AppSecrets

__all__ = ["STATE", "ASGIApp", "readyz", "with_secrets"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

STATE: Final = "secrets"
"""Under which name the client is in ``scope["state"]``."""


def with_secrets(app: ASGIApp, secrets: AppSecrets, *, readyz: str | None = None) -> ASGIApp:
    """Return ``app`` with its secrets: open before it starts, closed after it has ended.

    An app that knows lifespans has its own in between. For one that does not, such as Django's, the server is answered
    here. A server that runs none, such as daphne, has them opened by the first request, for as long as its event loop
    lasts; so has an app that is mounted in another one.

    ``readyz``: a path on which a readiness probe is answered, as by ``readyz``.
    """
    return _WithSecrets(app, secrets, readyz)


def readyz(secrets: AppSecrets) -> ASGIApp:
    """Return an app that answers a readiness probe: 200 if ``secrets`` are ready, else 503; and why, as JSON."""

    async def answer(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"a readiness probe comes over HTTP, not as {scope['type']}")
        await _answer(secrets, send)

    return answer


class _WithSecrets:
    """See ``with_secrets``."""

    def __init__(self, app: ASGIApp, secrets: AppSecrets, readyz: str | None) -> None:
        self._app = app
        self._secrets = secrets
        self._readyz = readyz

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
        elif scope["type"] == "http" and self._readyz is not None and scope["path"] == self._readyz:
            await _answer(self._secrets, send)
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = scope.setdefault("state", {})
        outer = state.get(STATE)
        state[STATE] = await self._secrets.reach()
        try:
            await self._app(scope, receive, send)
        finally:
            if outer is not None:  # of the app in which this one is mounted
                state[STATE] = outer

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        inner = _Lifespan(await receive(), receive, send)
        try:
            async with self._secrets.opened() as client:
                scope.setdefault("state", {})[STATE] = client
                await inner.run(self._app, scope)
        except AsyncSecretsError as error:
            if inner.is_begun:
                raise
            await send({"type": "lifespan.startup.failed", "message": f"{type(error).__name__}: {error}"})
            return
        finally:
            await inner.tell()


class _Lifespan:
    """The lifespan of an app, of which the server hears the end only when ``tell`` is called."""

    def __init__(self, startup: Message, receive: Receive, send: Send) -> None:
        self._startup: Message | None = startup
        self._receive = receive
        self._send = send
        self._last: Message | None = None
        self._has_started = self._is_to_end = self.is_begun = False

    async def run(self, app: ASGIApp, scope: Scope) -> None:
        """Have the app live, or where it knows no lifespan, answer in its place. Raises what the app raises."""
        self.is_begun = True
        try:
            await app(scope, self._ask, self._hear)
        except Exception:
            if self._knows_lifespans:
                self._note_failure(traceback.format_exc())
                raise
        if self._last is None:
            await self._answer()

    async def tell(self) -> None:
        """Tell the server how it ended."""
        if self._last is not None:
            await self._send(self._last)

    @property
    def _knows_lifespans(self) -> bool:
        return self._startup is None

    async def _ask(self) -> Message:
        startup, self._startup = self._startup, None
        if startup is not None:
            return startup
        message = await self._receive()
        self._is_to_end = True
        return message

    async def _hear(self, message: Message) -> None:
        if message["type"] == "lifespan.startup.complete":
            self._has_started = True
            await self._send(message)
        else:
            self._last = message

    async def _answer(self) -> None:
        if not self._has_started:
            await self._send({"type": "lifespan.startup.complete"})
        if not self._is_to_end:
            await self._receive()
        self._last = {"type": "lifespan.shutdown.complete"}

    def _note_failure(self, why: str) -> None:
        """Tell the server, where the app has not: many go on serving if it only raises."""
        what = "shutdown" if self._has_started else "startup"
        self._last = self._last or {"type": f"lifespan.{what}.failed", "message": why}


async def _answer(secrets: AppSecrets, send: Send) -> None:
    readiness = await secrets.probe()
    body = json.dumps(readiness.as_dict()).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": readiness.http_status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
