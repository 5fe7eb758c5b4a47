"""The provider of one source: built when it is first needed, opened once per event loop, closed with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from asyncsecrets.boundary import fresh
from asyncsecrets.client.tasks import cut_short
from asyncsecrets.errands import Errand, set_out, wait_for, whose
from asyncsecrets.errors import AsyncSecretsError, ClosedError
from asyncsecrets.loops import in_thread, is_asked_to_end, retrieve, spawn
from asyncsecrets.providers.base import Provider

__all__ = ["CLOSE_WITHIN", "Connection"]

CLOSE_WITHIN = 2.0
"""The longest that closing may take, in seconds."""


class Connection:
    """Builds, opens and closes a provider.

    ``provider`` is given, or made by ``build`` without I/O; ``companion`` is opened along with it. ``opened()`` is
    called on the loop once it is open there, and ``at_home()`` says whether the running loop may have it open at all.
    """

    def __init__(
        self,
        source: str,
        provider: Provider | None,
        build: Callable[[], Provider],
        *,
        companion: Provider | None,
        opened: Callable[[], None],
        at_home: Callable[[], bool] = lambda: True,
    ) -> None:
        self._source = source
        self._provider = provider
        self._build = build
        self._companion = companion
        self._opened = opened
        self._at_home = at_home
        self._open_on: asyncio.AbstractEventLoop | None = None
        self._opening: asyncio.Task[None] | None = None
        self._errand = Errand(f"opening of {source}")
        self._ended: asyncio.Task[None] | None = None  # the last opening that close() cut short
        self.closed = False

    @property
    def built(self) -> Provider | None:
        """The provider if it is built already."""
        return self._provider

    @property
    def provider(self) -> Provider:
        """The provider, built if it is not yet: no I/O, but imports. Raises what building it raises."""
        if self._provider is None:
            self._provider = self._build()
        return self._provider

    @property
    def here(self) -> Provider | None:
        """The provider if it is open on the running loop."""
        return self._provider if self._open_on is asyncio.get_running_loop() else None

    async def open(self) -> Provider:
        """Return the provider, opened on this loop; once for any number of callers. Nothing in it blocks the loop."""
        if self.closed or not self._at_home():
            raise ClosedError(f"source {self._source!r} is closed, or has moved to another event loop")
        loop = asyncio.get_running_loop()
        if self._open_on is not loop:
            opening = self._opening
            if opening is None or opening.done() or opening.get_loop() is not loop:
                opening = self._opening = spawn(self._open(), name="asyncsecrets-open", loop=loop, done=retrieve)
                self._errand.task = opening
            asker = whose()
            if asker is not None:
                wait_for(self._errand, opening, asker)
            await asyncio.wait({opening})  # not awaited directly: a cancelled caller would cancel it for everybody
            if opening.cancelled():
                raise self._cut_short(opening)
            error = opening.exception()
            if error is not None:
                raise fresh(error)
            if self._open_on is not loop:
                raise ClosedError(f"source {self._source!r} was closed while it was being opened")
        return self.provider

    def _cut_short(self, opening: asyncio.Task[None]) -> AsyncSecretsError:
        if self.closed or opening is self._ended or not self._at_home():
            return ClosedError(f"source {self._source!r} was closed while it was being opened")
        return cut_short(getattr(self._provider, "system", self._source), None, sent=False)

    async def prepared(self) -> Provider:
        """Return the provider, built. Raises what building it raises."""
        if self._provider is None:  # importing its module, and with it an SDK, takes up to half a second
            provider = await in_thread(self._build)
            if self._provider is None:  # nobody was quicker
                self._provider = provider
        return self._provider

    async def _open(self) -> None:
        set_out(self._errand)
        provider = await self.prepared()
        if self._open_on is not None:  # a loop that is gone
            self._open_on = None
            provider.abandon()
        try:
            await provider.open()
            if self._companion is not None:
                await self._companion.open()
        except BaseException:
            await self._close_provider()  # whatever it had opened so far
            raise
        if self.closed:  # meanwhile
            await self._close_provider()
            return
        self._open_on = asyncio.get_running_loop()
        self._opened()

    async def close(self, within: float = CLOSE_WITHIN) -> None:
        """Close what was opened on this loop, ``within`` seconds. It opens again when needed, unless ``closed``."""
        loop = asyncio.get_running_loop()
        opening, self._opening = self._opening, None
        if opening is not None and opening.get_loop() is loop and not opening.done():
            self._ended = opening
            opening.cancel()
            await asyncio.wait({opening}, timeout=within)
        if self._open_on is loop:
            self._open_on = None
            await self._close_provider(within)

    async def _close_provider(self, within: float = CLOSE_WITHIN) -> None:
        provider = self.provider
        try:
            async with asyncio.timeout(within):
                await provider.aclose()
        except BaseException as error:  # it is not usable any more
            provider.abandon()
            # About an error, whoever closes can do nothing; and a cancellation may be that of what closing waited for.
            if not isinstance(error, Exception | asyncio.CancelledError) or is_asked_to_end():
                raise

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        """What opens the provider now."""
        return {self._opening} if self._opening is not None else set()

    def abandon(self) -> None:
        """Forget what belongs to a loop that is gone, or to the parent of a fork."""
        self._open_on = self._opening = None
        for provider in (self._provider, self._companion):
            if provider is not None:
                provider.abandon()
