"""One time that an app's client is open, on one event loop: from the first who enters to the last who leaves."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from asyncsecrets import default
from asyncsecrets.boundary import bared
from asyncsecrets.client import SecretsClient
from asyncsecrets.errors import ClosedError
from asyncsecrets.integrations.readiness import STARTING, Readiness, readiness_of
from asyncsecrets.integrations.starting import Failures, Needs, read_again, read_at_start
from asyncsecrets.journal import APP, duration, say
from asyncsecrets.loops import cancel_all, current_loop, ending, retrieve, running_loop, spawn, tell

__all__ = ["NOT_OPEN", "Run"]

_WAITS: Final = 0.5, 5.0  # seconds between two questions for what is missing: the first and the longest
NOT_OPEN: Final = (
    "this app's secrets are not open: run the app with its lifespan (a server does; in a test, a client that runs it, "
    "as `with TestClient(app)` does), or read within `async with secrets.opened()`"
)
_CLOSE_WITHIN: Final = 5.0


class Run:
    """A client that ``make`` makes, with what the app ``needs`` read.

    ``jitter`` is from 0 to 1. ``is_lasting``: nobody will close it; it is open as long as its loop.
    """

    def __init__(
        self,
        make: Callable[[], Awaitable[SecretsClient]],
        needs: Needs,
        jitter: Callable[[], float],
        *,
        is_lasting: bool,
    ) -> None:
        self.loop = running_loop()
        self.is_lasting = is_lasting
        self.users = 0
        self.client: SecretsClient | None = None
        self._make = make
        self._needs = needs
        self._jitter = jitter
        self._names: tuple[str, ...] = ()
        self._failed: Failures = {}
        self._lacking: Failures = {}  # what is optional, and would have been there at another time
        self._is_ours = self._is_ready = self._is_kept = False
        self._asking: asyncio.Task[None] | None = None
        self._opening = spawn(self._open(), name="asyncsecrets-app-open", done=retrieve)

    @property
    def is_open(self) -> bool:
        """Whether its client can be used."""
        return self._is_ready and self.client is not None and self.client.is_open

    @property
    def is_over(self) -> bool:
        """Whether it was open, or failed to open, and will not be again."""
        return self._opening.done() and not self.is_open

    def reached(self) -> SecretsClient:
        """Its client. Raises ClosedError where it is not open."""
        if self.client is None or not self.is_open:
            raise ClosedError(NOT_OPEN)
        return self.client

    async def opened(self) -> None:
        """Wait until it is open. Raises what keeps it from that, for each who waits an instance of its own."""
        await asyncio.wait({self._opening})  # not awaited directly: who is cancelled would cancel it for everybody
        if self._opening.cancelled():
            raise ClosedError("the app was ended while its secrets were being opened")
        error = self._opening.exception()
        if error is not None:
            raise bared(error)

    def keep(self) -> bool:
        """Whether whoever asks is to stay in, so that it lasts: one is enough."""
        kept, self._is_kept = self._is_kept, self._is_kept or self.is_lasting
        return self._is_kept and not kept

    @ending(_CLOSE_WITHIN, "asyncsecrets-app-close")
    def aclose(self) -> Coroutine[Any, Any, None]:
        """Close what was opened. Closing begins with the call, and is not cut off."""
        self._is_ready = False
        return self._close()

    def readiness(self) -> Readiness:
        """See ``AppSecrets.readiness``."""
        if self.client is None or not self._is_ready:
            return STARTING
        missing = self._missing(self.client)
        if missing:
            self._ask_soon()
        return readiness_of(self.client.health(), missing)

    # -- inside

    async def _open(self) -> None:
        client = self.client = await self._make()
        self._names = self._needs.names(client)
        self._is_ours = not client.is_open
        if self._is_ours:
            await client.start()
        if self._needs.spread:
            await asyncio.sleep(self._needs.spread * self._jitter())
        self._failed, self._lacking = await read_at_start(client, self._needs, self._names)
        if self._is_ours:
            (default.push_if_none if self.is_lasting else default.push)(client)
        self._is_ready = True
        if self._failed or self._lacking:
            self._ask_soon()

    async def _close(self) -> None:
        tasks = [self._opening, self._asking]
        await cancel_all([task for task in tasks if task is not None], within=None)
        if self.client is not None and self._is_ours:
            await self.client.aclose()

    def _missing(self, client: SecretsClient) -> dict[str, str]:
        if not self._needs.are_said:
            return client.lacking()
        return client.lacking(self._names) | {name: type(error).__name__ for name, error in self._failed.items()}

    def _ask_soon(self) -> None:
        """Ask for what is missing until it is there. From any thread."""
        if current_loop() is not self.loop:
            tell(self.loop, self._ask_soon)
        elif self.is_open and (self._asking is None or self._asking.done()):
            self._asking = spawn(self._ask(), name="asyncsecrets-app-ask", done=retrieve)

    async def _ask(self) -> None:
        since, (wait, longest), is_degraded = self.loop.time(), _WAITS, bool(self._failed)
        while self.is_open and self.client is not None and (self._lacking or self._missing(self.client)):
            await asyncio.sleep(wait * (1.0 + self._jitter()) / 2)
            wait = min(2 * wait, longest)
            if self.is_open:
                await self._ask_once(self.client)
            if is_degraded and self.is_open and not self._missing(self.client):
                is_degraded, lasted = False, duration(self.loop.time() - since)
                say(APP, logging.INFO, "the app is ready after %s: it has what it was started without", lasted)

    async def _ask_once(self, client: SecretsClient) -> None:
        if self._needs.are_said:
            self._failed, self._lacking = await read_again(client, self._missing(client), self._lacking)
        else:
            client.fetch_missing()
