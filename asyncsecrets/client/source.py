"""A source: a provider with its freshness, its retry, and the references that are warm because of it.

The cache entry of a secret holds what the manager stores; what a caller sees is a *view* of it: the whole payload, or
a member of a JSON object. All views of an entry are made from one fetch, and follow it: the cache tells this class of
every change in the same step, and the warm references change with it.
"""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from asyncsecrets.cache import CachePolicy, SingleFlightCache, Verdict
from asyncsecrets.cache.flight import fresh
from asyncsecrets.client.batching import Batcher
from asyncsecrets.client.hot import Hot
from asyncsecrets.client.routing import Route
from asyncsecrets.config import SourceConfig
from asyncsecrets.errors import (
    AccessDeniedError,
    AsyncSecretsError,
    AuthenticationError,
    ClosedError,
    SecretNotFoundError,
)
from asyncsecrets.providers.base import BatchReader, Provider
from asyncsecrets.retry import Retry
from asyncsecrets.secret import Secret

__all__ = ["Key", "Source", "verdict_of"]

T = TypeVar("T")

Key = str | tuple[str, str]
"""A cache entry: a name for the current version, or a name and a version."""

Changed = Callable[[str, Secret | None], None]


class Source:
    """One configured source. Made without I/O; its provider is built and opened when it is first needed.

    ``build`` makes the provider; ``stand_in(name)`` is the answer of ``environment`` for a name that is absent here,
    or None; ``changed(reference, secret)`` hears of every reference that becomes warm, is renewed, or is warm no
    longer (None).
    """

    def __init__(
        self,
        config: SourceConfig,
        build: Callable[[], Provider],
        hot: Hot,
        *,
        retry: Retry,
        changed: Changed,
        environment: Source | None = None,
        stand_in: Callable[[str], Secret | None] | None = None,
        cache_options: dict[str, Any] | None = None,
    ) -> None:
        self.name = config.name
        self.config = config
        self.access_mode = config.access_mode
        self.hosted_keys = config.hosted_keys
        self.primary_secret_name = config.primary_secret_name
        self.is_environment = config.system == "env"
        self.retry = retry
        self.last_error: AsyncSecretsError | None = None
        self._build = build
        self._hot = hot
        self._changed = changed
        self._environment = environment
        self._stand_in = stand_in
        self._provider: Provider | None = None
        self._batcher: Batcher | None = None
        self._open_on: asyncio.AbstractEventLoop | None = None
        self._opening: asyncio.Task[None] | None = None
        self._views: dict[Key, dict[str, Route]] = {}
        self.cache: SingleFlightCache[Key, Secret] = SingleFlightCache(
            self._fetch,
            _policy(config),
            classify=verdict_of,
            stand_in=None if config.hosted_keys is not None or stand_in is None else self._stand_in_for,
            listener=self,
            on_end=self.close_provider,
            **(cache_options or {}),
        )
        _sources.add(self)

    # -- reading

    async def read(self, route: Route) -> Secret:
        """Return the value that ``route`` leads to: from memory, or by one flight shared with everybody else."""
        if not self.config.freshness.cached:
            return self._view(await self._fetch_or_stand_in(route.key), route)
        secret = self.cache.hot.get(route.key)
        if secret is None:
            secret = await self.cache.join(route.key)
            warm = self._hot.secrets.get(route.reference)
            if warm is not None:  # one of the many who waited has made the view already
                return warm
        return self._publish(secret, route)

    async def refresh(self, route: Route) -> Secret:
        """Ask the manager anew now."""
        return self._view(await self.cache.refresh(route.key), route)

    def forget(self, name: str) -> None:
        """Forget every cached version of ``name``."""
        for key in [key for key in self.cache.hot if not isinstance(key, str) and key[0] == name]:
            self.cache.invalidate(key)
        self.cache.invalidate(name)

    def peek(self, route: Route) -> Secret | None:
        """Return the value if it is warm. Safe from any thread."""
        secret = self.cache.peek(route.key)
        return None if secret is None else self._view(secret, route)

    @property
    def default_field(self) -> str | None:
        """The member of a JSON payload that is a secret's value here, or None."""
        return self.provider.default_field

    # -- one call of the provider

    @property
    def provider(self) -> Provider:
        """The provider, built when first asked for: no I/O, but imports. Raises what building it raises."""
        if self._provider is None:
            self._provider = self._build()
        return self._provider

    async def call(self, name: str | None, attempt: Callable[[Provider], Awaitable[T]]) -> T:
        """Run one operation of the opened provider under the retry policy; remember how it went, for status."""
        provider = await self.opened()
        try:
            result = await self.retry.run(lambda: attempt(provider), provider=provider.system, name=name)
        except AsyncSecretsError as error:
            self.last_error = error
            raise
        self.last_error = None
        return result

    async def opened(self) -> Provider:
        """Return the provider, opened on this loop; once for any number of callers. Nothing in it blocks the loop."""
        loop = asyncio.get_running_loop()
        if self._open_on is not loop or self._provider is None:
            opening = self._opening
            if opening is None or opening.get_loop() is not loop:
                opening = self._opening = loop.create_task(self._open(), name="asyncsecrets-open")
            # Not awaited directly: a cancelled caller would cancel it for everybody.
            await asyncio.wait({opening})
            if opening.cancelled():
                raise ClosedError(f"source {self.name!r} was closed while it was being opened")
            error = opening.exception()
            if error is not None:
                raise fresh(error)
        return self.provider

    async def _open(self) -> None:
        try:
            # Building imports the provider's module, and with it its SDK: up to half a second of blocked loop.
            provider = self._provider
            if provider is None:
                provider = await asyncio.to_thread(lambda: self.provider)
            if self._open_on is not None:
                self._abandon()
            await provider.open()
            if self._environment is not None:  # what stands in is looked up without awaiting, so it must be there
                await self._environment.opened()
            self._batcher = Batcher(provider) if isinstance(provider, BatchReader) else None
            self._open_on = asyncio.get_running_loop()
        finally:
            self._opening = None

    async def _fetch(self, key: Key) -> Secret:
        name, version = (key, None) if isinstance(key, str) else key
        try:
            secret = await self.call(name, lambda provider: self._attempt(provider, name, version))
        except SecretNotFoundError as error:
            if self._stands_in_nothing(key):
                error.message += f"; the environment has no variable {name!r} either"
            raise
        secret.source = self.name
        return secret

    def _stands_in_nothing(self, key: Key) -> bool:
        return self._stand_in is not None and self.hosted_keys is None and self._stand_in_for(key) is None

    def _attempt(self, provider: Provider, name: str, version: str | None) -> Awaitable[Secret]:
        if version is None and self._batcher is not None:
            return self._batcher.get(name)
        return provider.get(name, version)

    async def _fetch_or_stand_in(self, key: Key) -> Secret:
        try:
            return await self._fetch(key)
        except SecretNotFoundError:
            found = self._stand_in_for(key) if self.hosted_keys is None else None
            if found is None:
                raise
        return found

    def _stand_in_for(self, key: Key) -> Secret | None:
        return self._stand_in(key) if isinstance(key, str) and self._stand_in is not None else None

    # -- views

    def _publish(self, secret: Secret, route: Route) -> Secret:
        """Make the view, and its reference warm while the cache vouches for what it was made from."""
        view = self._view(secret, route)
        if route.reference and self._hot.publish(route.reference, view, lambda: self.cache.peek(route.key) is secret):
            self._views.setdefault(route.key, {})[route.reference] = route
            self._changed(route.reference, view)
        return view

    def _view(self, secret: Secret, route: Route) -> Secret:
        """Return what ``route`` means in ``secret``. Raises SecretNotFoundError, DecodeError."""
        if secret.source != self.name:
            return self._environment_view(secret, route)
        if self.primary_secret_name is not None and route.fields and route.fields[0] not in secret.fields():
            return self._absent_member(route)
        for member in route.fields:
            secret = secret.field(member)
        return secret

    def _environment_view(self, secret: Secret, route: Route) -> Secret:
        if not route.environment:
            raise self._not_found(route, f"{route.name!r} is absent at source {self.name!r}")
        return secret

    def _absent_member(self, route: Route) -> Secret:
        found = self._stand_in(route.name) if route.environment and self._stand_in is not None else None
        if found is not None:
            return found
        where = f"{route.name!r} is not a member of the secret {self.primary_secret_name!r} at source {self.name!r}"
        raise self._not_found(route, f"{where}, nor in the environment" if route.environment else where)

    def _not_found(self, route: Route, message: str) -> SecretNotFoundError:
        return SecretNotFoundError(message, provider=self.config.system, name=route.name)

    # -- what the cache tells us (asyncsecrets.cache.Listener)

    def stored(self, key: Key, value: Secret, previous: Secret | None) -> None:  # noqa: ARG002  # the protocol's
        """Every warm view of ``key`` is made anew."""
        for reference, route in list(self._views.get(key, {}).items()):
            try:
                view = self._view(value, route)
            except AsyncSecretsError:  # the member is gone: the next reader gets the truth
                self._forget(key, reference)
                continue
            self._hot.publish(reference, view, lambda: self.cache.peek(key) is value)
            self._changed(reference, view)

    def dropped(self, key: Key, previous: Secret) -> None:  # noqa: ARG002  # the protocol's
        """No view of ``key`` is warm any more."""
        for reference in list(self._views.get(key, ())):
            self._forget(key, reference)

    def withdrawn(self) -> None:
        """Nothing is warm any more. May be called from another thread, so the views are replaced, not emptied."""
        self._views = {}
        self._hot.withdraw()

    def _forget(self, key: Key, reference: str) -> None:
        self._hot.remove(reference)
        views = self._views.get(key, {})
        views.pop(reference, None)
        if not views:
            self._views.pop(key, None)
        self._changed(reference, None)

    # -- life

    async def close_provider(self) -> None:
        """Close what the provider opened on this loop; it opens again when it is next needed."""
        if self._opening is not None:
            self._opening.cancel()
        if self._provider is not None and self._open_on is asyncio.get_running_loop():
            self._open_on = None
            await self._provider.aclose()

    async def aclose(self) -> None:
        """Close the cache, then the provider. Whoever waits gets ClosedError."""
        await self.cache.aclose()
        await self.close_provider()

    def _abandon(self) -> None:
        """The loop that the provider was opened on is gone, or in another process."""
        self._open_on = self._opening = None
        if self._batcher is not None:
            self._batcher.abandon()
        if self._provider is not None:
            self._provider.abandon()


def verdict_of(error: BaseException) -> Verdict:
    """What a failure says about a secret (DESIGN §3): the errors' own classes, for the cache."""
    if isinstance(error, SecretNotFoundError):
        return Verdict.ABSENT
    if isinstance(error, AccessDeniedError | AuthenticationError):
        return Verdict.DENIED
    return Verdict.TRANSIENT if getattr(error, "transient", False) else Verdict.POISONED


def _policy(config: SourceConfig) -> CachePolicy:
    freshness = config.freshness
    return CachePolicy(
        refresh_interval=freshness.refresh_interval,
        max_stale=freshness.max_stale,
        negative_ttl=freshness.negative_ttl,
        max_entries=freshness.max_entries,
        evict_denied=freshness.on_denied == "evict",
    )


_sources: weakref.WeakSet[Source] = weakref.WeakSet()


def _after_fork() -> None:
    for source in list(_sources):
        source._abandon()  # noqa: SLF001  # the same module


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
