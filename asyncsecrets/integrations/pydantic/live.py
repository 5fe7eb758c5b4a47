"""Settings that follow their secrets: one snapshot, replaced as a whole."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from pydantic import BaseModel

from asyncsecrets.errors import AsyncSecretsError, ClosedError, ResolveError, TransientError
from asyncsecrets.integrations.pydantic.batch import Chosen
from asyncsecrets.integrations.pydantic.loading import Loader
from asyncsecrets.loops import spawn
from asyncsecrets.secret import Secret

__all__ = ["LiveSettings"]

M = TypeVar("M", bound=BaseModel)

logger = logging.getLogger("asyncsecrets.settings")

_PAUSE: Final = 1.0, 60.0  # seconds between tries to read what was rotated: the first and the longest


class LiveSettings(Generic[M]):
    """A model that follows its secrets. ``await load_settings(Model, live=True)`` makes one.

        live = await load_settings(Settings, live=True)
        connect(live.current.db_user, live.current.db_password)

    ``current`` is one snapshot, made of values that were current at one moment; take it once for what belongs
    together. When a secret of it rotates, a new one replaces it. A value that the model refuses leaves the last
    snapshot in place, and is logged once. It ends with its client, or with ``close``; ``current`` stays what it was.
    """

    def __init__(self, loader: Loader[M], references: frozenset[str]) -> None:
        self._loader = loader
        self._references = references
        self._chosen: list[Chosen] = []
        self._current: M | None = None
        self._callbacks: list[Callable[[M], object]] = []
        self._task: asyncio.Task[None] | None = None
        self._changed = self._failing = False
        self._leave: Callable[[], None] | None = None

    @property
    def current(self) -> M:
        """The newest snapshot. From any thread."""
        if self._current is None:
            raise ClosedError("these settings were never loaded")
        return self._current

    def on_change(self, callback: Callable[[M], object]) -> Callable[[], None]:
        """Call ``callback(settings)`` with each new snapshot. Returns a function that ends it.

        It is called on the event loop of the client, and must not block. What it raises is logged and goes no further.
        """
        self._callbacks.append(callback)

        def remove() -> None:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

        return remove

    def close(self) -> None:
        """Follow no longer. Harmless when closed. To be called on the event loop of the client."""
        if self._leave is not None:
            self._leave()
            self._leave = None
        if self._task is not None:
            self._task.cancel()

    async def begin(self) -> None:
        """Load the first snapshot. What changes meanwhile is not missed."""
        self._leave = self._loader.client.on_change(self._heard)
        try:
            await self._renew()
        except BaseException:
            self.close()
            raise

    def _heard(self, reference: str, _: Secret) -> None:
        if reference not in self._references:
            return
        self._changed = True
        if self._current is not None and self._task is None:
            # It begins with the next turn of the loop: by then, all members of a secret have changed.
            self._task = spawn(self._follow(), name="asyncsecrets-settings", done=self._ended)

    def _ended(self, _: asyncio.Task[None]) -> None:
        self._task = None

    async def _follow(self) -> None:
        pause, longest = _PAUSE
        while self._changed and self._leave is not None:
            try:
                await self._renew()
            except ClosedError:
                return
            except Exception as error:  # noqa: BLE001  # a validator may raise anything
                self._tell(error)
                if not _may_pass(error):
                    continue  # the next change may mend it
                self._changed = True
            else:
                self._failing = False
                continue
            await asyncio.sleep(pause)
            pause = min(longest, 2 * pause)

    async def _renew(self) -> None:
        self._changed = False
        chosen = await self._loader.read()
        if self._current is None or chosen != self._chosen:
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


def _may_pass(error: Exception) -> bool:
    causes = error.failures.values() if isinstance(error, ResolveError) else [error]
    return any(isinstance(cause, TransientError) for cause in causes)
