"""SecretsClient: the class that programs use."""

from __future__ import annotations

import asyncio
import builtins
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

from asyncsecrets import default, registry
from asyncsecrets.client.hot import Hot
from asyncsecrets.client.routing import ENVIRONMENT, Route, Router
from asyncsecrets.client.source import Source
from asyncsecrets.client.status import Explanation, Health, SourceStatus, explain, health_of, status_of
from asyncsecrets.client.watching import OnChange, Watchers
from asyncsecrets.client.writes import Writes
from asyncsecrets.config import DEFAULT_SOURCE, AccessMode, Config, Freshness, SourceConfig, load_config
from asyncsecrets.documents import references, replace_references
from asyncsecrets.errors import (
    AsyncSecretsError,
    ClosedError,
    DeadlineExceededError,
    ResolveError,
    UnsupportedOperationError,
)
from asyncsecrets.providers.base import Lister, Provider, VersionInfo, VersionLister
from asyncsecrets.providers.environment import EnvironmentProvider
from asyncsecrets.retry import Retry, RetryPolicy
from asyncsecrets.secret import Payload, Secret

__all__ = ["SecretsClient"]

T = TypeVar("T")

# The environment costs nothing to ask and may be changed by the process itself.
_ENVIRONMENT_FRESHNESS = Freshness(refresh_interval=10.0, max_stale=0.0, negative_ttl=0.0)
_CLOSE_WITHIN = 2.0


