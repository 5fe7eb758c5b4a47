"""Settings that follow their secrets: one snapshot, replaced as a whole."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from pydantic import BaseModel

from asyncsecrets.errors import AsyncSecretsError, ClosedError, ResolveError, UnavailableError
from asyncsecrets.integrations.pydantic.batch import Chosen
from asyncsecrets.integrations.pydantic.loading import Loader
from asyncsecrets.loops import spawn

__all__ = ["LiveSettings"]

M = TypeVar("M", bound=BaseModel)

logger = logging.getLogger("asyncsecrets.settings")

_PAUSE: Final = 1.0, 60.0  # seconds until what failed is tried again: the first and the longest


class LiveSettings(Generic[M]):
    """A model that follows its secrets. ``await load_settings(Model, live=True)`` makes one.

        live = await load_settings(Settings, live=True)
        connect(live.current.db_user, live.current.db_password)

    ``current`` is one snapshot, made of values that were current at one moment; take it once for what belongs
    together. When a secret of it rotates, a new one replaces it. A value that the model refuses, and a secret that
    cannot be had, leave the last snapshot in place, and are logged once. It ends with its client, with the event loop
    that it was loaded on, or with ``close``; ``current`` stays what it was.
    """

    def __init__(self, loader: Loader[M], chosen: list[Chosen], settings: M) -> None:
        self._loader = loader
        self._chosen = chosen
        self._current = settings
        self._callbacks: list[Callable[[M], object]] = []
        self._failing = False
        self._task = spawn(self._follow(), name="asyncsecrets-settings")

    @property
    def current(self) -> M:
        """The newest snapshot. From any thread."""
        return self._current

    def on_change(self, callback: Callable[[M], object]) -> Callable[[], None]:
        """Call ``callback(settings)`` with each new snapshot. Returns a function that ends it.

        It is called on the event loop that the settings were loaded on, and must not block. What it raises is logged
        and goes no further.
        """
        self._callbacks.append(callback)

        def remove() -> None:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

        return remove

    def close(self) -> None:
        """Follow no longer. Harmless when closed. To be called on the event loop that the settings were loaded on."""
        self._task.cancel()

    async def _follow(self) -> None:
        pause, longest = _PAUSE
        while self._chosen:
            try:
                await self._watch()
            except ClosedError:
                return
            except AsyncSecretsError as error:
                self._tell(error)
            await asyncio.sleep(pause)
            pause = min(longest, 2 * pause) if self._failing else _PAUSE[0]

    async def _watch(self) -> None:
        """Renew with every change, the first time at once. Returns when it has to begin anew."""
        names = {each.reference for each in self._chosen}
        async for _ in self._loader.client.watch_many(names, wait=True):
            try:
                await self._renew()
            except ClosedError:
                raise
            except (ResolveError, UnavailableError) as error:  # it could not be read, and may be in a while
                self._tell(error)
                return
            except Exception as error:  # noqa: BLE001  # a validator may raise anything; another value it may take
                self._tell(error)
            else:
                self._failing = False
            if names != {each.reference for each in self._chosen}:
                return

    async def _renew(self) -> None:
        chosen = await self._loader.read()
        if chosen != self._chosen:
            settings = await self._loader.make(chosen)
            self._chosen, self._current = chosen, settings
            self._call_back(settings)

    def _call_back(self, settings: M) -> None:
        for callback in list(self._callbacks):
            try:
                callback(settings)
            except Exception as error:  # noqa: BLE001  # somebody's callback must not end this
                # Its class only: a traceback would show the settings.
                logger.error("an on_change callback of settings failed: %s", type(error).__name__)  # noqa: TRY400

    def _tell(self, error: Exception) -> None:
        if not self._failing:
            said = str(error) if isinstance(error, AsyncSecretsError) else type(error).__name__
            logger.warning("settings keep their last values: %s", said)
        self._failing = True
