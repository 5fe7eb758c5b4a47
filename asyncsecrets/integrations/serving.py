"""The secrets of an app: what every framework's module stands on, and no framework itself.

    secrets = AppSecrets("config.yaml", required=["DB_PASSWORD"], optional=["SENTRY_DSN"])

    async with secrets.opened():  # in the app's lifespan
        ...

Nothing is read, and no event loop bound, before it is opened: an ``AppSecrets`` stands at the top of a module, also
where a server loads that before it forks its workers.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Literal, Unpack

from asyncsecrets.boundary import afresh, configuring
from asyncsecrets.client import SecretsClient
from asyncsecrets.client.options import Options
from asyncsecrets.errors import AsyncSecretsError, ClosedError, ConfigError, ResolveError
from asyncsecrets.integrations.readiness import CLOSED, Readiness, closed_for
from asyncsecrets.integrations.running import NOT_OPEN, Run
from asyncsecrets.integrations.starting import needs_of
from asyncsecrets.loops import current_loop, in_thread, running_loop

__all__ = ["AppSecrets", "Given"]

Given = str | os.PathLike[str] | Mapping[str, Any] | Callable[[], SecretsClient] | SecretsClient | None
"""From what an app's client is made."""


class AppSecrets:
    """The secrets of an app: a client that is opened when the app starts, and closed when it ends.

    ``config`` is the path of a ``config.yaml`` or a mapping of the same shape, with ``options`` as for
    ``SecretsClient.from_config``. None stands for ``SecretsClient.from_environment``. It may also be a function that
    makes a client, or a client: one that is open already is used, and left open. Files are read when the app starts,
    in a thread.

    * ``required``: names or references. If one cannot be read, the start fails with ``ResolveError``, which lists all
      that cannot, and why. ``"hosted"`` means every ``hosted_keys`` of the configuration but what is ``optional``.
    * ``optional``: read at the start as well. What cannot be read is logged once, and asked for again if the error is
      transient.
    * ``degraded``: names without which the app starts all the same, if the error is transient: their manager is down,
      or too slow. It keeps asking for them, and is not ready until it has them. True stands for all that is required.
      An error that waiting does not mend, such as a secret that is not there, fails the start in any case.
    * ``within``: how long reading may take at the start, in seconds.
    * ``spread``: wait for a random time first, of so many seconds at most. For many workers that start at once.

    An app that runs on several event loops, one after another or at once, has a client on each. Whoever opens it
    again on the same loop shares the one that is there.
    """

    @configuring
    def __init__(
        self,
        config: Given = None,
        *,
        required: Iterable[str] | Literal["hosted"] = (),
        optional: Iterable[str] = (),
        degraded: Iterable[str] | bool = False,
        within: float = 30.0,
        spread: float = 0.0,
        **options: Unpack[Options],
    ) -> None:
        self._needs = needs_of(required, optional, degraded, within, spread)
        self._make = _maker(config, options)
        self._jitter = options.get("jitter", random.random)
        self._runs: dict[asyncio.AbstractEventLoop, Run] = {}
        self._started: list[Run] = []

    def opened(self) -> AbstractAsyncContextManager[SecretsClient]:
        """Have the client open within ``async with``, as the process's default client. It may be entered any number of
        times: the last who leaves closes it.

        Entering raises what keeps the app from starting, ResolveError or another AsyncSecretsError; then nothing is
        left open.
        """
        return _Opened(self._enter, self._leave)

    @afresh
    async def start(self) -> SecretsClient:
        """Open the client, where a framework has one hook for the start and one for the end: there, ``aclose``. Raises
        as ``opened`` does."""
        run = await self._enter()
        self._started = [other for other in self._started if not other.loop.is_closed()] + [run]
        return run.reached()

    @afresh
    async def aclose(self) -> None:
        """End what one ``start`` on the running event loop has begun. Harmless where there was none."""
        loop = running_loop()
        run = next((run for run in reversed(self._started) if run.loop is loop), None)
        if run is not None:
            self._started.remove(run)
            await self._leave(run)

    @property
    def client(self) -> SecretsClient:
        """The client that is open: on the running event loop, or where none runs, the one that was opened last.

        Raises ClosedError where there is none.
        """
        run = self._run()
        if run is None:
            raise ClosedError(NOT_OPEN)
        return run.reached()

    @afresh
    async def reach(self) -> SecretsClient:
        """Return the client that is open on the running event loop. Where there is none, open one for as long as the
        loop lasts: for servers, and test clients, that run no lifespan. Raises as ``opened`` does."""
        run = self._runs.get(running_loop())
        if run is None or not run.is_open:
            run = await self._enter(lasting=True)
            if not run.keep():
                await self._leave(run)
        return run.reached()

    @afresh
    def readiness(self) -> Readiness:
        """Say whether the app has what it needs. Never a value. No I/O, from any thread.

        It goes by the last answers. If something is missing, this call has it asked for again in the background: who
        asks every now and then, as a probe does, is told soon when it is there.
        """
        run = self._run()
        return CLOSED if run is None or run.is_over else run.readiness()

    async def probe(self) -> Readiness:
        """As ``readiness``, for a probe: opens the client where no lifespan has, and tells why it cannot."""
        try:
            await self.reach()
        except ResolveError as error:
            return closed_for({name: type(failure).__name__ for name, failure in error.failures.items()})
        except AsyncSecretsError:
            return CLOSED
        return self.readiness()

    # -- inside

    def _run(self) -> Run | None:
        loop = current_loop()
        if loop is not None:
            return self._runs.get(loop)
        return next((run for run in reversed(self._runs.values()) if not run.loop.is_closed()), None)

    async def _enter(self, *, lasting: bool = False) -> Run:
        """Open a client, or wait until it is open. Who has entered has to leave."""
        loop = running_loop()
        await self._let_go()
        run = self._runs.get(loop)
        if run is None or run.is_over:
            run = self._runs[loop] = Run(self._made, self._needs, self._jitter, is_lasting=lasting)
        run.users += 1
        try:
            await run.opened()
        except BaseException:
            await self._leave(run)
            raise
        return run

    async def _leave(self, run: Run) -> None:
        run.users -= 1
        if run.users:
            return
        if self._runs.get(run.loop) is run:
            del self._runs[run.loop]
        await run.aclose()

    async def _let_go(self) -> None:
        """Close what was left open on loops that have ended."""
        for loop in [loop for loop in self._runs if loop.is_closed()]:
            client = self._runs.pop(loop).client
            if client is not None:
                await client.aclose()

    async def _made(self) -> SecretsClient:
        if isinstance(self._make, SecretsClient):
            return self._make
        client = await in_thread(self._make)
        if not isinstance(client, SecretsClient):
            raise ConfigError(f"the function given to AppSecrets returned {type(client).__name__}, not a SecretsClient")
        return client


class _Opened(AbstractAsyncContextManager[SecretsClient]):
    """One use of an app's client."""

    __slots__ = ("_enter", "_leave", "_run")

    def __init__(
        self, enter: Callable[[], Coroutine[Any, Any, Run]], leave: Callable[[Run], Coroutine[Any, Any, None]]
    ) -> None:
        self._enter = enter
        self._leave = leave

    @afresh
    async def __aenter__(self) -> SecretsClient:
        run = self._run = await self._enter()
        return run.reached()

    @afresh
    async def __aexit__(self, *_: object) -> None:
        await self._leave(self._run)


def _maker(config: Given, options: Options) -> Callable[[], SecretsClient] | SecretsClient:
    if config is None:
        return partial(SecretsClient.from_environment, **options)
    if isinstance(config, str | os.PathLike | Mapping):
        return partial(SecretsClient.from_config, config, **options)
    if set(options) - {"jitter"}:
        raise ConfigError("the options of a client are for one that is made here; give them to the one that you make")
    if not isinstance(config, SecretsClient) and not callable(config):
        raise ConfigError(
            f"AppSecrets takes a path, a mapping, a client or a function that makes one, not {type(config).__name__}"
        )
    return config