class SecretsClient:
    """Reads and writes secrets of one or several sources, and keeps what it has read fresh.

    Build one with :meth:`from_config`, :meth:`from_provider` or :meth:`from_environment`: no I/O is done and no event
    loop bound before ``async with`` or :meth:`start`. Within ``async with`` it is the process's default client, the
    one that :func:`asyncsecrets.get_secret` reads through.

    A client works on one event loop at a time; asked from another thread's loop, it answers from memory or has its own
    loop fetch. When its loop is gone it goes on, with its values, on the next one that uses it. Every method raises
    :class:`~asyncsecrets.errors.AsyncSecretsError` and nothing else of ours,
    :class:`~asyncsecrets.errors.ClosedError` after :meth:`aclose`.

    ``environ`` is the environment (default: the process's); ``retry`` the retry policy of every source; ``jitter`` a
    source of randomness from 0 to 1; ``cache_options`` go to every :class:`~asyncsecrets.cache.SingleFlightCache`
    (clocks, for tests).
    """

    def __init__(
        self,
        config: Config,
        *,
        providers: Mapping[str, Provider] | None = None,
        environ: Mapping[str, str] | None = None,
        retry: RetryPolicy | None = None,
        jitter: Callable[[], float] = random.random,
        cache_options: dict[str, Any] | None = None,
    ) -> None:
        self._environ = os.environ if environ is None else environ
        self._hot = Hot(default.rebind)
        self._watchers = Watchers()
        self._writes = Writes()
        self._retry = Retry(retry, jitter=jitter)
        self._cache_options = {"jitter": jitter, **(cache_options or {})}
        self._closed = False
        self._environment = EnvironmentProvider(self._environ, dotenv=config.env_file or ".env")
        environment = self._source(
            SourceConfig(name=ENVIRONMENT, system="env", freshness=_ENVIRONMENT_FRESHNESS), self._environment
        )
        self._sources = {ENVIRONMENT: environment}
        for name, declared in config.sources.items():
            if declared.system == "env":
                self._sources[name] = environment
            else:
                stand_in = environment if name == DEFAULT_SOURCE else None
                self._sources[name] = self._source(declared, (providers or {}).get(name), stand_in)
        self._router = Router(self._sources)

    @classmethod
    def from_config(cls, config: str | os.PathLike[str] | Mapping[str, Any], **options: Any) -> Self:
        """Build a client from a ``config.yaml`` (a path) or a mapping of the same shape (SPEC §2).

        Reads the one file, synchronously. ``options`` are those of the constructor. Raises ConfigError.
        """
        environ = options.get("environ")
        return cls(load_config(config, os.environ if environ is None else environ), **options)

    @classmethod
    def from_provider(
        cls,
        provider: Provider,
        *,
        refresh_interval: float = 86_400.0,
        max_stale: float = 86_400.0,
        negative_ttl: float = 5.0,
        max_entries: int = 10_000,
        access_mode: str = "read_and_write",
        hosted_keys: Iterable[str] | None = None,
        **options: Any,
    ) -> Self:
        """Build a client with ``provider`` as its only source.

        Durations in seconds. The environment stands in for what is absent there, unless ``hosted_keys`` lists the
        names that the provider alone is asked for (SPEC §2). ``options`` are those of the constructor.
        """
        source = SourceConfig(
            name=DEFAULT_SOURCE,
            system=provider.system,
            hosted_keys=None if hosted_keys is None else frozenset(hosted_keys),
            access_mode=AccessMode(access_mode),
            freshness=Freshness(
                refresh_interval=refresh_interval,
                max_stale=max_stale,
                negative_ttl=negative_ttl,
                max_entries=max_entries,
            ),
        )
        return cls(Config(sources={DEFAULT_SOURCE: source}), providers={DEFAULT_SOURCE: provider}, **options)

    @classmethod
    def from_environment(cls, **options: Any) -> Self:
        """Build the client of a program that was given none: see
        :meth:`asyncsecrets.config.Config.from_environment`."""
        environ = options.get("environ")
        return cls(Config.from_environment(os.environ if environ is None else environ, Path.cwd()), **options)

    # -- life

    async def __aenter__(self) -> Self:
        await self.start()
        default.push(self)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def start(self) -> None:
        """Open every source and start refreshing on the running loop. Raises what is wrong with the configuration.

        No secret is read: a manager that is down does not keep a program from starting. To insist, :meth:`warm_up`.
        """
        self._check_open()
        unique = set(self._sources.values())
        opened = await asyncio.gather(*(source.opened() for source in unique), return_exceptions=True)
        for outcome in opened:
            if isinstance(outcome, BaseException):
                await self.aclose()
                raise outcome
        for source in unique:
            source.cache.start()

    async def aclose(self) -> None:
        """Close everything this client opened, within two seconds; whoever waits gets ClosedError. Harmless when
        closed."""
        if self._closed:
            return
        self._closed = True
        default.remove(self)
        await self._writes.settle(_CLOSE_WITHIN)
        for source in set(self._sources.values()):
            await source.aclose()
        self._hot.withdraw()

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
            except KeyError:
                pass
            route = self._router.route(name)
        else:
            route = self._unpublished(name, version, field, source)
        self._check_open()
        return await self._at_home(route.source, partial(route.source.read, route))

    async def get_many(self, names: Iterable[str]) -> dict[str, Secret]:
        """Return several secrets by name, fetched at once. Raises ResolveError listing every name that failed."""
        wanted = list(dict.fromkeys(names))
        answers = await asyncio.gather(*(self._attempt(name) for name in wanted))
        failures = {name: answer for name, answer in zip(wanted, answers, strict=True) if _failed(answer)}
        if failures:
            raise ResolveError(failures)  # type: ignore[arg-type]  # _failed() has sorted them
        return dict(zip(wanted, answers, strict=True))  # type: ignore[arg-type]

    async def warm_up(self, names: Iterable[str]) -> None:
        """Fetch ``names`` now, so that the first reader does not wait. Raises ResolveError listing every one
        missing."""
        await self.get_many(names)

    async def resolve(self, document: Any) -> Any:
        """Return a copy of ``document`` with every reference replaced by its value: all, or ResolveError naming each
        that failed. Values stay text, and are not looked at for references again."""
        wanted = dict.fromkeys(text for _, text in references(document))
        found = await self.get_many(wanted)
        return replace_references(document, {text: secret.reveal() for text, secret in found.items()})

    def peek(self, name: str) -> Secret | None:
        """Return a secret if it is warm, else None. Synchronous, never I/O, from any thread.

        Only what was read under this very name or reference, and is vouched for by a running event loop, is warm.
        """
        return self._hot.secrets.get(name)

    async def read_text(self, name: str) -> str:
        """Return a secret's text: what :func:`asyncsecrets.get_secret` does when it is not warm."""
        return (await self.get(name)).reveal()

    @property
    def texts(self) -> dict[str, str]:
        """What is warm, as text by reference. Read only; a new dict whenever vouching ends."""
        return self._hot.texts

    async def refresh(self, name: str, *, source: str | None = None) -> Secret:
        """Ask the manager now, whatever is cached, and return what it says. A failure leaves the old value in place."""
        route = self._route(name, source)
        return await self._at_home(route.source, partial(route.source.refresh, route))

    def invalidate(self, name: str, *, source: str | None = None) -> None:
        """Forget what is cached for ``name``: the next reader asks the manager."""
        route = self._route(name, source)
        route.source.cache.invalidate(route.key)

    # -- writing

    async def put(self, name: str, value: Payload, *, cas: str | None = None, source: str | None = None) -> Secret:
        """Create or update a secret. The next read, anywhere in this process, sees the new value.

        ``cas``: write only if this version is current (``"0"``: only if there is none), where the store can. Raises
        AccessModeError before anything is sent, ConflictError, WriteOutcomeUnknownError, ….
        """
        self._check_open()
        target = self._router.writable(source)
        self._check_member(target, name)
        written = await self._at_home(target, partial(self._writes.put, target, name, value, cas))
        field = target.default_field
        return written if field is None else written.field(field)

    async def delete(self, name: str, *, source: str | None = None) -> None:
        """Delete a secret, recoverably where the store can. Deleting what is absent is not an error."""
        self._check_open()
        target = self._router.writable(source)
        self._check_member(target, name)
        await self._at_home(target, partial(self._writes.delete, target, name))

    # -- looking around

    async def list(self, prefix: str = "", *, source: str | None = None) -> builtins.list[str]:
        """Return the names of a source's secrets that start with ``prefix``, sorted."""
        target = self._readable(source)

        async def ask(provider: Provider) -> builtins.list[str]:
            if not isinstance(provider, Lister):
                raise UnsupportedOperationError(f"{provider.system} cannot list its secrets")
            return await provider.list(prefix)

        return await self._at_home(target, partial(target.call, None, ask))

    async def versions(self, name: str, *, source: str | None = None) -> builtins.list[VersionInfo]:
        """Return what a source knows of each version of a secret, oldest first."""
        target = self._readable(source)

        async def ask(provider: Provider) -> builtins.list[VersionInfo]:
            if not isinstance(provider, VersionLister):
                raise UnsupportedOperationError(f"{provider.system} keeps no versions that could be listed")
            return await provider.versions(name)

        return await self._at_home(target, partial(target.call, name, ask))

    def watch(self, name: str) -> AsyncIterator[Secret]:
        """Follow a secret: yields it now, and again whenever it has another version or value.

        A consumer that is slower than the rotations sees the newest value, not every one.
        """
        return self._watchers.follow(name, partial(self.get, name))

    def on_change(self, callback: OnChange) -> Callable[[], None]:
        """Call ``callback(reference, secret)`` whenever a warm secret changes; returns a function that ends it."""
        return self._watchers.on_change(callback)

    def status(self) -> builtins.list[SourceStatus]:
        """Describe every source and what is cached of it. Never a value."""
        return [status_of(source) for source in dict.fromkeys(self._sources.values())]

    def health(self) -> Health:
        """Say whether everything served is fresh."""
        return health_of(self.status())

    def explain(self, name: str) -> Explanation:
        """Say where ``name`` is read, by which rule, and what is cached of it. No I/O."""
        return explain(self._route(name, None))

    # -- inside

    def _source(self, config: SourceConfig, provider: Provider | None, environment: Source | None = None) -> Source:
        return Source(
            config,
            (lambda: provider) if provider is not None else partial(self._build, config),
            self._hot,
            retry=self._retry,
            changed=self._watchers.heard,
            environment=environment,
            stand_in=self._stand_in if environment is not None else None,
            cache_options=self._cache_options,
        )

    def _build(self, config: SourceConfig) -> Provider:
        return registry.build(config.system, config.settings, self._environ)

    def _stand_in(self, name: str) -> Secret | None:
        found = self._environment.lookup(name)
        if found is not None:
            found.source = ENVIRONMENT
        return found

    def _route(self, name: str, source: str | None) -> Route:
        self._check_open()
        return self._router.route(name) if source is None else self._unpublished(name, None, None, source)

    def _unpublished(self, name: str, version: str | None, field: str | None, source: str | None) -> Route:
        # Warm references are found by their text alone, so a call with keywords is never made warm under it.
        route = self._router.route(name, version=version, field=field, source=source)
        return Route("", route.name, route.source, route.key, route.fields, route.environment, route.rule)

    def _readable(self, source: str | None) -> Source:
        self._check_open()
        return self._router.source(source)

    def _check_member(self, target: Source, name: str) -> None:
        primary = target.primary_secret_name
        if primary is not None and (target.hosted_keys is None or name in target.hosted_keys):
            if name.startswith(target.config.virtual_key_prefix):
                return
            raise UnsupportedOperationError(
                f"{name!r} is read as a member of the secret {primary!r} (primary_secret_name); write {primary!r} "
                f"as a whole, through a source without primary_secret_name",
            )

    def _check_open(self) -> None:
        if self._closed:
            raise ClosedError("this SecretsClient is closed; open it with `async with`, or build a new one")

    async def _attempt(self, name: str) -> Secret | AsyncSecretsError:
        try:
            return await self.get(name)
        except AsyncSecretsError as error:
            return error

    async def _at_home(self, source: Source, operation: Callable[[], Awaitable[T]]) -> T:
        """Run ``operation`` on the loop that the source lives on: here, unless another running loop has it."""
        home = source.cache.owner
        if home is None or home is asyncio.get_running_loop():
            return await operation()

        async def elsewhere() -> T:
            return await operation()

        future = asyncio.run_coroutine_threadsafe(elsewhere(), home)
        # That loop may end before it answers; nobody may wait for it for ever.
        limit = self._retry.policy.deadline + _CLOSE_WITHIN
        done, _ = await asyncio.wait({asyncio.wrap_future(future)}, timeout=limit)
        if not done:
            future.cancel()
            raise DeadlineExceededError(
                f"the event loop that this client lives on did not answer within {limit:g} s",
                provider=source.config.system,
            )
        return done.pop().result()


def _failed(answer: object) -> bool:
    return isinstance(answer, AsyncSecretsError)
