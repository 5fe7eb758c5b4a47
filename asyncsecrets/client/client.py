"""SecretsClient: the class that programs use."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Self, Unpack

from asyncsecrets import default
from asyncsecrets.boundary import afresh, configuring
from asyncsecrets.client import stand_ins
from asyncsecrets.client.connection import CLOSE_WITHIN
from asyncsecrets.client.hot import Hot
from asyncsecrets.client.looking import Looking
from asyncsecrets.client.options import Options, ProviderOptions
from asyncsecrets.client.routing import Router
from asyncsecrets.client.source import Source
from asyncsecrets.client.sources import Maker, build_sources, only_source
from asyncsecrets.client.store import Store
from asyncsecrets.client.variants import Variants
from asyncsecrets.client.watching import Watchers
from asyncsecrets.client.writing import Writing
from asyncsecrets.config import DEFAULT_SOURCE, Config, Freshness, load_config
from asyncsecrets.loops import ending, running_loop, warn_of_dropped
from asyncsecrets.providers.base import Provider
from asyncsecrets.retry import Retry, RetryPolicy

__all__ = ["SecretsClient"]


class SecretsClient(Writing, Looking):
    """Reads and writes secrets of one or several sources, and keeps what it has read fresh.

        async with SecretsClient.from_config("config.yaml") as secrets:
            secret = await secrets.get("DB_PASSWORD")

    Build one with ``from_config``, ``from_provider`` or ``from_environment``. Nothing is read or sent before
    ``async with`` or ``start``, but for the configuration file. Within ``async with`` it is the process's default
    client: the one that ``asyncsecrets.get_secret`` reads through.

    Every method raises ``AsyncSecretsError`` and no other exception of this package; ``ClosedError`` after ``aclose``.

    What can be given to each way of building one, by name:

    * ``environ``: the environment. Default: the process's, with the ``.env`` file in the working directory.
    * ``retry``: the ``RetryPolicy`` of every source. Default: that of the configuration.
    * ``providers``: providers that are made already, by the name of their source. Not for ``from_provider``.
    * ``jitter``: returns random numbers from 0 to 1. ``wall_clock``: returns the Unix time that logs and ``status()``
      tell. ``cache_options``: arguments of every ``SingleFlightCache``. For tests.

    A client works on one event loop at a time. Asked from another thread's loop, it answers from memory or has its own
    loop fetch. When its loop has ended, it goes on with its values on the next loop that uses it. For a loop of
    another thread that was stopped and not closed, that takes a quarter of a second.

    A client that the program drops without closing it stops refreshing, with a ResourceWarning.
    """

    @configuring
    def __init__(
        self,
        config: Config,
        *,
        providers: Mapping[str, Provider] | None = None,
        environ: Mapping[str, str] | None = None,
        retry: RetryPolicy | None = None,
        jitter: Callable[[], float] = random.random,
        cache_options: dict[str, Any] | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        hots: list[Hot] = []
        watchers = Watchers(lambda: hots[-1].secrets)

        def parts() -> tuple[Router, Hot, Variants]:
            hot = Hot(default.rebind)
            hots[:] = [hot]
            maker = Maker(
                config,
                environ,
                hot,
                retry=Retry(retry or config.retry, jitter=jitter),
                changed=watchers.heard,
                cache_options={"jitter": jitter, **(cache_options or {})},
                wall=wall_clock,
            )
            sources = build_sources(config, providers or {}, maker)
            return Router(sources, config.aliases, config.origin), hot, Variants(maker, providers or {})

        router, hot, variants = parts()
        super().__init__(router, hot, watchers, variants)
        self._new_parts = parts
        stand_ins.follow(self)

    @classmethod
    @afresh
    def from_config(cls, config: str | os.PathLike[str] | Mapping[str, Any], **options: Unpack[Options]) -> Self:
        """Build a client from a ``config.yaml`` (a path) or a mapping of the same shape.

        Reads the file and those that it includes, synchronously. ``options`` are those of the class. Raises
        ConfigError.
        """
        environ = options.get("environ")
        return cls(load_config(config, stand_ins.settings(os.environ if environ is None else environ)), **options)

    @classmethod
    @afresh
    def from_provider(
        cls,
        provider: Provider,
        *,
        refresh_interval: float = 86_400.0,
        max_stale: float = 86_400.0,
        negative_ttl: float = 5.0,
        max_entries: int = 10_000,
        read_your_writes: float = 60.0,
        access_mode: Literal["read_only", "write_only", "read_and_write"] = "read_and_write",
        hosted_keys: Iterable[str] | None = None,
        **options: Unpack[ProviderOptions],
    ) -> Self:
        """Build a client with ``provider`` as its only source.

        Durations are in seconds. The environment is asked for what the provider does not have. With ``hosted_keys``,
        the names that are listed there are asked of the provider alone. ``options`` are those of the class. Raises
        ConfigError.
        """
        freshness = Freshness(
            refresh_interval=refresh_interval,
            max_stale=max_stale,
            negative_ttl=negative_ttl,
            max_entries=max_entries,
            read_your_writes=read_your_writes,
        )
        source = only_source(provider, freshness, access_mode, hosted_keys)
        return cls(Config(sources={DEFAULT_SOURCE: source}), providers={DEFAULT_SOURCE: provider}, **options)

    @classmethod
    @afresh
    def from_environment(cls, **options: Unpack[Options]) -> Self:
        """Build a client as ``get_secret`` does: from the file that ``ASYNCSECRETS_CONFIG`` names, or the
        ``config.yaml`` that is found, or the environment. ``options`` are those of the class. Raises ConfigError."""
        environ = options.get("environ")
        variables = stand_ins.settings(os.environ if environ is None else environ)
        return cls(Config.from_environment(variables, Path.cwd()), **options)

    # -- for whoever keeps something of his own

    @afresh
    def store(self, source: str | None = None, settings: Mapping[str, Any] | None = None) -> Store:
        """What ``VirtualKeys`` and the like stand on: a source, for names that are nobody else's. No I/O.

        ``settings`` replace some of those that the source is declared with: there is one more source for each distinct
        set of them, closed with this client. Raises ConfigError.
        """

        def found() -> Source:
            declared = self._router.source(source)
            return self._variants.of(declared, settings) if settings else declared

        self._check_open()
        found()
        return Store(found, self._check_open)

    @afresh
    def place(self, name: str, source: str | None = None) -> tuple[str, str, str | None]:
        """Where that is which a reader of ``name`` gets: the source, the secret there, and which member of it. No I/O.

        Raises AccessModeError, ConfigError; UnsupportedOperationError where it cannot be changed there.
        """
        self._check_open()
        found, entry, member = self._router.place(name, source)
        return found.name, entry, member

    # -- life

    @property
    def is_open(self) -> bool:
        """Whether it was opened, and is not closed."""
        return self._started and not self._closed

    async def __aenter__(self) -> Self:
        await self.start()
        default.push(self)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @afresh
    async def start(self) -> None:
        """Open every source and start refreshing on the running loop. ``async with`` does so by itself.

        No secret is read, so a manager that is down does not keep a program from starting. To insist, ``warm_up``.
        Raises what is wrong with the configuration, and closes the client.
        """
        self._check_open()
        running_loop()
        self._started = True
        try:
            await self._start_sources()
        except BaseException:
            await self.aclose()
            raise

    @ending(CLOSE_WITHIN + 0.5, "asyncsecrets-close")
    def aclose(self) -> Coroutine[Any, Any, None]:
        """Close everything this client opened, within two seconds. Harmless when closed.

        Whoever waits for a secret gets ClosedError. Closing begins with the call and is not cut off: a task that is
        cancelled while it waits for this is told so when everything has ended.
        """
        self._closed = True
        return self._close()

    async def _close(self) -> None:
        try:
            await asyncio.gather(*(source.home.run(source.aclose, limit=CLOSE_WITHIN) for source in self._unique()))
        finally:
            self._hot.withdraw()
            self._watchers.close()
            default.remove(self)  # last: until here, get_secret() is told that its client is closed

    # -- in tests: see asyncsecrets.client.stand_ins

    def _stand_anew(self) -> None:
        """Make the sources anew; what the old ones have opened is closed. Of a closed client, nothing. From any
        thread."""
        if self._closed:
            return
        old, hot = self._unique(), self._hot
        self._router, self._hot, self._variants = self._new_parts()
        self._sources = dict(self._router.sources)
        hot.withdraw()
        for source in old:
            source.cache.forsake()
        self._watchers.close()  # who follows a value looks again

    def _end(self) -> None:
        """Close without waiting: each source ends on its loop, as soon as that runs. From any thread."""
        self._forsake()
        self._closed = True
        self._hot.withdraw()
        self._watchers.close()
        default.remove(self)

    def __del__(self, warn: Callable[..., None] = warn_of_dropped) -> None:
        warn(self, self._forsake)

    def _forsake(self) -> bool:
        return not self._closed and any([source.cache.forsake() for source in self._unique()])  # noqa: C419  # all

    async def _start_sources(self) -> None:
        starting = (source.home.run(source.start) for source in self._unique())
        for outcome in await asyncio.gather(*starting, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
