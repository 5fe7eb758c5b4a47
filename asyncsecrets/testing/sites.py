"""Where a fake listens for HTTP: on loopback, and on a port that stays the same whenever it is opened again."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

HOST: Final = "127.0.0.1"


class Site:
    """``make`` gives the application; ``context`` is that of TLS."""

    def __init__(
        self, make: Callable[[], web.Application], port: int = 0, context: ssl.SSLContext | None = None
    ) -> None:
        self.port, self._make, self._context = port, make, context
        self._runner: web.AppRunner | None = None

    async def open(self) -> None:
        """Listen, if it does not. Raises OSError for a port that is taken."""
        if self._runner is not None:
            return
        self._runner = web.AppRunner(self._make(), access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, HOST, self.port, ssl_context=self._context, reuse_address=True).start()
        except OSError:
            await self.close()
            raise
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """Listen no more, and end every connection."""
        runner, self._runner = self._runner, None
        if runner is not None:
            for connection in runner.server.connections if runner.server else ():
                if connection.transport is not None:
                    connection.transport.abort()  # to close it would be to wait for the other side's goodbye in TLS
            await runner.cleanup()


def everything(handler: Any) -> Callable[[], web.Application]:
    """Makes an application of one handler for every method and path."""

    def make() -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handler)
        return app

    return make
