"""SecretsClient: the class that programs use."""

from __future__ import annotations

import asyncio
import builtins
import os
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, Unpack

from asyncsecrets import default
from asyncsecrets.boundary import afresh, configuring
from asyncsecrets.client import changes, writes
from asyncsecrets.client.administration import Administration
from asyncsecrets.client.bulk import read_all
from asyncsecrets.client.connection import CLOSE_WITHIN
from asyncsecrets.client.hot import Hot
from asyncsecrets.client.looking import Looking
from asyncsecrets.client.options import Options, ProviderOptions
from asyncsecrets.client.places import Route, place_of
from asyncsecrets.client.routing import Router
from asyncsecrets.client.source import Source
from asyncsecrets.client.sources import build_sources, only_source
from asyncsecrets.client.watching import Watchers
from asyncsecrets.config import DEFAULT_SOURCE, Config, Freshness, load_config
from asyncsecrets.documents import references, replace_references
from asyncsecrets.errors import (
    AsyncSecretsError,
    ClosedError,
    ConfigError,
    DecodeError,
    SecretNotFoundError,
)
from asyncsecrets.loops import LoopBound, ending, running_loop, warn_of_dropped
from asyncsecrets.providers.base import Provider
from asyncsecrets.references import check_name
from asyncsecrets.retry import Retry, RetryPolicy
from asyncsecrets.secret import Payload, Secret

__all__ = ["SecretsClient"]

T = TypeVar("T")


class SecretsClient(LoopBound, Administration, Looking):
    """Reads and writes secrets of one or several sources, and keeps what it has read fresh.

    Build one with ``from_config``, ``from_provider`` or ``from_environment``: no I/O is done and no event loop bound
    before ``async with`` or ``start``. Within ``async with`` it is the process's default client, the one that
    ``asyncsecrets.get_secret`` reads through.

    A client works on one event loop at a time; asked from another thread's loop, it answers from memory or has its own
    loop fetch. When its loop is gone it goes on, with its values, on the next one that uses it; of a loop in another
    thread that was stopped and not closed, that is known after a quarter of a second. Every method raises
    ``AsyncSecretsError`` and nothing else of ours, ``ClosedError`` after ``aclose``.

    ``environ`` is the environment (default: the process's, with the ``.env`` file in the working directory);
    ``providers`` are made already, by source; ``retry`` is the retry policy of every source (default: that of the
    configuration); ``jitter`` a source of randomness from 0 to 1; ``cache_options`` go to every ``SingleFlightCache``
    (clocks, for tests); ``wall_clock`` tells the Unix time that people read in logs and in ``status()``.

    One that the program drops without closing it stops refreshing, with a ResourceWarning.
    """

    _closed = False
    _sources: dict[str, Source] = {}  # noqa: RUF012  # none, where the constructor did not get that far

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
        self._hot = Hot(default.rebind)
        self._watchers = Watchers()
        self._sources = build_sources(
            config,
            providers or {},
            environ,
            self._hot,
            retry=Retry(retry or config.retry, jitter=jitter),
            changed=self._watchers.heard,
            cache_options={"jitter": jitter, **(cache_options or {})},
            wall=wall_clock,
        )
        self._router = Router(self._sources)

    @classmethod
    @afresh
    def from_config(cls, config: str | os.PathLike[str] | Mapping[str, Any], **options: Unpack[Options]) -> Self:
        """Build a client from a ``config.yaml`` (a path) or a mapping of the same shape (SPEC §2).

        Reads the one file, synchronously. ``options`` are those of the constructor. Raises ConfigError.
        """
        environ = options.get("environ")
        return cls(load_config(config, os.environ if environ is None else environ), **options)

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

        Durations in seconds. The environment stands in for what is absent there, unless ``hosted_keys`` lists the
        names that the provider alone is asked for (SPEC §2). ``options`` are those of the constructor. Raises
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
        """Build the client of a program that was given none: see
        ``asyncsecrets.config.Config.from_environment``."""
        environ = options.get("environ")
        return cls(Config.from_environment(os.environ if environ is None else environ, Path.cwd()), **options)

    # -- life

    async def __aenter__(self) -> Self:
        await self.start()
        default.push(self)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @afresh
    async def start(self) -> None:
        """Open every source and start refreshing on the running loop. Raises what is wrong with the configuration,
        and closes the client.

        No secret is read: a manager that is down does not keep a program from starting. To insist, ``warm_up``.
        """
        self._check_open()
        running_loop()
        try:
            await self._start_sources()
        except BaseException:
            await self.aclose()
            raise

    @ending(CLOSE_WITHIN + 0.5, "asyncsecrets-close")
    def aclose(self) -> Coroutine[Any, Any, None]:
        """Close everything this client opened, within two seconds; whoever waits gets ClosedError. Harmless when
        closed.

        It is begun by the call. Whoever is cancelled while it waits, as by a time limit, hears of that when everything
        has ended.
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

    def __del__(self, warn: Callable[..., None] = warn_of_dropped) -> None:
        warn(self, self._forsake)

    def _forsake(self) -> bool:
        return not self._closed and any([source.cache.forsake() for source in self._unique()])  # noqa: C419  # all

    # -- reading

    async def get(
        self,
        name: str,
        *,
        version: str | None = None,
        field: str | None = None,
        source: str | None = None,
    ) -> Secret:
        """Return a secret. ``name`` is a name or a reference; the keywords say what it leaves open.

        ``version``: this one instead of the current one; ``field``: this member of a JSON object; ``source``: ask
        this one source and nothing else. A warm secret asked for without keywords costs one dict lookup.
        """
        if version is None and field is None and source is None:
            try:
                return self._hot.secrets[name]
            except (KeyError, TypeError):  # what is no text is told so by the route
                pass
            if self._closed:
                self._check_open()
            route = self._router.route(name)
        else:
            self._check_open()
            route = self._router.route_with(name, version=version, field=field, source=source)
        landing, absent = route.source.landing(route), None
        if landing is None:
            return await self._get(route)
        # What Source.read() does, without its coroutine: ten thousand who wait for one flight take 40 % less memory.
        try:
            secret = await landing
        except SecretNotFoundError as error:
            absent = error.with_traceback(None)  # which holds this frame
        except ClosedError:
            if self._closed:
                raise
        else:  # one of the many who waited may have made the view already
            view = self._hot.secrets.get(route.reference)
            return route.source.seen(secret, route) if view is None else view
        if absent is not None:
            return route.source.views.absent(absent, route)
        return await self._get(route)  # another loop is home now

    async def _get(self, route: Route[Source]) -> Secret:
        found = route.source
        if found.home.claim():
            return await found.read(route)
        return await found.home.run(partial(found.read, route))

    @afresh
    async def get_many(self, names: Iterable[str]) -> dict[str, Secret]:
        """Return several secrets by name, fetched at once. Raises ResolveError listing every name that failed.

        The deadline of the retry policy holds for each of them, from its turn: no more are asked for at once than the
        manager has connections for. All together have that once more for each time that all connections are taken.
        """
        return await self._all(names, self.get)

    @afresh
    async def warm_up(self, names: Iterable[str]) -> None:
        """Fetch ``names`` now, so that the first reader does not wait; ``health()`` is down if one cannot be had.

        Raises ResolveError listing every one that failed.
        """
        await self._all(names, self._get_required)

    @afresh
    async def resolve(self, document: Any) -> Any:
        """Return a copy of ``document`` with every reference replaced by its value: all, or ResolveError naming each
        that failed. Values stay text, and are not looked at for references again."""
        found = await self._all((text for _, text in references(document)), self._readable_text)
        return replace_references(document, {text: secret.reveal() for text, secret in found.items()})

    def peek(self, name: str) -> Secret | None:
        """Return a secret if it is warm, else None. Synchronous, never I/O, from any thread.

        Only what was read under this very name or reference, and is vouched for by a running event loop, is warm.
        """
        try:  # 15 % less than dict.get, which is a method call
            return self._hot.secrets[name]
        except (KeyError, TypeError):
            return None

    @property
    def texts(self) -> dict[str, str]:
        """What is warm, as text by reference. Read only; a new dict whenever vouching ends."""
        return self._hot.texts

    @afresh
    async def refresh(self, name: str, *, source: str | None = None) -> Secret:
        """Ask the manager now, whatever is cached, and return what it says. A failure leaves the old value in place,
        unless it is that the secret is gone."""
        route = self._route(name, source)
        return await route.source.home.run(partial(route.source.refresh, route))

    @afresh
    def invalidate(self, name: str, *, source: str | None = None) -> None:
        """Forget what is cached for ``name``: the next reader asks the manager.

        From another thread than the one whose event loop this client lives on, it takes effect a moment later.
        """
        route = self._route(name, source)
        route.source.home.post(partial(route.source.cache.invalidate, route.key))

    # -- writing

    @afresh
    async def put(self, name: str, value: Payload, *, cas: str | None = None, source: str | None = None) -> Secret:
        """Create or update a secret, and return it. The next read, anywhere in this process, sees the new value.

        ``name`` is a name, or a reference to a secret as a whole. ``cas``: write only if this version is current
        (``"0"``: only if there is none), where the store can. Raises AccessModeError before anything is sent,
        DecodeError for what is neither text nor bytes, ConflictError, WriteOutcomeUnknownError, ….
        """
        sealed = writes.sealed(name, value)
        del value  # what raises from here on has it in no local variable
        if isinstance(sealed, DecodeError):
            raise sealed
        self._check_open()
        if cas is not None and not isinstance(cas, str):
            raise ConfigError(f'cas is a version as text, such as "3", not {type(cas).__name__}')
        target, entry = self._router.writable(name, source)
        write = writes.Put(entry, sealed, cas)
        make, decide = partial(writes.put, target, write), partial(writes.put, target, write, interrupted=True)
        written = await target.home.run(make, repeatable=False, decide=decide)
        field = target.default_field
        return written if field is None else written.field(field)

    @afresh
    async def delete(self, name: str, *, versions: Iterable[str] | None = None, source: str | None = None) -> None:
        """Delete a secret, or these versions of it, recoverably where the store can: ``restore`` brings it back.

        Deleting what is absent is not an error. Raises UnsupportedOperationError for ``versions`` where the store has
        no such thing, ConfigError for no versions at all.
        """
        listed = changes.chosen(versions)
        if listed is not None:
            await self._change(name, source, lambda target, entry: changes.delete_versions(target, entry, listed))
            return
        self._check_open()
        target, entry = self._router.writable(name, source)
        write = writes.Delete(entry)
        make, decide = partial(writes.delete, target, write), partial(writes.delete, target, write, interrupted=True)
        await target.home.run(make, repeatable=False, decide=decide)

    # -- inside

    async def _start_sources(self) -> None:
        starting = (source.home.run(source.start) for source in self._unique())
        for outcome in await asyncio.gather(*starting, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome

    def _unique(self) -> builtins.list[Source]:
        return builtins.list(dict.fromkeys(self._sources.values()))  # the environment may have two names

    def _route(self, name: str, source: str | None) -> Route[Source]:
        self._check_open()
        return self._router.route_with(name, version=None, field=None, source=source)

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("this SecretsClient is closed; open it with `async with`, or build a new one")

    async def _get_required(self, name: str) -> Secret:
        self._check_open()
        route = self._router.route(name)
        route.source.reporter.require(place_of(route))
        return await self.get(name)

    async def _readable_text(self, name: str) -> Secret:
        secret = await self.get(name)
        secret.reveal()
        return secret

    async def _all(self, names: Iterable[str], read: Callable[[str], Awaitable[Secret]]) -> dict[str, Secret]:
        if isinstance(names, str) or not isinstance(names, Iterable):
            raise ConfigError("several names are expected, as text, in a list or other iterable")
        given: builtins.list[Any] = [*names]
        running_loop()
        for name in given:
            if not isinstance(name, str):  # which could not even be listed among the failures
                check_name(name)
        wanted = dict.fromkeys(given)
        sources = {name: source for name in wanted if (source := self._source_of(name)) is not None}
        counts = Counter(sources.values())
        within = max([await source.calls.time_for(count) for source, count in counts.items()], default=1.0)
        return await read_all(wanted, read, within, lambda name: sources[name].config.system)

    def _source_of(self, name: str) -> Source | None:
        try:
            return self._router.route(name).source
        except AsyncSecretsError:
            return None  # whoever reads it is told why
